"""The facts of a machine as people read them; the terminal and the sign-off tell the same."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Final

from hwval.host.fact import Device
from hwval.host.fact import Disk
from hwval.host.fact import Docker
from hwval.host.fact import Host
from hwval.host.fact import NumaNode
from hwval.units import format_bytes

__all__ = ["host_rows"]

# Instruction sets that decide which kernels vLLM takes on x86-64.
_TELLING_FLAGS: Final = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
_MOST_DEVICES: Final = 16
_SHOWN_OF_MORE: Final = 8


def host_rows(host: Host, *, with_places: bool = False) -> Iterator[tuple[str, str]]:
    """Yield subject and what is known of it; what nobody looked at is left out.

    Args:
        host: The machine.
        with_places: Whether each device gets a row of its own, with its files under ``/dev`` and
            without a subject.
    """
    yield "hostname", f"{host.hostname} ({host.machine}, kernel {host.kernel or 'unknown'})"
    flags = [flag for flag in _TELLING_FLAGS if flag in host.cpu_flags]
    threads = f"{len(host.cpus)} thread{'' if len(host.cpus) == 1 else 's'}"
    yield "processor", ", ".join([host.cpu_model or "unknown", threads, *flags])
    swap = f", {format_bytes(host.swap_bytes)} of swap" if host.swap_bytes else ""
    yield "memory", _size(host.memory_bytes) + swap
    if len(host.numa_nodes) > 1:
        yield "memory nodes", _memory_nodes(host.numa_nodes)
    yield from _accelerators(host.devices, with_places=with_places)
    yield "python", host.python
    yield from {**host.drivers, **host.versions}.items()
    yield from ((f"kernel: {name}", value) for name, value in host.settings.items())
    if host.docker is not None:
        yield "docker", _docker(host.docker)
    yield from ((f"disk: {disk.purpose}", _disk(disk)) for disk in host.disks)
    ids = {device.id for device in host.devices}
    for subject, note in host.notes.items():
        yield ("note", f"{subject}: {note}") if subject in ids else (f"no {subject}", note)


def _size(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else format_bytes(size_bytes)


def _memory_nodes(nodes: Sequence[NumaNode]) -> str:
    return f"{len(nodes)}: {', '.join(_size(node.memory_bytes) for node in nodes)}"


def _accelerators(devices: Sequence[Device], *, with_places: bool) -> Iterator[tuple[str, str]]:
    """Yield a row for all devices that differ in their places only."""
    if not devices:
        yield "accelerators", "none found"
    alike: dict[str, list[Device]] = {}
    for device in devices:
        alike.setdefault(_device(device), []).append(device)
    for line, group in alike.items():
        count = f"{len(group)} x " if len(group) > 1 else ""
        if with_places:
            yield "accelerators", f"{count}{line}"
            yield from (("", place) for place in _some([_place(device) for device in group]))
        else:
            ids = ", ".join(_some([device.id for device in group]))
            yield "accelerators", f"{count}{line} ({ids})"


def _some(names: Sequence[str]) -> Sequence[str]:
    if len(names) <= _MOST_DEVICES:
        return names
    return [*names[:_SHOWN_OF_MORE], f"... {len(names) - _SHOWN_OF_MORE} more"]


def _device(device: Device) -> str:
    size = "unknown memory" if device.memory_bytes is None else format_bytes(device.memory_bytes)
    parts = [device.name or device.vendor, device.architecture or "unknown architecture", size]
    if device.partition_mode:
        parts.append(device.partition_mode.upper())
    if device.unified:
        given = ((device.vram_bytes, "carve-out"), (device.gtt_bytes, "GTT"))
        parts += [f"{format_bytes(part)} {label}" for part, label in given if part is not None]
    return ", ".join(parts)


def _place(device: Device) -> str:
    nodes = ", ".join(f"{node.path} (group {node.group_id})" for node in device.nodes)
    return f"{device.id}  {nodes or 'no node under /dev'}"


def _docker(docker: Docker) -> str:
    details = [f"API {docker.api_version or 'unknown'}"]
    details += [f"cgroup v{docker.cgroup_version}"] if docker.cgroup_version else []
    details += ["rootless"] if docker.rootless else []
    details += [f"runtimes {', '.join(docker.runtimes)}"] if docker.runtimes else []
    details += ["CDI"] if docker.cdi_folders else []
    return f"{docker.version} ({', '.join(details)})"


def _disk(disk: Disk) -> str:
    room = f"{format_bytes(disk.free_bytes)} of {format_bytes(disk.total_bytes)} free"
    return f"{room}, {disk.path}"
