"""`hwval compare`: what became better or worse between two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hwval.cli.common import AsJson
from hwval.cli.common import console

__all__ = ["compare"]


def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Folder of the run before.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Folder of the run now.")],
    least_change: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Smallest change of speed that is called one, as a share."
        ),
    ] = 0.03,
    show_all: Annotated[bool, typer.Option("--all", help="Show what did not change, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what became better or worse between two runs; 1 if anything did become worse."""
    from hwval.cli.comparetable import print_comparison
    from hwval.compare import compare_runs
    from hwval.result import read_run

    found = compare_runs(read_run(base), read_run(new), least_change=least_change)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        print_comparison(found, console(), show_all=show_all)
    if found.got_worse:
        raise typer.Exit(1)
