"""Reads AMD devices from the topology of the kernel's compute driver (kfd).

No ROCm needs to be installed: the driver's own files name architecture, memory and render node.

Sources, all of Linux, below drivers/gpu/drm/amd:
    amdkfd/kfd_topology.c (``node_show``, ``mem_show``, ``kfd_topology_add_device``) and
    amdkfd/kfd_crat.h (heap types); ``gfx_target_version`` as in amdkfd/kfd_device.c;
    amdgpu/amdgpu_gfx.c and amdgpu_gmc.c (``current_compute_partition``,
    ``current_memory_partition``); amdgpu/amdgpu_vram_mgr.c and amdgpu_gtt_mgr.c (``mem_info_*``);
    amdkfd/kfd_process.c (``/sys/class/kfd/kfd/proc/PID/vram_GPUID``); amdxcp/amdgpu_xcp_drv.c:
    partitions beyond the first have a render node each, and no PCI device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from typing import NamedTuple

from hwval.host.fact import Device
from hwval.host.fact import DeviceNode
from hwval.host.sysfs import device_node
from hwval.host.sysfs import pci_folder
from hwval.host.sysfs import read_int
from hwval.host.sysfs import read_numa_node
from hwval.host.sysfs import read_text
from hwval.units import format_bytes

__all__ = ["AmdFacts", "format_gfx", "probe_amd"]

_KFD: Final = "sys/class/kfd/kfd"
# HSA_MEM_HEAP_TYPE_FB_PUBLIC and _FB_PRIVATE: memory of the device; 0 is system memory.
_FRAMEBUFFER_HEAPS: Final = frozenset({1, 2})
# Integrated GPUs, which work in the host's memory.
# Source: LLVM, docs/AMDGPUUsage.rst, table of processors, those of kind APU.
_INTEGRATED: Final = frozenset(
    {"gfx902", "gfx909", "gfx90c", "gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1103"}
    | {"gfx1150", "gfx1151", "gfx1152", "gfx1153"}
)
_MICROWATTS: Final = 1e-6


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
    users = _users(root)
    for node in _numbered(root / _KFD / "topology/nodes"):
        try:
            properties = _properties(node / "properties")
        except OSError as error:
            # The driver hides nodes that the process' device cgroup does not allow.
            notes[f"kfd node {node.name}"] = str(error.strerror or error)
            continue
        # A node without compute units is a processor; 0 as version: too old for any vLLM.
        if properties.get("simd_count") and properties.get("gfx_target_version"):
            device = _device(root, node, properties, index=len(devices))
            pids = users.get(read_text(node / "gpu_id"), ())
            devices.append(dataclasses.replace(device, processes=tuple(sorted(pids))))
    if not devices and not notes and (root / "sys/module/amdgpu").is_dir():
        notes["amd devices"] = "the driver is loaded, but its compute part (kfd) shows no device"
    notes |= {device.id: note for device in devices if (note := _carve_out_note(root, device))}
    version = read_text(root / "sys/module/amdgpu/version")
    return AmdFacts(tuple(_named(devices)), version, notes)


def _numbered(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("*") if path.name.isdecimal()]
    return sorted(found, key=lambda path: int(path.name))


def _properties(path: Path) -> dict[str, int]:
    text = path.read_text(encoding="utf-8", errors="replace")
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _device(root: Path, node: Path, properties: Mapping[str, int], *, index: int) -> Device:
    minor = properties.get("drm_render_minor", 0)
    address = _pci_address(root, properties)
    architecture = format_gfx(properties["gfx_target_version"])
    # Of a saved tree the one or the other may have been kept.
    folders = (pci_folder(root, address), root / f"sys/class/drm/renderD{minor}/device")
    vram, gtt, used = (
        _first_int(folders, f"mem_info_{name}") for name in ("vram_total", "gtt_total", "vram_used")
    )
    unified = architecture in _INTEGRATED
    told = _memory_bytes(node)
    if unified:
        told = max((size for size in (told, vram, gtt) if size), default=None)
    return Device(
        id=f"amd-{address}",
        vendor="rocm",
        architecture=architecture,
        index=index,
        name=_first_text(folders, "product_name"),
        memory_bytes=told,
        uuid=f"GPU-{properties['unique_id']:016x}" if properties.get("unique_id") else "",
        pci_address=address,
        nodes=_device_nodes(root, minor),
        compute_partition=_first_text(folders, "current_compute_partition"),
        memory_partition=_first_text(folders, "current_memory_partition"),
        vram_bytes=vram,
        gtt_bytes=gtt,
        used_bytes=used,
        unified=unified,
        power_state=_first_text(folders, "power/runtime_status"),
        power_limit_w=_power_limit_w(folders),
        numa_node=_numa_node(folders),
    )


def _pci_address(root: Path, properties: Mapping[str, int]) -> str:
    """Return the address of the card.

    A partition's number is put into the bits 28 to 31 of its location by some releases of the
    driver, and into those of the function by others, where no function of that number exists.
    """
    location = properties.get("location_id", 0)
    bus, slot, function = (location >> 8) & 0xFF, (location >> 3) & 0x1F, location & 0x7
    card = f"{properties.get('domain', 0):04x}:{bus:02x}:{slot:02x}"
    address = f"{card}.{function}"
    return address if pci_folder(root, address).is_dir() else f"{card}.0"


def _named(devices: Iterable[Device]) -> Iterable[Device]:
    """Give partitions of one card, which share its address, names and modes of their own."""
    seen: dict[str, Device] = {}
    count: dict[str, int] = {}
    for device in devices:
        first = seen.setdefault(device.id, device)
        number = count[device.id] = count.get(device.id, -1) + 1
        if not number:
            yield device
            continue
        # Only the first partition has a PCI device, whose files speak for the whole card.
        yield dataclasses.replace(
            device,
            id=f"{device.id}-{number}",
            name=device.name or first.name,
            compute_partition=device.compute_partition or first.compute_partition,
            memory_partition=device.memory_partition or first.memory_partition,
        )


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


def _carve_out_note(root: Path, device: Device) -> str:
    """Return a note where the compute driver counts the carve-out alone.

    Since Linux 6.10 it tells programs of all that an integrated GPU is given, if that is more than
    its carve-out (commit 89773b85599a, later ``apu_prefer_gtt``).
    """
    if not (device.unified and device.memory_bytes):
        return ""
    told = [
        size
        for node in _numbered(root / _KFD / "topology/nodes")
        if (size := _memory_bytes(node)) and _is_at(root, node, device)
    ]
    if not told or told[0] >= 0.9 * device.memory_bytes:
        return ""
    return (
        f"its driver tells programs of {format_bytes(told[0])} only, the carve-out; since Linux "
        f"6.10 it tells them of {format_bytes(device.memory_bytes)}"
    )


def _is_at(root: Path, node: Path, device: Device) -> bool:
    try:
        return _pci_address(root, _properties(node / "properties")) == device.pci_address
    except OSError:
        return False


def _device_nodes(root: Path, minor: int) -> tuple[DeviceNode, ...]:
    """Return the render node; ``/dev/kfd`` is shared by all devices and so belongs to none."""
    node = device_node(root, f"/dev/dri/renderD{minor}") if minor else None
    return (node,) if node else ()


def _users(root: Path) -> dict[str, list[int]]:
    """Return the driver's number of each device -> processes with memory on it."""
    users: dict[str, list[int]] = {}
    for process in _numbered(root / _KFD / "proc"):
        for file in process.glob("vram_*"):
            if read_int(file):
                users.setdefault(file.name.removeprefix("vram_"), []).append(int(process.name))
    return users


def _first_text(folders: Iterable[Path], name: str) -> str:
    return next((text for folder in folders if (text := read_text(folder / name))), "")


def _first_int(folders: Iterable[Path], name: str) -> int | None:
    sizes = (read_int(folder / name) for folder in folders)
    return next((size for size in sizes if size is not None), None)


def _power_limit_w(folders: Iterable[Path]) -> float | None:
    limits = (
        read_int(path) for folder in folders for path in sorted(folder.glob("hwmon/*/power1_cap"))
    )
    return next((limit * _MICROWATTS for limit in limits if limit), None)


def _numa_node(folders: Iterable[Path]) -> int | None:
    nodes = (read_numa_node(folder) for folder in folders)
    return next((node for node in nodes if node is not None), None)
