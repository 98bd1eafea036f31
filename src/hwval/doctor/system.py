"""Checks of the kernel's settings and of what processes of this user may have."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Final

from hwval.catalogue import Vendor
from hwval.doctor.check import Check
from hwval.doctor.check import not_checkable
from hwval.doctor.check import ok
from hwval.doctor.check import runnable
from hwval.doctor.check import warning
from hwval.host import Host
from hwval.placement import PlacedCell
from hwval.units import format_bytes

__all__ = ["system_checks"]

# Instinct accelerators, whose guides ask for it.
_INSTINCT: Final = frozenset({"gfx908", "gfx90a", "gfx942", "gfx950"})
# What the kernel itself gives since 5.16 (include/uapi/linux/resource.h, MLOCK_LIMIT).
_LEAST_MEMLOCK_BYTES: Final = 8 * 2**20
# A connection for each stream of the load generator, and as many of a server in a venv.
_LEAST_NOFILE: Final = 4096


def system_checks(host: Host, cells: Sequence[PlacedCell]) -> Iterator[Check]:
    """Yield the checks of the machine below the accelerators."""
    if any(device.vendor == "rocm" for device in host.devices):
        yield _numa_balancing(host)
    if any(device.architecture in _INSTINCT for device in host.devices):
        yield _iommu(host)
    yield from _limits(host)
    yield from _swap(host, cells)


def _numa_balancing(host: Host) -> Check:
    """Return whether the kernel moves pages between memory nodes, which stalls GPUs.

    Source: AMD, guides to system optimization for Instinct; README of ROCm/vllm's dev-docker.
    """
    name = "numa-balancing"
    value = host.settings.get("numa_balancing")
    if value is None:
        return not_checkable(name, "/proc/sys/kernel/numa_balancing cannot be read")
    if value != "0":
        return warning(
            name,
            "automatic NUMA balancing is on: it stops GPUs for moments, and numbers scatter",
            "`sudo sysctl kernel.numa_balancing=0`, for good by a file in /etc/sysctl.d",
        )
    return ok(name, "automatic NUMA balancing is off")


def _iommu(host: Host) -> Check:
    """Return whether devices bypass the IOMMU's translation.

    Source: AMD, guides to system optimization for Instinct (MI100, MI200, MI300X): ``iommu=pt``.
    """
    name = "iommu"
    words = host.settings.get("cmdline")
    if words is None and "numa_balancing" not in host.settings:
        return not_checkable(name, "the boot line cannot be read")
    given = (words or "").split()
    if {"iommu=pt", "iommu=off", "amd_iommu=off"} & set(given):
        return ok(name, f"booted with {' '.join(word for word in given if 'iommu' in word)}")
    return warning(
        name,
        "not booted with iommu=pt, which AMD's guides for Instinct ask for: transfers between "
        "devices are translated and slower",
        "add `iommu=pt` to GRUB_CMDLINE_LINUX in /etc/default/grub, `sudo update-grub`, reboot",
    )


def _limits(host: Host) -> Iterator[Check]:
    name = "limits"
    if not host.limits:
        yield not_checkable(name, "the limits of processes cannot be read")
        return
    memlock = host.limits.get("memlock")
    files = host.limits.get("nofile")
    low = False
    if files is not None and files < _LEAST_NOFILE:
        low = True
        yield warning(
            name,
            f"a process may open {files} files; each stream of a load is one",
            f"`ulimit -n {_LEAST_NOFILE}` before the run, for good in /etc/security/limits.d",
        )
    if memlock is not None and memlock < _LEAST_MEMLOCK_BYTES:
        low = True
        yield warning(
            name,
            f"a process may lock {format_bytes(memlock)} of memory, less than kernels give today",
            "`ulimit -l unlimited` before the run, for good in /etc/security/limits.d",
        )
    if not low:
        lockable = "any memory" if memlock is None else format_bytes(memlock)
        yield ok(name, f"processes may open {files or 'any number of'} files and lock {lockable}")


def _swap(host: Host, cells: Sequence[PlacedCell]) -> Iterator[Check]:
    name = "swap"
    if host.swap_bytes is None:
        yield not_checkable(name, "the size of swap cannot be read")
        return
    in_main_memory = any(device.unified for device in host.devices) or any(
        placed.vendor is Vendor.CPU and placed.cell.memory_bytes is None
        for placed in runnable(cells)
    )
    if host.swap_bytes and in_main_memory:
        yield warning(
            name,
            f"{format_bytes(host.swap_bytes)} of swap: an engine in main memory that is too big "
            "crawls where it should end",
            "`sudo swapoff -a` for the run, or limit it by `container: {memory: ...}`",
        )
        return
    text = f"{format_bytes(host.swap_bytes)} of swap" if host.swap_bytes else "no swap"
    yield ok(name, text)
