"""Reads processor and main memory from ``/proc``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from typing import NamedTuple

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


def probe_cpu(root: Path) -> CpuFacts:
    """Return processor and memory of the machine whose file system begins at ``root``."""
    text = _read(root / "proc/cpuinfo")
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
        memory_bytes=_memory_bytes(root),
    )


def _memory_bytes(root: Path) -> int | None:
    """Return the machine's memory, or the limit of its container where that is smaller."""
    total = re.search(r"^MemTotal:\s*(\d+) kB$", _read(root / "proc/meminfo"), re.MULTILINE)
    sizes = [int(total[1]) * 1024] if total else []
    limit = _read(root / "sys/fs/cgroup/memory.max").strip()
    if limit.isdigit():  # "max" stands for none
        sizes.append(int(limit))
    return min(sizes, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # absent is absent: the fact becomes None or empty
