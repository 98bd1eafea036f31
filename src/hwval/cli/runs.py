"""`hwval report` and `hwval reap`: what runs leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any

import typer

from hwval.cli.common import AsJson
from hwval.cli.common import cache_dir
from hwval.cli.common import console
from hwval.errors import UsageError

if TYPE_CHECKING:
    from hwval.summary import Summary

__all__ = ["reap", "report"]


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Folder of a run, or those of several.")
    ],
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="FOLDER", help="New folder for what several runs come to."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write sign-off and Allure results of a run again, also of one that was killed.

    Several runs, of as many hosts, come to one sign-off.
    """
    from hwval.allure import write_allure
    from hwval.result import read_run
    from hwval.signoff import write_signoff
    from hwval.summary import summarise
    from hwval.table import print_table

    run = _one_of(runs, into)
    pages = write_signoff(run)
    loaded = read_run(run)
    write_allure(loaded, run / "allure-results")
    summary = summarise(loaded)
    if as_json:
        told = _summary_json(summary) | {"signoff": [str(page) for page in pages]}
        typer.echo(json.dumps(told, indent=2))
    else:
        print_table(summary, console())
        typer.echo(f"sign-off: {pages[0]}")
    is_bad = any(cell.outcome.is_bad for cell in summary.cells)
    if is_bad or not summary.is_complete:
        raise typer.Exit(1)


def _summary_json(summary: Summary) -> dict[str, Any]:
    """Return what a run comes to; its journal has every answer."""
    return {
        "run": summary.run.head.run_id,
        "ending": summary.run.ending,
        "complete": summary.is_complete,
        "headline": summary.headline,
        "counts": dict(summary.counts),
        "question_counts": dict(summary.question_counts),
        "cells": [
            {
                "cell": cell.record.cell,
                "outcome": cell.outcome,
                "reasons": list(cell.reasons),
                "counts": dict(cell.counts),
            }
            for cell in summary.cells
        ],
        "warnings": list(summary.warnings),
    }


def _one_of(runs: list[Path], into: Path | None) -> Path:
    """Return the folder of the one run, or of what several are merged into."""
    from hwval.merge import merge_folders

    if into is None and len(runs) > 1:
        raise UsageError(f"{len(runs)} runs are merged into a folder of their own: --into=FOLDER")
    if into is None:
        return runs[0]
    merge_folders(runs, into)
    return into


def reap(as_json: AsJson = False) -> None:
    """Remove engines that runs left behind when they were killed, and nothing else."""
    from hwval.leftovers import reap_leftovers

    removed = reap_leftovers(cache_dir())
    if as_json:
        typer.echo(json.dumps({"removed": removed}, indent=2))
        return
    for name in removed:
        typer.echo(f"removed {name}")
    typer.echo(f"{len(removed)} leftover{'' if len(removed) == 1 else 's'} removed")
