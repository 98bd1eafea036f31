"""`hwval compare`: what became better or worse between two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Final

import typer

from hwval.cli.common import AsJson
from hwval.cli.common import console
from hwval.errors import UsageError

if TYPE_CHECKING:
    from hwval.result import Run

__all__ = ["compare"]

_MOST_NAMED: Final = 3


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
    """Tell what became better or worse between two runs; 1 if anything did become worse.

    A question that has no answer in the new run is told, and is neither better nor worse.
    """
    from hwval.cli.comparetable import print_comparison
    from hwval.compare import compare_runs

    found = compare_runs(*map(_read, (base, new)), least_change=least_change)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        print_comparison(found, console(), show_all=show_all)
    if found.got_worse:
        raise typer.Exit(1)


def _read(folder: Path) -> Run:
    """Return a run; a folder of runs is refused with the newest of them."""
    from hwval.result import JOURNAL_NAME
    from hwval.result import read_run

    if not (folder / JOURNAL_NAME).exists():
        journals = sorted(
            folder.glob(f"*/{JOURNAL_NAME}"), key=lambda path: path.stat().st_mtime, reverse=True
        )
        if journals:
            newest = ", ".join(str(path.parent) for path in journals[:_MOST_NAMED])
            raise UsageError(f"{folder} is a folder of runs; name one of them, newest {newest}")
    return read_run(folder)
