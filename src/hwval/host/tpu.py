"""Finds Google TPUs by their PCI devices and their nodes under ``/dev``.

Sources: ids as in jax/_src/hardware_utils.py (JAX) and pkg/abi/tpu/tpu.go (gVisor); chips are
``/dev/accel0`` and so on with Google's driver, ``/dev/vfio/GROUP`` with VFIO (v5e and newer), where
the group is that of the PCI device's ``iommu_group`` (Linux, Documentation/driver-api/vfio.rst).
Memory stands nowhere in the kernel's files; the catalogue has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from typing import NamedTuple

from hwval.host.fact import Device
from hwval.host.fact import DeviceNode
from hwval.host.sysfs import device_node
from hwval.host.sysfs import read_numa_node
from hwval.host.sysfs import read_text

__all__ = ["TpuFacts", "probe_tpu"]

_VENDOR: Final = "0x1ae0"
_GENERATIONS: Final = {
    "0x0027": "v3",  # v2 has the same
    "0x005e": "v4",
    "0x0062": "v5p",
    "0x0063": "v5e",
    "0x006f": "v6e",
    "0x0076": "v7",
}


class TpuFacts(NamedTuple):
    """TPU chips in the order of their addresses, and what was not clear."""

    devices: tuple[Device, ...]
    notes: Mapping[str, str]


def probe_tpu(root: Path) -> TpuFacts:
    """Return the TPU chips of the machine whose file system begins at ``root``."""
    folders = sorted((root / "sys/bus/pci/devices").glob("*"))
    chips = [
        folder
        for folder in folders
        if read_text(folder / "vendor") == _VENDOR and read_text(folder / "device") in _GENERATIONS
    ]
    devices = tuple(_device(root, folder, index) for index, folder in enumerate(chips))
    missing = [device.pci_address for device in devices if not device.nodes]
    notes = {}
    if missing:
        notes["tpu nodes"] = f"no /dev/accel* or /dev/vfio/* for {', '.join(missing)}"
    elif not chips and (nodes := sorted((root / "dev").glob("accel[0-9]*"))):
        # Other vendors' accelerators use these names too.
        notes["accelerators"] = f"/dev/{nodes[0].name} is there, but no TPU on the PCI bus"
    return TpuFacts(devices, notes)


def _device(root: Path, folder: Path, index: int) -> Device:
    generation = _GENERATIONS[read_text(folder / "device")]
    node = _node(root, folder, index)
    return Device(
        id=f"tpu-{folder.name}",
        vendor="tpu",
        architecture=generation,
        index=index,
        name=f"Google TPU {generation}",
        pci_address=folder.name,
        nodes=(node,) if node else (),
        numa_node=read_numa_node(folder),
    )


def _node(root: Path, folder: Path, index: int) -> DeviceNode | None:
    accelerator = device_node(root, f"/dev/accel{index}")
    if accelerator is not None:
        return accelerator
    try:
        group = (folder / "iommu_group").readlink().name
    except OSError:
        return None
    return device_node(root, f"/dev/vfio/{group}")
