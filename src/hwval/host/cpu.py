"""Reads processor, main memory and memory nodes from ``/proc`` and ``/sys``.

Sources: Linux, Documentation/filesystems/proc.rst, admin-guide/cgroup-v2.rst (``memory.max``),
admin-guide/cgroup-v1/memory.rst (``memory.limit_in_bytes``) and
ABI/stable/sysfs-devices-node (``node*/cpulist``, ``meminfo``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from typing import NamedTuple

from hwval.host.fact import NumaNode
from hwval.host.sysfs import parse_cpu_list
from hwval.host.sysfs import read_int
from hwval.host.sysfs import read_text

__all__ = ["CpuFacts", "probe_cpu"]

# vLLM's CPU build chooses its kernels by these.
# Source: vllm/platforms/cpu.py and cmake/cpu_extension.cmake of 0.32.0; names as the kernel's
# arch/x86/include/asm/cpufeatures.h and arch/arm64/kernel/cpuinfo.c write them.
_FLAGS: Final = re.compile(r"avx\w*|amx_\w+|asimd|asimdhp|asimddp|i8mm|bf16|sve2?")


class CpuFacts(NamedTuple):
    """Processor and memory as far as this process may use them; see ``hwval.host.Host``."""

    model: str
    flags: tuple[str, ...]
    cpus: tuple[int, ...]
    memory_bytes: int | None
    numa_nodes: tuple[NumaNode, ...] = ()
    swap_bytes: int | None = None


def probe_cpu(root: Path) -> CpuFacts:
    """Return processor and memory of the machine whose file system begins at ``root``."""
    text = read_text(root / "proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    listed = re.findall(r"^processor\s*:\s*(\d+)$", text, re.MULTILINE)
    # A saved tree knows nothing of an affinity.
    is_here = root == Path("/")
    cpus = os.sched_getaffinity(0) if is_here else (int(number) for number in listed)
    return CpuFacts(
        model=model[1].strip() if model else "",
        flags=tuple(sorted(filter(_FLAGS.fullmatch, flags[1].split()))) if flags else (),
        cpus=tuple(sorted(cpus)),
        memory_bytes=min((size for size in _limits_bytes(root) if size), default=None),
        numa_nodes=_numa_nodes(root),
        swap_bytes=_kilobytes(root / "proc/meminfo", "SwapTotal"),
    )


def _limits_bytes(root: Path) -> Iterator[int | None]:
    """Yield the machine's memory, and the limits of the groups that this process is in."""
    yield _kilobytes(root / "proc/meminfo", "MemTotal")
    groups = root / "sys/fs/cgroup"
    # A container sees its own group as the root of all.
    yield read_int(groups / "memory.max")
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "memory":
            folder, name = groups / "memory", "memory.limit_in_bytes"
        elif not controllers:
            folder, name = groups, "memory.max"
        else:
            continue
        parts = [part for part in path.split("/") if part not in {"", ".."}]
        for depth in range(len(parts) + 1):
            yield read_int(folder.joinpath(*parts[:depth]) / name)


def _numa_nodes(root: Path) -> tuple[NumaNode, ...]:
    folders = [
        (int(folder.name.removeprefix("node")), folder)
        for folder in (root / "sys/devices/system/node").glob("node*")
        if folder.name.removeprefix("node").isdecimal()
    ]
    return tuple(
        NumaNode(
            number,
            parse_cpu_list(read_text(folder / "cpulist")),
            _kilobytes(folder / "meminfo", rf"Node {number} MemTotal"),
        )
        for number, folder in sorted(folders)
    )


def _kilobytes(path: Path, name: str) -> int | None:
    found = re.search(rf"^{name}:\s*(\d+) kB$", read_text(path), re.MULTILINE)
    return int(found[1]) * 1024 if found else None
