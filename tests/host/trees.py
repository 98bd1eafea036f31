"""Trees of machines as the kernel shows them: /proc, /sys and /dev, as far as they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

GIB: Final = 2**30
MI300X_BYTES: Final = 206_141_652_992
"""Memory of an MI300X as its driver tells it, 191.98 GiB."""


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def lines(properties: dict[str, int]) -> str:
    """Return properties as kfd writes them."""
    return "".join(f"{name} {value}\n" for name, value in properties.items())


def write_kfd_node(
    root: Path, number: int, properties: dict[str, int], *banks: dict[str, int]
) -> Path:
    """Write one node of the compute driver's topology."""
    node = f"sys/class/kfd/kfd/topology/nodes/{number}"
    files = {
        f"{node}/mem_banks/{index}/properties": lines(bank) for index, bank in enumerate(banks)
    }
    gpu_id = 0 if not properties.get("simd_count") else 1000 + number
    write(root, files | {f"{node}/properties": lines(properties), f"{node}/gpu_id": f"{gpu_id}\n"})
    return root / node


def write_gpu(
    root: Path,
    number: int,
    *,
    target: int,
    memory_bytes: int,
    location: int,
    minor: int,
    domain: int = 0,
) -> None:
    """Write a GPU's node of the topology, and its render node under /dev."""
    properties = {
        "cpu_cores_count": 0,
        "simd_count": 256,
        "mem_banks_count": 1,
        "gfx_target_version": target,
        "location_id": location,
        "domain": domain,
        "drm_render_minor": minor,
    }
    write_kfd_node(root, number, properties, {"heap_type": 1, "size_in_bytes": memory_bytes})
    write(root, {f"dev/dri/renderD{minor}": ""})


def write_base(root: Path, *, memory_bytes: int, nodes: int = 1) -> Path:
    """Write a machine without accelerators."""
    kilobytes = memory_bytes // 1024
    files = {
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 9654\nflags\t\t: avx2 avx512f\n",
        "proc/meminfo": f"MemTotal: {kilobytes} kB\nSwapTotal: 0 kB\n",
        "proc/sys/kernel/hostname": "lab\n",
        "proc/sys/kernel/osrelease": "6.8.0\n",
        "proc/sys/kernel/arch": "x86_64\n",
        "proc/sys/kernel/numa_balancing": "1\n",
        "proc/cmdline": "BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet iommu=pt\n",
        "dev/kfd": "",
    }
    for number in range(nodes):
        folder = f"sys/devices/system/node/node{number}"
        files[f"{folder}/cpulist"] = f"{number * 4}-{number * 4 + 3}\n"
        files[f"{folder}/meminfo"] = f"Node {number} MemTotal: {kilobytes // nodes} kB\n"
    write(root, files)
    write_kfd_node(root, 0, {"cpu_cores_count": 64, "simd_count": 0, "gfx_target_version": 0})
    return root


def two_mi60(root: Path) -> Path:
    """Write a workstation with two MI60, the second one asleep, the first one in use."""
    write_base(root, memory_bytes=128 * GIB)
    for index, bus in enumerate((0x03, 0x26)):
        minor = 128 + index
        write_gpu(
            root,
            index + 1,
            target=90006,
            memory_bytes=32 * GIB,
            location=bus << 8,
            minor=minor,
        )
        write(
            root,
            {
                f"sys/bus/pci/devices/0000:{bus:02x}:00.0/{name}": text
                for name, text in {
                    "product_name": "AMD Instinct MI60\n",
                    "mem_info_vram_total": f"{32 * GIB}\n",
                    "mem_info_gtt_total": f"{64 * GIB}\n",
                    "mem_info_vram_used": f"{index * 3 * GIB}\n",
                    "power/runtime_status": "suspended\n" if index else "active\n",
                    "hwmon/hwmon1/power1_cap": "225000000\n",
                    "numa_node": "-1\n",
                }.items()
            },
        )
    write(root, {"sys/class/kfd/kfd/proc/4711/vram_1001": f"{GIB}\n"})
    write(root, {"sys/class/kfd/kfd/proc/4712/vram_1001": "0\n"})
    return root


def mi300x(root: Path, *, compute: str, memory: str, in_high_bits: bool = False) -> Path:
    """Write a server with eight MI300X in a partition mode.

    Args:
        root: Folder of the tree.
        compute: ``SPX`` or ``CPX``.
        memory: ``NPS1`` or ``NPS4``.
        in_high_bits: Whether the driver puts a partition's number into bits 28 to 31 of its
            location, not into those of the function.
    """
    write_base(root, memory_bytes=2048 * GIB, nodes=2)
    parts = 8 if compute == "CPX" else 1
    number = 0
    for card in range(8):
        bus = 0x0C + 0x10 * card
        for part in range(parts):
            number += 1
            write_gpu(
                root,
                number,
                target=90402,
                memory_bytes=MI300X_BYTES // parts,
                location=bus << 8 | (part << 28 if in_high_bits else part),
                minor=127 + number,
            )
        write(
            root,
            {
                f"sys/bus/pci/devices/0000:{bus:02x}:00.0/{name}": f"{text}\n"
                for name, text in {
                    "current_compute_partition": compute,
                    "current_memory_partition": memory,
                    "mem_info_vram_total": MI300X_BYTES,
                    "product_name": "AMD Instinct MI300X OAM",
                    "numa_node": card // 4,
                }.items()
            },
        )
    return root


def strix_halo(root: Path, *, told_bytes: int = 110 * GIB) -> Path:
    """Write a Strix Halo with 512 MiB of carve-out and 110 GiB of GTT.

    Args:
        root: Folder of the tree.
        told_bytes: What the compute driver tells programs of; before Linux 6.10 the carve-out.
    """
    write_base(root, memory_bytes=125 * GIB)
    write_gpu(root, 1, target=110501, memory_bytes=told_bytes, location=0xC500, minor=128)
    folder = "sys/class/drm/renderD128/device"
    write(
        root,
        {f"{folder}/mem_info_vram_total": f"{GIB // 2}\n"}
        | {f"{folder}/mem_info_gtt_total": f"{110 * GIB}\n"},
    )
    return root


def tpu_v5e(root: Path, *, chips: int = 4) -> Path:
    """Write a virtual machine with TPU v5e behind VFIO."""
    write_base(root, memory_bytes=188 * GIB)
    write(root, {"dev/vfio/vfio": ""})
    for index in range(chips):
        folder = root / f"sys/bus/pci/devices/0000:00:{4 + index:02x}.0"
        write(folder, {"vendor": "0x1ae0\n", "device": "0x0063\n", "numa_node": "0\n"})
        folder.joinpath("iommu_group").symlink_to(f"/sys/kernel/iommu_groups/{index}")
        write(root, {f"dev/vfio/{index}": ""})
    other = root / "sys/bus/pci/devices/0000:00:03.0"
    write(other, {"vendor": "0x1ae0\n", "device": "0x0042\n"})  # a network card of Google's
    return root
