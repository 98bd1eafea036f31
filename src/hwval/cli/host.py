"""`hwval probe`: what this machine has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hwval.cli.common import AsJson
from hwval.cli.common import console

__all__ = ["probe"]


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
    console().print(table)
