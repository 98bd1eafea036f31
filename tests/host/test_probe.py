"""A host as a value: probed, saved, read back."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from hwval.errors import UsageError
from hwval.host import Device
from hwval.host import DeviceNode
from hwval.host import Host
from hwval.host import probe_host

CPUINFO = """\
processor\t: 0
model name\t: AMD EPYC 9654 96-Core Processor
flags\t\t: fpu sse2 avx avx2 avx512f avx512_bf16 avx512_vnni amx_tile hypervisor

processor\t: 1
model name\t: AMD EPYC 9654 96-Core Processor
flags\t\t: fpu sse2 avx avx2 avx512f avx512_bf16 avx512_vnni amx_tile hypervisor
"""


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_saved_machine_is_read_from_its_files(tmp_path: Path) -> None:
    """Nothing of the machine that looks gets into it."""
    root = write(
        tmp_path,
        {
            "proc/cpuinfo": CPUINFO,
            "proc/meminfo": "MemTotal:       16384 kB\nMemFree:   1 kB\n",
            "proc/sys/kernel/hostname": "lab7\n",
            "proc/sys/kernel/osrelease": "6.8.0-45-generic\n",
            "proc/sys/kernel/arch": "x86_64\n",
        },
    )

    assert probe_host(root) == Host(
        hostname="lab7",
        kernel="6.8.0-45-generic",
        machine="x86_64",
        python=platform.python_version(),
        cpu_model="AMD EPYC 9654 96-Core Processor",
        cpu_flags=("amx_tile", "avx", "avx2", "avx512_bf16", "avx512_vnni", "avx512f"),
        cpus=(0, 1),
        memory_bytes=16 * 2**20,
    )


@pytest.mark.parametrize(
    ("limit", "memory_bytes"),
    [
        pytest.param("1048576\n", 2**20, id="smaller"),
        pytest.param("99999999999\n", 16 * 2**20, id="larger"),
        pytest.param("max\n", 16 * 2**20, id="none"),
    ],
)
def test_limit_of_a_container_counts(tmp_path: Path, limit: str, memory_bytes: int) -> None:
    """What the process may not use, the machine does not have."""
    files = {"proc/meminfo": "MemTotal: 16384 kB\n", "sys/fs/cgroup/memory.max": limit}

    assert probe_host(write(tmp_path, files)).memory_bytes == memory_bytes


def test_empty_tree_is_a_host_without_facts(tmp_path: Path) -> None:
    """Absent is absent; nothing raises."""
    host = probe_host(tmp_path)

    assert (host.cpu_model, host.cpu_flags, host.cpus) == ("", (), ())
    assert host.memory_bytes is None
    assert host.devices == ()


def test_this_machine_respects_its_affinity() -> None:
    """Processors that the process may not use do not count."""
    host = probe_host()

    assert host.cpus == tuple(sorted(os.sched_getaffinity(0)))
    assert (host.memory_bytes or 0) > 0
    assert host.kernel == platform.release()


HOST = Host(
    hostname="lab7",
    kernel="6.8",
    machine="x86_64",
    python="3.12.1",
    cpu_model="EPYC",
    cpu_flags=("avx2",),
    cpus=(0, 1),
    memory_bytes=2**34,
    devices=(
        Device(
            "amd-0000:03:00.0",
            "rocm",
            "gfx906",
            memory_bytes=2**35,
            nodes=(DeviceNode("/dev/dri/renderD128", 44),),
        ),
    ),
    drivers={"amdgpu": "6.10.5"},
    notes={"kfd node 2": "Operation not permitted"},
)


def test_host_survives_being_saved() -> None:
    """A saved probe plans for hardware that one does not have."""
    assert Host.from_json(json.loads(json.dumps(HOST.to_json()))) == HOST


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"v": 99}, "format version 99, expected 1", id="other-version"),
        pytest.param({"speed": 1}, "speed", id="unknown-field"),
        pytest.param({"devices": [{"id": "x"}]}, "expected a saved probe", id="broken-device"),
    ],
)
def test_other_json_is_refused(change: dict[str, object], message: str) -> None:
    """One line says what does not fit."""
    with pytest.raises(UsageError, match=message):
        Host.from_json(HOST.to_json() | change)
