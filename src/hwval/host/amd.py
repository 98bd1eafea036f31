"""Reads AMD devices from the topology of the kernel's compute driver (kfd).

No ROCm needs to be installed: the driver's own files name architecture, memory and render node.

Source: Linux, drivers/gpu/drm/amd/amdkfd/kfd_topology.c (``node_show``, ``mem_show``) and
kfd_crat.h (heap types); ``gfx_target_version`` as in kfd_device.c.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from typing import NamedTuple

from hwval.host.fact import Device
from hwval.host.fact import DeviceNode

__all__ = ["AmdFacts", "format_gfx", "probe_amd"]

_NODES: Final = "sys/class/kfd/kfd/topology/nodes"
# HSA_MEM_HEAP_TYPE_FB_PUBLIC and _FB_PRIVATE: memory of the device; 0 is system memory.
_FRAMEBUFFER_HEAPS: Final = frozenset({1, 2})


class AmdFacts(NamedTuple):
    """AMD devices, the driver's version (empty if built in or unknown) and what was unreadable."""

    devices: tuple[Device, ...]
    driver: str
    notes: Mapping[str, str]


def format_gfx(target_version: int) -> str:
    """Return the architecture's name for kfd's ``gfx_target_version``.

    The number is ``major * 10000 + minor * 100 + stepping``; the name writes the last two in
    hexadecimal.

    Example:
        >>> [format_gfx(number) for number in (90006, 90010, 90402, 110501)]
        ['gfx906', 'gfx90a', 'gfx942', 'gfx1151']
    """
    major, rest = divmod(target_version, 10000)
    minor, stepping = divmod(rest, 100)
    return f"gfx{major}{minor:x}{stepping:x}"


def probe_amd(root: Path) -> AmdFacts:
    """Return the AMD devices of the machine whose file system begins at ``root``."""
    devices: list[Device] = []
    notes: dict[str, str] = {}
    folder = root / _NODES
    numbered = [path for path in folder.glob("*") if path.name.isdigit()]
    for node in sorted(numbered, key=lambda path: int(path.name)):
        try:
            properties = _properties(node / "properties")
        except OSError as error:
            # The driver hides nodes that the process' device cgroup does not allow.
            notes[f"kfd node {node.name}"] = str(error.strerror or error)
            continue
        # A node without compute units is a processor; 0 as version: too old for any vLLM.
        if properties.get("simd_count") and properties.get("gfx_target_version"):
            device = _device(root, node, properties, index=len(devices))
            # Partitions of one card share its address.
            siblings = sum(other.pci_address == device.pci_address for other in devices)
            name = f"{device.id}-{siblings}" if siblings else device.id
            devices.append(dataclasses.replace(device, id=name))
    version = root / "sys/module/amdgpu/version"
    driver = version.read_text(encoding="utf-8").strip() if version.is_file() else ""
    return AmdFacts(tuple(devices), driver, notes)


def _properties(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _device(root: Path, node: Path, properties: Mapping[str, int], *, index: int) -> Device:
    minor = properties.get("drm_render_minor", 0)
    address = _pci_address(properties)
    return Device(
        id=f"amd-{address}",
        vendor="rocm",
        architecture=format_gfx(properties["gfx_target_version"]),
        index=index,
        name=_name(root, minor),
        memory_bytes=_memory_bytes(node),
        uuid=f"GPU-{properties['unique_id']:016x}" if properties.get("unique_id") else "",
        pci_address=address,
        nodes=_device_nodes(root, minor),
    )


def _pci_address(properties: Mapping[str, int]) -> str:
    location = properties.get("location_id", 0)
    bus, slot, function = location >> 8, (location >> 3) & 0x1F, location & 0x7
    return f"{properties.get('domain', 0):04x}:{bus:02x}:{slot:02x}.{function}"


def _name(root: Path, minor: int) -> str:
    product = root / f"sys/class/drm/renderD{minor}/device/product_name"
    try:
        return product.read_text(encoding="utf-8").strip()
    except OSError:
        return ""  # only some cards have one


def _memory_bytes(node: Path) -> int | None:
    sizes = []
    for bank in node.glob("mem_banks/*/properties"):
        try:
            properties = _properties(bank)
        except OSError:
            return None  # a partial sum would be wrong
        if properties.get("heap_type") in _FRAMEBUFFER_HEAPS:
            sizes.append(properties.get("size_in_bytes", 0))
    return sum(sizes) or None


def _device_nodes(root: Path, minor: int) -> tuple[DeviceNode, ...]:
    """Return the render node; ``/dev/kfd`` is shared by all devices and so belongs to none."""
    if not minor:
        return ()
    path = f"/dev/dri/renderD{minor}"
    try:
        return (DeviceNode(path, os.stat(root / path.lstrip("/")).st_gid),)  # noqa: PTH116
    except OSError:
        return ()  # not passed into this container, or a saved tree without it
