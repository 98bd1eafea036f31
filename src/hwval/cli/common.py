"""What the commands share: their options, the terminal, the cache folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Final

import typer
from platformdirs import user_cache_path
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from hwval.placement import Selection

__all__ = [
    "NOT_A_TERMINAL_COLUMNS",
    "AsJson",
    "Matrices",
    "cache_dir",
    "check_tasks",
    "console",
    "default_matrices",
    "has_width",
    "print_trimmed",
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
    return Console(width=None if has_width() else NOT_A_TERMINAL_COLUMNS)


def has_width() -> bool:
    """Return whether lines are to be short: on a terminal, and where ``COLUMNS`` is set."""
    return sys.stdout.isatty() or os.environ.get("COLUMNS", "").lstrip("0").isdecimal()


def print_trimmed(console: Console, table: Table) -> None:
    """Print a table without the spaces behind its rows, which fold in a narrow pager."""
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


def cache_dir() -> Path:
    """Return the folder that runs of this machine share."""
    return Path(os.environ.get("HWVAL_CACHE_DIR") or user_cache_path("hwval"))


def default_matrices() -> list[Path]:
    """Return what is run where no matrix is named."""
    from hwval.resources import resource_path

    return [resource_path("matrices/smoke.yaml")]


def check_tasks(selection: Selection) -> None:
    """Refuse tasks that lm-evaluation-harness, where it is installed, cannot ask as they stand.

    Their data may be on another host than this one.
    """
    for placed in selection.placed:
        tasks = placed.entry.promises.accuracy.tasks
        if tasks:
            from hwval.accuracy.precheck import task_problem
            from hwval.errors import MatrixError

            for label, section in tasks.items():
                problem = task_problem(label, section)
                if problem is not None:
                    where = f"{placed.entry.source}: promises.accuracy.{label}"
                    raise MatrixError(f"{where}: {problem} (cell {placed.cell})")
