"""The machines that shipped matrices are for, as a probe of each would see it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hwval.host import Device
from hwval.host import DeviceNode
from hwval.host import Host

__all__ = ["MACHINES"]

VIDEO, RENDER = 44, 992
_GIB: Final = 2**30


def _host(name: str, devices: tuple[Device, ...], memory_gib: int = 128) -> Host:
    return Host(
        hostname=name,
        kernel="6.8.0",
        machine="x86_64",
        python="3.12.3",
        cpu_model="a processor",
        cpu_flags=("avx2", "avx512f"),
        cpus=tuple(range(32)),
        memory_bytes=memory_gib * _GIB,
        devices=devices,
    )


def _amd(architecture: str, memory_gib: int, count: int, mode: str = "") -> tuple[Device, ...]:
    """Return devices whose shared node is of the group `video`, their own of `render`.

    The shared node stands among their own, so that its group is known away from that host.
    """
    compute, _, memory = mode.partition("/")
    return tuple(
        Device(
            f"amd-{index}", "rocm", architecture, index=index, memory_bytes=memory_gib * _GIB,
            compute_partition=compute, memory_partition=memory,
            nodes=(
                DeviceNode("/dev/kfd", VIDEO),
                DeviceNode(f"/dev/dri/renderD{128 + index}", RENDER),
            ),
        )
        for index in range(count)
    )  # fmt: skip


def _nvidia(architecture: str, memory_gib: int) -> tuple[Device, ...]:
    uuid = "GPU-3f0a1c52-0000-0000-0000-000000000001"
    return (Device("nvidia-0", "cuda", architecture, memory_bytes=memory_gib * _GIB, uuid=uuid),)


def _tpu() -> tuple[Device, ...]:
    node = (DeviceNode("/dev/vfio/0", 0),)
    return (Device("tpu-0", "tpu", "v5e", memory_bytes=16 * _GIB, nodes=node),)


MACHINES: Final[Mapping[str, Callable[[], Host]]] = MappingProxyType(
    {
        "ada-12gb": lambda: _host("ada-12gb", _nvidia("sm_89", 12), 64),
        "ampere-12gb": lambda: _host("ampere-12gb", _nvidia("sm_86", 12), 64),
        "mi60-dual": lambda: _host("mi60-dual", _amd("gfx906", 32, 2)),
        "mi300x": lambda: _host("mi300x", _amd("gfx942", 192, 8, "SPX/NPS1"), 2048),
        "mi300x-cpx": lambda: _host("mi300x-cpx", _amd("gfx942", 24, 64, "CPX/NPS4"), 2048),
        "mi300x-cpx-nps1": lambda: _host("cpx-nps1", _amd("gfx942", 24, 64, "CPX/NPS1"), 2048),
        # 128 GB of memory, of which firmware gives half to the GPU.
        "strix-halo": lambda: _host("strix-halo", _amd("gfx1151", 64, 1), 64),
        "tpu-v5e": lambda: _host("tpu-v5e", _tpu(), 48),
    }
)
"""Name -> what makes the machine."""
