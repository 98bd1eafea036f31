"""The ``hwval`` command: pytest runs, hwval explains.

Exit status: 0 fine, 1 a negative answer, 2 wrong usage or unreadable input (one line).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any
from typing import Final

import typer
from platformdirs import user_cache_path
from rich.console import Console
from rich.table import Table

from hwval import __version__
from hwval.errors import HwvalError
from hwval.errors import SelectionError

if TYPE_CHECKING:
    from hwval.placement import PlacedCell
    from hwval.placement import Selection

__all__ = ["app", "main"]

app = typer.Typer(
    name="hwval",
    help="Explains hardware validation runs of vLLM. The runs themselves: `pytest -m rocm`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Matrices = Annotated[
    list[Path] | None,
    typer.Option("--matrix", metavar="FILE", help="Matrix; repeatable. Default: smoke."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
# Wide enough for any table: who reads a pipe wants each row in one line.
_NOT_A_TERMINAL_COLUMNS: Final = 4000
_INDENT: Final = " " * 11
HostFile = Annotated[
    Path | None, typer.Option("--host", metavar="FILE", help="Saved probe of another machine.")
]


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Print the version when asked."""
    if show:
        typer.echo(f"hwval {__version__}")
        raise typer.Exit


@app.command()
def probe(
    as_json: AsJson = False,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Keep it for `plan --host`.")
    ] = None,
) -> None:
    """Print what this machine has."""
    from hwval.host import probe_host
    from hwval.units import format_bytes

    host = probe_host()
    text = json.dumps(host.to_json(), indent=2, ensure_ascii=False)
    if save is not None:
        save.write_text(text + "\n", "utf-8")
    if as_json:
        typer.echo(text)
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("host", f"{host.hostname} ({host.machine}, kernel {host.kernel})")
    table.add_row("processor", f"{host.cpu_model}, {len(host.cpus)} threads")
    table.add_row("memory", format_bytes(host.memory_bytes) if host.memory_bytes else "unknown")
    for device in host.devices:
        size = format_bytes(device.memory_bytes) if device.memory_bytes else "unknown memory"
        table.add_row(device.id, f"{device.name or device.vendor}, {device.architecture}, {size}")
    if not host.devices:
        table.add_row("accelerators", "none found")
    for subject, note in host.notes.items():
        table.add_row(f"no {subject}", note)
    _console().print(table)


@app.command()
def plan(matrix: Matrices = None, host: HostFile = None, as_json: AsJson = False) -> None:
    """List every cell and whether this host can run it, before anything is started."""
    selection = _select(matrix, host)
    if as_json:
        typer.echo(json.dumps(_plan_json(selection), indent=2, ensure_ascii=False))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _NOT_A_TERMINAL_COLUMNS
    for line in _plan_lines(selection, width):
        typer.echo(line)
    counts = Counter("elsewhere" if cell.why_not else "run here" for cell in selection.placed)
    typer.echo(", ".join(f"{count} {word}" for word, count in counts.items()))


@app.command()
def show(
    cell: Annotated[str, typer.Argument(metavar="CELL", help="Cell id.")],
    matrix: Matrices = None,
    docker: Annotated[
        bool, typer.Option("--docker", help="Print the `docker run` line that reproduces it.")
    ] = False,
) -> None:
    """Print one cell in full."""
    from hwval.matrix import select_cells

    placed = _select(matrix, None).placed
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
    table.add_row("here", found.why_not or "can run")
    _console().print(table)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
) -> None:
    """Write sign-off and Allure results of a run again, also of one that was killed."""
    from hwval.allure import write_allure
    from hwval.result import read_run
    from hwval.signoff import write_signoff
    from hwval.summary import summarise
    from hwval.table import print_table

    page, _ = write_signoff(run)
    loaded = read_run(run)
    write_allure(loaded, run / "allure-results")
    summary = summarise(loaded)
    print_table(summary, _console())
    typer.echo(f"sign-off: {page}")
    is_bad = any(cell.outcome.is_bad for cell in summary.cells)
    if is_bad or not summary.is_complete:
        raise typer.Exit(1)


@app.command()
def reap() -> None:
    """Remove engines that runs left behind when they were killed, and nothing else."""
    from hwval.leftovers import reap_leftovers

    removed = reap_leftovers(_cache_dir())
    for name in removed:
        typer.echo(f"removed {name}")
    typer.echo(f"{len(removed)} leftovers removed")


def main() -> None:
    """Run the command; a person's mistake is one line and exit status 2."""
    try:
        app(standalone_mode=True)
    except HwvalError as error:
        typer.echo(f"hwval: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"hwval: {where}{error.strerror or error}", err=True)
        sys.exit(2)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _NOT_A_TERMINAL_COLUMNS)


def _cache_dir() -> Path:
    return Path(os.environ.get("HWVAL_CACHE_DIR") or user_cache_path("hwval"))


def _select(matrices: list[Path] | None, host_file: Path | None) -> Selection:
    from hwval.host import Host
    from hwval.host import probe_host
    from hwval.placement import select
    from hwval.resources import resource_path

    files = matrices or [resource_path("matrices/smoke.yaml")]
    host = Host.from_json(_read_json(host_file)) if host_file is not None else probe_host()
    return select(files, host)


def _read_json(path: Path) -> dict[str, Any]:
    from hwval.errors import UsageError

    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: not a saved probe; make one with `hwval probe --save`")
    return data


def _plan_lines(selection: Selection, columns: int) -> Iterator[str]:
    """Yield a line a cell; a reason that does not fit beside it gets its own. Ids stay whole."""
    longest = max(len(placed.cell.id) for placed in selection.placed)
    for placed in selection.placed:
        word = "elsewhere" if placed.why_not else "run"
        line = f"{word:<9}  {placed.cell.id}"
        beside = f"{line:<{longest + 11}}  {placed.why_not}"
        if not placed.why_not:
            yield line
        elif len(beside) <= columns:
            yield beside
        else:
            yield f"{line}\n{_indented(placed.why_not, columns)}"


def _indented(text: str, columns: int) -> str:
    return textwrap.fill(text, columns, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _plan_json(selection: Selection) -> dict[str, Any]:
    return {
        "host": selection.host.hostname,
        "cells": [
            {
                "cell": cell.cell.id,
                "verdict": "elsewhere" if cell.why_not else "run",
                "reasons": [{"rule": "host", "text": cell.why_not}] if cell.why_not else [],
                "memory": None,
                "ceiling": None,
            }
            for cell in selection.placed
        ],
    }


def _docker_line(placed: PlacedCell) -> str:
    from hwval.catalogue import EngineKind
    from hwval.engine.container import format_docker_run
    from hwval.launch import reproducing_spec
    from hwval.matrix import to_docker

    if placed.image.engine is EngineKind.DOCKER:
        return format_docker_run(reproducing_spec(placed, _cache_dir()))
    (entry,) = to_docker([placed.entry])
    image = entry.catalogue.image(entry.cell.image)
    spec = reproducing_spec(replace(placed, entry=entry, image=image), _cache_dir())
    return f"# in place of {placed.cell.image}\n{format_docker_run(spec)}"
