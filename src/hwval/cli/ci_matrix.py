"""`hwval ci-matrix`: the cells of matrices as jobs for self-hosted runners."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from hwval.cli.common import Matrices
from hwval.cli.common import check_tasks
from hwval.cli.common import default_matrices
from hwval.errors import UsageError

if TYPE_CHECKING:
    from hwval.ci_matrix import JobPlan

__all__ = ["ci_matrix"]


def ci_matrix(
    *,
    matrix: Matrices = None,
    cells: Annotated[
        list[str] | None,
        typer.Option("--cells", metavar="GLOB", help="Only these cells: ids or globs; repeatable."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="NAME=FILE",
            help="A runner and its saved probe; repeatable. Then each host gets one job.",
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option("--image", metavar="REF", help="Image in place of the matrix's."),
    ] = None,
    runs_on: Annotated[
        list[str] | None,
        typer.Option(
            "--runs-on",
            metavar="NAME=LABEL,...",
            help="Labels of the runners of a hardware or host; repeatable. "
            "Default: self-hosted,NAME.",
        ),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(min=1, help="Share the cells of each hardware among so many jobs."),
    ] = None,
    max_cells_per_job: Annotated[
        int | None, typer.Option(min=1, help="As many jobs for each hardware as that takes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="It prints nothing else anyway.")] = False,
) -> None:
    """Print the cells as jobs for self-hosted runners: `strategy.matrix` of GitHub Actions.

    One job for each hardware, shard or host, with pytest's arguments; what no job runs is told on
    standard error, with the reason.
    """
    del as_json
    from hwval.ci_matrix import format_matrix
    from hwval.ci_matrix import labelled

    files = matrix or []
    if sum(bool(given) for given in (host, shards, max_cells_per_job)) > 1:
        raise UsageError("--host, --shards and --max-cells-per-job exclude each other; give one")
    if host:
        plan = _plan_hosts(files, host, cells or [], image)
    else:
        plan = _plan_hardware(files, cells or [], image, shards or 1, max_cells_per_job)
    labels = {
        name: [label.strip() for label in value.split(",")]
        for name, value in _pairs("--runs-on", runs_on or [])
    }
    text = format_matrix(labelled(plan.jobs, labels), files, image)
    for cell, why in plan.left_out.items():
        typer.echo(f"left out: {cell}: {why}", err=True)
    for cell, others in plan.parted.items():
        typer.echo(f"apart: {cell} is held against {', '.join(others)} of another job", err=True)
    if not plan.jobs:
        typer.echo("no cell can run: the matrix is empty, and its job needs an `if`", err=True)
    typer.echo(text)


def _plan_hardware(
    files: list[Path], cells: list[str], image: str | None, shards: int, most_cells: int | None
) -> JobPlan:
    from hwval.ci_matrix import ANY_HOST
    from hwval.ci_matrix import jobs_of_hardware
    from hwval.placement import select

    selection = select(files or default_matrices(), ANY_HOST, cells=cells, image=image)
    check_tasks(selection)
    return jobs_of_hardware(selection, shards=shards, most_cells=most_cells)


def _plan_hosts(
    files: list[Path], hosts: list[str], cells: list[str], image: str | None
) -> JobPlan:
    from hwval.ci_matrix import jobs_of_hosts
    from hwval.host import read_host
    from hwval.placement import select

    probes = {name: read_host(Path(file)) for name, file in _pairs("--host", hosts)}
    selections = {
        name: select(files or default_matrices(), probe, cells=cells, image=image)
        for name, probe in probes.items()
    }
    for selection in selections.values():
        check_tasks(selection)
    return jobs_of_hosts(selections)


def _pairs(option: str, given: list[str]) -> list[tuple[str, str]]:
    """Return NAME=VALUE as pairs; names are in the alphabet of run ids, each once."""
    from hwval.cell import slug

    pairs = [(name, value) for name, _, value in (text.partition("=") for text in given)]
    for name, value in pairs:
        is_name = name and slug(name) == name and not name.startswith(".")
        if not is_name or not all(part.strip() for part in value.split(",")):
            raise UsageError(
                f"{option} {name}={value}: expected a name of a-z, 0-9, '.', '_' and '-', and a "
                "value behind '='"
            )
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{option}: {twice[0]!r} is given more than once")
    return pairs
