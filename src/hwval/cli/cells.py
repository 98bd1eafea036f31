"""`hwval plan` and `hwval show`: the cells of matrices, before anything is started."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any

import typer
from rich.table import Table

from hwval.cli.common import AsJson
from hwval.cli.common import Matrices
from hwval.cli.common import cache_dir
from hwval.cli.common import console
from hwval.cli.common import default_matrices
from hwval.errors import SelectionError

if TYPE_CHECKING:
    from hwval.placement import PlacedCell
    from hwval.placement import Selection

__all__ = ["plan", "show"]

HostFile = Annotated[
    Path | None, typer.Option("--host", metavar="FILE", help="Saved probe of another machine.")
]


def plan(
    matrix: Matrices = None,
    host: HostFile = None,
    image: Annotated[
        str | None,
        typer.Option(
            "--image",
            metavar="REF",
            help="Plan every cell with this image, as a newer one, in place of the matrix's.",
        ),
    ] = None,
    hub: Annotated[
        bool,
        typer.Option(
            "--hub", help="Fetch config.json of models that are not known here, at their revision."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List every cell with what is known of it before anything is started.

    Whether it can run, here or elsewhere, its memory, and how fast at most.
    """
    from hwval.cli.plantable import counts_line
    from hwval.cli.plantable import pipe_lines
    from hwval.cli.plantable import terminal_lines

    selection = _select(matrix, host, image=image, fetch=hub)
    if as_json:
        typer.echo(json.dumps(_plan_json(selection), indent=2, ensure_ascii=False))
        return
    if sys.stdout.isatty():
        lines = terminal_lines(selection.placed, shutil.get_terminal_size().columns)
    else:
        lines = pipe_lines(selection.placed)
    typer.echo("\n".join(lines))
    typer.echo(counts_line(selection.placed))


def show(
    cell: Annotated[str, typer.Argument(metavar="CELL", help="Cell id.")],
    matrix: Matrices = None,
    docker: Annotated[
        bool, typer.Option("--docker", help="Print the `docker run` line that reproduces it.")
    ] = False,
    host: HostFile = None,
) -> None:
    """Print one cell in full."""
    from hwval.matrix import select_cells

    placed = _select(matrix, host).placed
    chosen = select_cells([candidate.entry for candidate in placed], [cell])
    if len(chosen) != 1:
        raise SelectionError(f"{cell!r} names {len(chosen)} cells; name one")
    entry = chosen[0]
    found = next(candidate for candidate in placed if candidate.cell == entry.cell)
    if docker:
        if found.why_not:
            typer.echo(f"# not for this host: {found.why_not}; device nodes are left out")
        typer.echo(_docker_line(found))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name in ("id", "hardware", "device_count", "image", "model", "dtype", "variant"):
        table.add_row(name.replace("_", " "), str(getattr(entry.cell, name)) or "none")
    for name, value in entry.cell.engine_args:
        table.add_row(f"--{name}", str(value))
    for name, value in entry.cell.environment:
        table.add_row(name, value)
    table.add_row("markers", ", ".join(entry.markers))
    table.add_row("from", entry.source)
    table.add_row("here", found.why_not or found.ruled_out or "can run")
    if found.forecast is not None:
        why = f": {found.forecast.why}" if found.forecast.why else ""
        table.add_row("planned", f"{found.forecast.verdict}{why}")
        for note in found.forecast.plan.notes:
            table.add_row("note", note.text)
    console().print(table)


def _select(
    matrices: list[Path] | None,
    host_file: Path | None,
    *,
    image: str | None = None,
    fetch: bool = False,
) -> Selection:
    from hwval.host import probe_host
    from hwval.host import read_host
    from hwval.placement import select

    host = probe_host() if host_file is None else read_host(host_file)
    selection = select(matrices or default_matrices(), host, image=image, fetch=fetch)
    _check_tasks(selection)
    return selection


def _check_tasks(selection: Selection) -> None:
    """Refuse tasks that lm-evaluation-harness, where it is installed, does not know.

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


def _plan_json(selection: Selection) -> dict[str, Any]:
    return {
        "host": selection.host.hostname,
        "cells": [_cell_json(placed) for placed in selection.placed],
    }


def _cell_json(placed: PlacedCell) -> dict[str, Any]:
    from hwval.cli.plantable import verdict_of

    planned = placed.forecast.to_json() if placed.forecast is not None else {"reasons": []}
    elsewhere = [{"rule": "host", "text": placed.why_not}] if placed.why_not else []
    return {
        "cell": placed.cell.id,
        **planned,
        "verdict": verdict_of(placed),
        "reasons": [*elsewhere, *planned["reasons"]],
        "planned": planned.get("verdict"),
        "runs": not placed.why_not and not placed.ruled_out,
    }


def _docker_line(placed: PlacedCell) -> str:
    from hwval.catalogue import EngineKind
    from hwval.engine.container import format_docker_run
    from hwval.launch import reproducing_spec
    from hwval.matrix import to_docker

    if placed.image.engine is EngineKind.DOCKER:
        return format_docker_run(reproducing_spec(placed, cache_dir()))
    (entry,) = to_docker([placed.entry])
    image = entry.catalogue.image(entry.cell.image)
    spec = reproducing_spec(replace(placed, entry=entry, image=image), cache_dir())
    return f"# in place of {placed.cell.image}\n{format_docker_run(spec)}"
