"""`hwval probe` and `hwval doctor`: what this machine has, and what stands in the way of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
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

if TYPE_CHECKING:
    from hwval.doctor import Check
    from hwval.host import Device
    from hwval.host import Host

__all__ = ["doctor", "probe"]

# Instruction sets that decide which kernels vLLM takes on x86-64.
_TELLING_FLAGS: Final = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
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
    host = _this_host()
    text = json.dumps(host.to_json(), indent=2, ensure_ascii=False)
    if save is not None:
        save.write_text(text + "\n", "utf-8")
    if as_json:
        typer.echo(text)
        return
    table = _table()
    for subject, what in _rows(host):
        table.add_row(subject, escape(what))
    console().print(table)


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


def _rows(host: Host) -> Iterator[tuple[str, str]]:
    from hwval.units import format_bytes

    yield "host", f"{host.hostname} ({host.machine}, kernel {host.kernel})"
    yield "processor", f"{host.cpu_model or 'unknown'}, {len(host.cpus)} threads"
    telling = [flag for flag in _TELLING_FLAGS if flag in host.cpu_flags]
    if telling:
        yield "", ", ".join(telling)
    swap = f", {format_bytes(host.swap_bytes)} of swap" if host.swap_bytes else ""
    yield "memory", (format_bytes(host.memory_bytes) if host.memory_bytes else "unknown") + swap
    if len(host.numa_nodes) > 1:
        sizes = (format_bytes(node.memory_bytes or 0) for node in host.numa_nodes)
        yield "memory nodes", f"{len(host.numa_nodes)}: {', '.join(sizes)}"
    yield from _accelerator_rows(host)
    yield from {**host.drivers, **host.versions}.items()
    if host.docker is not None:
        yield "docker", _docker_line(host)
    for disk in host.disks:
        room = f"{format_bytes(disk.free_bytes)} of {format_bytes(disk.total_bytes)} free"
        yield f"disk: {disk.purpose}", f"{room}, {disk.path}"
    ids = {device.id for device in host.devices}
    for subject, note in host.notes.items():
        yield ("note", f"{subject}: {note}") if subject in ids else (f"no {subject}", note)


def _docker_line(host: Host) -> str:
    docker = host.docker
    if docker is None:
        return "no daemon"
    details = [f"API {docker.api_version}", f"cgroup v{docker.cgroup_version or '?'}"]
    details += ["rootless"] if docker.rootless else []
    details += [f"runtimes {', '.join(docker.runtimes) or 'none'}"]
    details += ["CDI"] if docker.cdi_folders else []
    return f"{docker.version} ({', '.join(details)})"


def _accelerator_rows(host: Host) -> Iterator[tuple[str, str]]:
    """Yield a row for each run of devices that differ in their places only."""
    if not host.devices:
        yield "accelerators", "none found"
    alike: dict[str, list[Device]] = {}
    for device in host.devices:
        alike.setdefault(_device_line(device), []).append(device)
    for line, devices in alike.items():
        count = f"{len(devices)} x " if len(devices) > 1 else ""
        yield "accelerators", f"{count}{line}"
        names = [_place_line(device) for device in devices]
        shown = names if len(names) <= 16 else [*names[:8], f"... {len(names) - 8} more"]
        for name in shown:
            yield "", name


def _device_line(device: Device) -> str:
    from hwval.units import format_bytes

    size = format_bytes(device.memory_bytes) if device.memory_bytes else "unknown memory"
    parts = [device.name or device.vendor, device.architecture or "unknown architecture", size]
    if device.partition_mode:
        parts.append(device.partition_mode.upper())
    if device.unified:
        given = ((device.vram_bytes, "carve-out"), (device.gtt_bytes, "GTT"))
        parts += [f"{format_bytes(part)} {label}" for part, label in given if part is not None]
    return ", ".join(parts)


def _place_line(device: Device) -> str:
    nodes = ", ".join(f"{node.path} (group {node.group_id})" for node in device.nodes)
    return f"{device.id}  {nodes or 'no node under /dev'}"


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
    console().print(table)
    counts = {state: sum(check.state == state for check in checks) for state in _LEGEND}
    told = (f"{count} {_LEGEND[state][count != 1]}" for state, count in counts.items() if count)
    typer.echo(", ".join(told))
