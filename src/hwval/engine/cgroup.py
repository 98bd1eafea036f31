"""Reads how much processor time a container used from the kernel's control groups.

Asking the daemon works too, but takes it longer than the poll of a start may last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["container_cpu_s"]

_ROOT: Final = Path("/sys/fs/cgroup")


def container_cpu_s(
    container_id: str, pid: int, *, proc: Path = Path("/proc"), root: Path = _ROOT
) -> float | None:
    """Return the processor seconds that all processes of a container have used.

    Args:
        container_id: Its full id; the group of ``pid`` must carry it, since a daemon on another
            host names processes that are something else here.
        pid: Its first process as this host numbers it.
        proc: Where processes are described.
        root: Where control groups are mounted.

    Returns:
        None where this host cannot tell.

    Source: cgroups(7). Version 1: ``cpuacct.usage`` in nanoseconds; version 2: ``usage_usec`` in
    ``cpu.stat``.
    """
    try:
        lines = (proc / str(pid) / "cgroup").read_text(encoding="utf-8").splitlines()
        for line in lines:
            _, controllers, path = line.split(":", 2)
            if container_id not in path:
                continue
            if "cpuacct" in controllers.split(","):
                return _version_1_s(root / "cpuacct" / path.lstrip("/"))
            if not controllers:
                unified = root / path.lstrip("/")
                return _version_2_s(unified) if unified.exists() else None
    except (OSError, ValueError):
        # The container just ended, or this host hides its groups.
        return None
    return None


def _version_1_s(group: Path) -> float:
    return int((group / "cpuacct.usage").read_text(encoding="ascii")) / 1e9


def _version_2_s(group: Path) -> float | None:
    for line in (group / "cpu.stat").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(" ")
        if name == "usage_usec":
            return int(value) / 1e6
    return None
