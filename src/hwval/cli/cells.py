"""`hwval plan` and `hwval show`: the cells of matrices, before anything is started."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any
from typing import Final

import typer

from hwval.cli.common import AsJson
from hwval.cli.common import Matrices
from hwval.cli.common import cache_dir
from hwval.cli.common import check_tasks
from hwval.cli.common import console
from hwval.cli.common import default_matrices
from hwval.cli.common import has_width
from hwval.errors import SelectionError
from hwval.errors import UsageError

if TYPE_CHECKING:
    from hwval.placement import PlacedCell
    from hwval.placement import Selection

__all__ = ["plan", "show"]

_MOST_NAMED: Final = 3

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
        typer.echo(json.dumps(_plan_json(selection), indent=2))
        return
    if has_width():
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
    as_json: AsJson = False,
) -> None:
    """Print one cell in full: how it is started, what is planned, promised and asked."""
    from hwval.matrix import select_cells

    if docker and as_json:
        raise UsageError("--docker and --json exclude each other: a command line is no JSON")
    if cell.endswith((".yaml", ".yml")):
        raise UsageError(f"{cell!r} is no cell; write its id and --matrix={cell}")
    selection = _select(matrix, host)
    chosen = select_cells([candidate.entry for candidate in selection.placed], [cell])
    if len(chosen) != 1:
        ids = ", ".join(entry.cell.id for entry in chosen[:_MOST_NAMED])
        more = f" and {len(chosen) - _MOST_NAMED} more" * (len(chosen) > _MOST_NAMED)
        raise SelectionError(f"{cell!r} names {len(chosen)} cells; name one of {ids}{more}")
    found = next(one for one in selection.placed if one.cell == chosen[0].cell)
    if docker:
        if found.why_not:
            typer.echo(f"# not for this host: {found.why_not}; device nodes are left out")
        typer.echo(_docker_line(found))
        return
    _print_view(found, selection, as_json=as_json)


def _print_view(placed: PlacedCell, selection: Selection, *, as_json: bool) -> None:
    from hwval.cli.showtable import CellView
    from hwval.clock import utc_now
    from hwval.redaction import Redactor
    from hwval.redaction import secret_values

    view = CellView(placed, selection, Redactor(secret_values()), utc_now().date())
    if as_json:
        typer.echo(json.dumps(view.to_json(), indent=2))
    else:
        view.print(console())


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
    check_tasks(selection)
    return selection


def _plan_json(selection: Selection) -> dict[str, Any]:
    from hwval.cli.plantable import planned_json

    return {
        "host": selection.host.hostname,
        "cells": [planned_json(placed) for placed in selection.placed],
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
