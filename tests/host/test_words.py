"""A machine in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hwval.host import Device
from hwval.host import Disk
from hwval.host import Docker
from hwval.host import Host
from hwval.host import NumaNode
from hwval.host import host_rows
from hwval.host import probe_host
from tests.host.trees import mi300x

HOST = Host("lab-7", "6.8", "x86_64", "3.11.7", "EPYC", ("avx2", "sse"), (0, 1), 2**34)
GPU = Device(id="gpu0", vendor="rocm", architecture="gfx942", name="MI300X", memory_bytes=2**37)


def test_facts_have_human_units() -> None:
    """What nobody looked at is not there."""
    host = replace(
        HOST,
        devices=(GPU, replace(GPU, id="gpu1", index=1)),
        disks=(Disk("models", "/m", 2**30, 2**31),),
        docker=Docker("unix:///x", "27.0", "1.46", ("nvidia",), cgroup_version="2"),
        numa_nodes=(NumaNode(0), NumaNode(1, memory_bytes=2**33)),
        swap_bytes=2**30,
        settings={"numa_balancing": "0"},
        notes={"tpu": "no library", "gpu1": "asleep"},
    )

    assert dict(host_rows(host)) == {
        "hostname": "lab-7 (x86_64, kernel 6.8)",
        "processor": "EPYC, 2 threads, avx2",
        "memory": "16.0 GiB, 1.00 GiB of swap",
        "memory nodes": "2: unknown, 8.00 GiB",
        "accelerators": "2 x MI300X, gfx942, 128 GiB (gpu0, gpu1)",
        "python": "3.11.7",
        "kernel: numa_balancing": "0",
        "docker": "27.0 (API 1.46, cgroup v2, runtimes nvidia)",
        "disk: models": "1.00 GiB of 2.00 GiB free, /m",
        "no tpu": "no library",
        "note": "gpu1: asleep",
    }


def test_what_is_unknown_says_so() -> None:
    """And is never taken for zero."""
    host = Host("a", "", "x86_64", "3.11", "", (), (0,), None)
    rows = dict(
        host_rows(replace(host, docker=Docker("x", "1"), devices=(Device("g", "tpu", None),)))
    )

    assert rows["hostname"] == "a (x86_64, kernel unknown)"
    assert rows["processor"] == "unknown, 1 thread"
    assert rows["memory"] == "unknown"
    assert rows["docker"] == "1 (API unknown)"
    assert rows["accelerators"] == "tpu, unknown architecture, unknown memory (g)"


def test_many_devices_alike_are_one_row(tmp_path: Path) -> None:
    """With some of their names, or places; devices that differ have rows of their own."""
    host = probe_host(mi300x(tmp_path, compute="CPX", memory="NPS4"))
    (row,) = [text for name, text in host_rows(host) if name == "accelerators"]
    places = [text for name, text in host_rows(host, with_places=True) if not name]
    mixed = replace(HOST, devices=(GPU, replace(GPU, id="gpu1", name="MI210")))

    assert row.startswith("64 x AMD Instinct MI300X OAM, gfx942, 24.0 GiB, CPX/NPS4 (")
    assert row.endswith(", ... 56 more)")
    assert len(places) == 9
    assert places[-1] == "... 56 more"
    assert [name for name, _ in host_rows(mixed)].count("accelerators") == 2
