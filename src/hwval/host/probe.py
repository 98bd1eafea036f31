"""Looks at a machine, or at the saved files of one."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

from hwval import __version__
from hwval.host.amd import probe_amd
from hwval.host.cpu import probe_cpu
from hwval.host.fact import DeviceNode
from hwval.host.fact import Host
from hwval.host.nvidia import probe_nvidia
from hwval.host.sysfs import device_node
from hwval.host.sysfs import read_text
from hwval.host.system import read_cdi_devices
from hwval.host.system import read_limits
from hwval.host.system import read_settings
from hwval.host.tpu import probe_tpu

__all__ = ["probe_host"]

_CONTROL_NODES: Final = ("/dev/kfd", "/dev/nvidiactl", "/dev/vfio/vfio")


def probe_host(root: Path = Path("/")) -> Host:
    """Return what a machine has.

    Never raises for hardware that is absent or unreadable: that stands in ``Host.notes``. Neither
    disks nor the Docker daemon nor tokens are looked at here, since those are found by variables of
    the environment; see ``hwval.host.look_at_disks`` and ``hwval.engine.docker_client``.

    Args:
        root: Where its file system begins. Another folder than ``/`` is a saved copy of ``/proc``,
            ``/sys`` and ``/dev``: nothing is asked of this machine then, except for its name,
            kernel and architecture where the copy does not hold them.
    """
    cpu, amd, nvidia, tpu = probe_cpu(root), probe_amd(root), probe_nvidia(root), probe_tpu(root)
    drivers = {"amdgpu": amd.driver, "nvidia": nvidia.driver}
    # Source: rocm-core's package, which every release of ROCm installs.
    rocm = read_text(root / "opt/rocm/.info/version")
    # Docker calls this program for `--gpus`, whatever runtimes it was told of.
    hook = root / "usr/bin/nvidia-container-runtime-hook"
    toolkit = "installed" if hook.exists() else ""
    versions = {
        "hwval": __version__,
        "rocm": rocm,
        "cuda": nvidia.cuda,
        "nvidia-container-toolkit": toolkit,
    }
    kernel = root / "proc/sys/kernel"
    return Host(
        hostname=read_text(kernel / "hostname") or platform.node(),
        kernel=read_text(kernel / "osrelease") or platform.release(),
        # proc/sys/kernel/arch came with Linux 6.1.
        machine=read_text(kernel / "arch") or platform.machine(),
        python=platform.python_version(),
        cpu_model=cpu.model,
        cpu_flags=cpu.flags,
        cpus=cpu.cpus,
        memory_bytes=cpu.memory_bytes,
        devices=(*amd.devices, *nvidia.devices, *tpu.devices),
        drivers={name: version for name, version in drivers.items() if version},
        notes={**amd.notes, **nvidia.notes, **tpu.notes},
        control_nodes=_control_nodes(root),
        numa_nodes=cpu.numa_nodes,
        swap_bytes=cpu.swap_bytes,
        limits=read_limits(root),
        settings=read_settings(root),
        versions={name: version for name, version in versions.items() if version},
        cdi_devices=read_cdi_devices(root),
    )


def _control_nodes(root: Path) -> tuple[DeviceNode, ...]:
    found = (device_node(root, path) for path in _CONTROL_NODES)
    return tuple(node for node in found if node is not None)
