"""Processor and memory from the kernel's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwval.host.cpu import probe_cpu
from tests.host.trees import write

MEMORY = {"proc/meminfo": "MemTotal: 16384 kB\nSwapTotal: 2048 kB\n"}


@pytest.mark.parametrize(
    ("files", "memory_bytes"),
    [
        pytest.param({}, 16 * 2**20, id="no-groups"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/user/run\n",
                "sys/fs/cgroup/user/memory.max": "4194304\n",
                "sys/fs/cgroup/user/run/memory.max": "max\n",
            },
            4 * 2**20,
            id="v2-of-a-parent",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "9:memory:/docker/abc\n8:pids:/\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "2097152\n",
            },
            2 * 2**20,
            id="v1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "9:memory:/../elsewhere\nbroken\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "3145728\n",
            },
            3 * 2**20,
            id="path-out-of-the-container",
        ),
    ],
)
def test_smallest_limit_counts(tmp_path: Path, files: dict[str, str], memory_bytes: int) -> None:
    """A process may use what the narrowest of its groups allows."""
    facts = probe_cpu(write(tmp_path, MEMORY | files))

    assert (facts.memory_bytes, facts.swap_bytes) == (memory_bytes, 2 * 2**20)


def test_instruction_sets_that_decide_about_kernels_are_kept(tmp_path: Path) -> None:
    """vLLM takes AVX-512 and AMX kernels by them; the rest of the flags is left out."""
    flags = "fpu sse4_2 avx2 avx512f avx512_bf16 avx512_vnni amx_bf16 amx_int8 amx_tile ibpb"
    facts = probe_cpu(write(tmp_path, {"proc/cpuinfo": f"flags : {flags}\n"}))

    assert facts.flags == (
        *("amx_bf16", "amx_int8", "amx_tile", "avx2"),
        *("avx512_bf16", "avx512_vnni", "avx512f"),
    )
