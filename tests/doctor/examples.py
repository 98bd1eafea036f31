"""Hosts and cells that the doctor's tests examine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Final

from hwval.doctor import Check
from hwval.host import Device
from hwval.host import DeviceNode
from hwval.host import Disk
from hwval.host import Docker
from hwval.host import Host
from hwval.placement import PlacedCell
from hwval.placement import select

GIB: Final = 2**30
DOCKER: Final = Docker("unix:///var/run/docker.sock", "28.0", "1.48", ("runc",), "runc")
MI60: Final = Device(
    "amd-0000:03:00.0",
    "rocm",
    "gfx906",
    memory_bytes=32 * GIB,
    pci_address="0000:03:00.0",
    nodes=(DeviceNode("/dev/dri/renderD128", 993, openable=True),),
    used_bytes=0,
    power_state="active",
)
MI300X: Final = replace(
    MI60,
    architecture="gfx942",
    memory_bytes=192 * GIB,
    compute_partition="SPX",
    memory_partition="NPS1",
)
RTX: Final = Device(
    "GPU-1",
    "cuda",
    "sm_86",
    memory_bytes=12 * GIB,
    nodes=(DeviceNode("/dev/nvidia0", 44, openable=True),),
    used_bytes=0,
    persistence=True,
)
PLAIN: Final = Host(
    "lab",
    "6.8",
    "x86_64",
    "3.12",
    "EPYC",
    (),
    (0, 1),
    64 * GIB,
    control_nodes=(DeviceNode("/dev/kfd", 993, openable=True),),
    swap_bytes=0,
    limits={"nofile": 524288, "memlock": None},
    settings={"numa_balancing": "0", "cmdline": "iommu=pt"},
    disks=(Disk("models", "/hf", 10**13, 10**13, 7),),
    docker=DOCKER,
    cached_models=(),
    hub_token=False,
)


def host_with(*devices: Device, **changes: Any) -> Host:
    """Return a host in order, with these devices and changes."""
    return replace(PLAIN, devices=devices, **changes)


def cells(folder: Path, host: Host, text: str) -> tuple[PlacedCell, ...]:
    """Return the cells of a matrix, placed on a host."""
    path = folder / "matrix.yaml"
    path.write_text(text)
    return select([path], host).placed


def matrix(hardware: str, image: str, model: str, *, more: str = "") -> str:
    """Return a matrix of one cell."""
    return (
        f"axes:\n  hardware: {hardware}\n  image: {image}\n  model: {model}\n  dtype: float16\n"
        f"engine: {{max-model-len: 4096}}\n{more}"
    )


def named(checks: tuple[Check, ...], name: str) -> Check:
    """Return the one check of a name."""
    (check,) = [check for check in checks if check.name == name]
    return check
