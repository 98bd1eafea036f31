"""Decides which devices of a host a cell could run on; pure, so any host can be planned for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Final

from hwval.host.fact import Device
from hwval.host.fact import Host
from hwval.units import format_bytes

__all__ = ["fits_mode", "place", "set_mode_remedy"]

# Drivers expose less than the nominal size (error correction, firmware: 15 of 16 GiB on a T4),
# while cards of one architecture differ by a third and more.
_MEMORY_TOLERANCE: Final = 0.12


def place(
    host: Host,
    *,
    vendor: str,
    architecture: str,
    memory_bytes: int | Collection[int] | None = None,
    count: int = 1,
    partition_mode: str = "",
) -> tuple[Device, ...] | str:
    """Return all devices of ``host`` that are the wanted hardware, or why the cell cannot run.

    The caller leases ``count`` of them. A CPU cell always gets the one device that stands for the
    processor, whatever its architecture.

    Args:
        host: The machine.
        vendor: ``cpu``, ``rocm``, ``cuda`` or ``tpu``.
        architecture: ``gfx906``, ``sm_90``, ``v5e``.
        memory_bytes: Memory of one such device; tells cards of one architecture apart. Several
            where drivers differ in what they tell of it, the nominal one first. None: any.
        count: Devices that the cell needs, >= 1.
        partition_mode: Mode that the card must be in, ``spx`` or ``cpx/nps4``; empty for any. A
            device whose driver tells no mode is judged by its memory alone.
    """
    sizes = [memory_bytes] if isinstance(memory_bytes, int) else list(memory_bytes or ())
    if vendor == "cpu":
        found: tuple[Device, ...] = (host.cpu_device,)
        misplaced: tuple[Device, ...] = ()
    else:
        alike = [
            device
            for device in host.devices
            if device.vendor == vendor and device.architecture == architecture
        ]
        misplaced = tuple(device for device in alike if not fits_mode(device, partition_mode))
        found = tuple(
            device for device in alike if device not in misplaced and _has_memory(device, sizes)
        )
    if len(found) >= count:
        return found
    wanted = "the processor" if vendor == "cpu" else _wanted(architecture, sizes)
    if partition_mode and misplaced:
        wanted += f" in {partition_mode.upper()}"
    has = f"has {len(found)}" if found else f"has none ({_describe(host.devices)})"
    needs = f"needs {count} {'device' if count == 1 else 'devices'} of {wanted}, this host {has}"
    if not misplaced:
        return needs
    modes = " and ".join(dict.fromkeys(device.partition_mode.upper() for device in misplaced))
    return f"{needs}; its devices are in {modes}: {set_mode_remedy(partition_mode)}"


def fits_mode(device: Device, mode: str) -> bool:
    """Return whether a device is in a partition mode, as far as its driver tells.

    Args:
        device: The device.
        mode: ``cpx/nps4``; ``cpx`` for any memory mode; empty for any mode at all.
    """
    compute, _, memory = mode.lower().partition("/")
    told = (device.compute_partition.lower(), device.memory_partition.lower())
    return all(
        not wanted or not seen or wanted == seen
        for wanted, seen in zip((compute, memory), told, strict=True)
    )


def set_mode_remedy(mode: str) -> str:
    """Return what puts all cards of a host into a partition mode.

    Source: AMD, quick start guide to partitioning MI300X GPUs: the memory mode comes first, since
    it reloads the driver and decides which compute modes there are.
    """
    compute, _, memory = mode.upper().partition("/")
    steps = [f"`sudo amd-smi set --memory-partition {memory}`"] if memory else []
    steps.append(f"`sudo amd-smi set --compute-partition {compute}`")
    return f"set it by {', then '.join(steps)}, with nothing running on them"


def _has_memory(device: Device, sizes: Collection[int]) -> bool:
    if not sizes or device.memory_bytes is None:
        return True
    return any(abs(device.memory_bytes - size) <= _MEMORY_TOLERANCE * size for size in sizes)


def _wanted(architecture: str, sizes: Sequence[int]) -> str:
    return f"{architecture} with {format_bytes(sizes[0])}" if sizes else architecture


def _describe(devices: Iterable[Device]) -> str:
    counts = Counter(_label(device) for device in devices)
    return ", ".join(f"{count} x {label}" for label, count in counts.items()) or "cpu only"


def _label(device: Device) -> str:
    label = device.architecture or f"{device.name or device.vendor} of unknown architecture"
    if device.memory_bytes is None:
        return label
    return f"{label} with {format_bytes(device.memory_bytes)}"
