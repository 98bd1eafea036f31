"""What the commands share: their options, the terminal, the cache folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated
from typing import Final

import typer
from platformdirs import user_cache_path
from rich.console import Console

__all__ = [
    "NOT_A_TERMINAL_COLUMNS",
    "AsJson",
    "Matrices",
    "cache_dir",
    "console",
    "default_matrices",
]

NOT_A_TERMINAL_COLUMNS: Final = 4000
"""Wide enough for any table: who reads a pipe wants each row in one line."""

Matrices = Annotated[
    list[Path] | None,
    typer.Option("--matrix", metavar="FILE", help="Matrix; repeatable. Default: smoke."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def console() -> Console:
    """Return standard output: as wide as the terminal, or with each row in one line."""
    return Console(width=None if sys.stdout.isatty() else NOT_A_TERMINAL_COLUMNS)


def cache_dir() -> Path:
    """Return the folder that runs of this machine share."""
    return Path(os.environ.get("HWVAL_CACHE_DIR") or user_cache_path("hwval"))


def default_matrices() -> list[Path]:
    """Return what is run where no matrix is named."""
    from hwval.resources import resource_path

    return [resource_path("matrices/smoke.yaml")]
