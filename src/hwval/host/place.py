"""Decides which devices of a host a cell could run on; pure, so any host can be planned for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from hwval.host.fact import Device
from hwval.host.fact import Host
from hwval.units import format_bytes

__all__ = ["place"]

# Drivers expose less than the nominal size (error correction, firmware: 15 of 16 GiB on a T4),
# while cards of one architecture differ by a third and more.
_MEMORY_TOLERANCE: Final = 0.12


def place(
    host: Host,
    *,
    vendor: str,
    architecture: str,
    memory_bytes: int | None = None,
    count: int = 1,
) -> tuple[Device, ...] | str:
    """Return all devices of ``host`` that are the wanted hardware, or why the cell cannot run.

    The caller leases ``count`` of them. A CPU cell always gets the one device that stands for the
    processor, whatever its architecture.

    Args:
        host: The machine.
        vendor: ``cpu``, ``rocm`` or ``cuda``.
        architecture: ``gfx906``, ``sm_90``.
        memory_bytes: Memory of one such device; tells cards of one architecture apart. None: any.
        count: Devices that the cell needs, >= 1.
    """
    if vendor == "cpu":
        found: tuple[Device, ...] = (host.cpu_device,)
    else:
        found = tuple(
            device
            for device in host.devices
            if device.vendor == vendor
            and device.architecture == architecture
            and _has_memory(device, memory_bytes)
        )
    if len(found) >= count:
        return found
    wanted = "the processor" if vendor == "cpu" else _wanted(architecture, memory_bytes)
    has = f"has {len(found)}" if found else f"has none ({_describe(host.devices)})"
    return f"needs {count} {'device' if count == 1 else 'devices'} of {wanted}, this host {has}"


def _has_memory(device: Device, memory_bytes: int | None) -> bool:
    if memory_bytes is None or device.memory_bytes is None:
        return True
    return abs(device.memory_bytes - memory_bytes) <= _MEMORY_TOLERANCE * memory_bytes


def _wanted(architecture: str, memory_bytes: int | None) -> str:
    if memory_bytes is None:
        return architecture
    return f"{architecture} with {format_bytes(memory_bytes)}"


def _describe(devices: Iterable[Device]) -> str:
    counts = Counter(_label(device) for device in devices)
    return ", ".join(f"{count} x {label}" for label, count in counts.items()) or "cpu only"


def _label(device: Device) -> str:
    label = device.architecture or f"{device.name or device.vendor} of unknown architecture"
    if device.memory_bytes is None:
        return label
    return f"{label} with {format_bytes(device.memory_bytes)}"
