"""`hwval probe` and `hwval doctor`: what this machine has, and what stands in the way of a run."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Final

import typer
from rich.markup import escape
from rich.table import Table

from hwval.cli.common import AsJson
from hwval.cli.common import cache_dir
from hwval.cli.common import console
from hwval.cli.common import print_trimmed
from hwval.errors import UsageError

if TYPE_CHECKING:
    from hwval.doctor import Check
    from hwval.host import Host

__all__ = ["doctor", "probe"]

_STYLES: Final = {
    "ok": "green",
    "warning": "yellow",
    "problem": "bold red",
    "not-checkable": "cyan",
}
_LEGEND: Final = {
    "problem": ("problem", "problems"),
    "warning": ("warning", "warnings"),
    "not-checkable": ("not checkable", "not checkable"),
    "ok": ("ok", "ok"),
}


def probe(
    as_json: AsJson = False,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FILE", help="Keep it for `plan` and `doctor --host`."),
    ] = None,
) -> None:
    """Print what this machine has."""
    from hwval.host import host_rows
    from hwval.inert import visible

    host = _this_host()
    text = json.dumps(host.to_json(), indent=2)
    if save is not None:
        _keep(save, text)
    if as_json:
        typer.echo(text)
        return
    table = _table()
    for subject, what in host_rows(host, with_places=True):
        table.add_row(escape(visible(subject)), escape(visible(what)))
    print_trimmed(console(), table)


def doctor(
    matrix: Annotated[
        list[Path] | None,
        typer.Option("--matrix", metavar="FILE", help="What is to be run; repeatable."),
    ] = None,
    host: Annotated[
        Path | None, typer.Option("--host", metavar="FILE", help="Saved probe of another machine.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check what stands in the way of a run, and say what to do.

    Exit status 1 if there is a problem; with a matrix, what its cells need is checked too.
    """
    from hwval.doctor import State
    from hwval.doctor import examine
    from hwval.host import read_host

    machine = _this_host() if host is None else read_host(host)
    if matrix:
        from hwval.placement import select

        placed = select(matrix, machine).placed
    else:
        placed = ()
    checks = examine(machine, placed)
    if as_json:
        found = [check.to_json() for check in checks]
        typer.echo(json.dumps({"host": machine.hostname, "checks": found}, indent=2))
    else:
        _print_checks(checks)
    if any(check.state is State.PROBLEM for check in checks):
        raise typer.Exit(1)


def _keep(file: Path, text: str) -> None:
    try:
        file.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise UsageError(
            f"--save={file}: cannot be written: {error.strerror}; name a file in a folder of yours"
        ) from error


def _this_host() -> Host:
    """Return this machine, with what is found by variables of the environment."""
    from hwval.errors import HwvalError
    from hwval.host import find_cached_models
    from hwval.host import look_at_disks
    from hwval.host import probe_host

    host = probe_host()
    notes = dict(host.notes)
    docker = None
    is_local = False
    try:
        from hwval.engine.docker_client import Daemon

        with Daemon(call_s=10) as daemon:
            docker, is_local = daemon.describe(), daemon.is_local
    except HwvalError as error:
        notes["docker"] = str(error)
    hub_home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    folders = {"models": hub_home, "cache": cache_dir()}
    if docker is not None and docker.root and is_local:
        folders["images"] = Path(docker.root)
    return replace(
        host,
        notes=notes,
        docker=docker,
        disks=look_at_disks(folders),
        cached_models=find_cached_models(hub_home / "hub"),
        hub_token=bool(os.environ.get("HF_TOKEN")) or _has_text(hub_home / "token"),
    )


def _has_text(path: Path) -> bool:
    try:
        return bool(path.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return False


def _table() -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _print_checks(checks: tuple[Check, ...]) -> None:
    table = _table()
    table.add_column(overflow="fold")
    order = list(_LEGEND)
    for check in sorted(checks, key=lambda check: order.index(check.state)):
        style = _STYLES[check.state]
        remedy = f"\n[bold]->[/bold] {escape(check.remedy)}" if check.remedy else ""
        table.add_row(
            f"[{style}]{check.state}[/{style}]", check.name, f"{escape(check.text)}{remedy}"
        )
    print_trimmed(console(), table)
    counts = {state: sum(check.state == state for check in checks) for state in _LEGEND}
    told = (f"{count} {_LEGEND[state][count != 1]}" for state, count in counts.items() if count)
    typer.echo(", ".join(told))
