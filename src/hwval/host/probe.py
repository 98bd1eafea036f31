"""Looks at a machine, or at the saved files of one."""

from __future__ import annotations

import platform
from pathlib import Path

from hwval.host.amd import probe_amd
from hwval.host.cpu import probe_cpu
from hwval.host.fact import Host
from hwval.host.nvidia import probe_nvidia

__all__ = ["probe_host"]


def probe_host(root: Path = Path("/")) -> Host:
    """Return what a machine has.

    Never raises for hardware that is absent or unreadable: that stands in ``Host.notes``.

    Args:
        root: Where its file system begins. Another folder than ``/`` is a saved copy of ``/proc``
            and ``/sys``: nothing is asked of this machine then, except for its name, kernel and
            architecture where the copy does not hold them.
    """
    cpu, amd, nvidia = probe_cpu(root), probe_amd(root), probe_nvidia(root)
    drivers = {"amdgpu": amd.driver, "nvidia": nvidia.driver}
    return Host(
        hostname=_read(root / "proc/sys/kernel/hostname") or platform.node(),
        kernel=_read(root / "proc/sys/kernel/osrelease") or platform.release(),
        machine=_read(root / "proc/sys/kernel/arch") or platform.machine(),
        python=platform.python_version(),
        cpu_model=cpu.model,
        cpu_flags=cpu.flags,
        cpus=cpu.cpus,
        memory_bytes=cpu.memory_bytes,
        devices=(*amd.devices, *nvidia.devices),
        drivers={name: version for name, version in drivers.items() if version},
        notes={**amd.notes, **nvidia.notes},
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""  # proc/sys/kernel/arch came with Linux 6.1
