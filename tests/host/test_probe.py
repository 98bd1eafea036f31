"""A host as a value: probed, saved, read back."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from hwval import __version__
from hwval.errors import UsageError
from hwval.host import Device
from hwval.host import DeviceNode
from hwval.host import Disk
from hwval.host import Docker
from hwval.host import Host
from hwval.host import NumaNode
from hwval.host import probe_host
from tests.host.trees import mi300x
from tests.host.trees import strix_halo
from tests.host.trees import tpu_v5e
from tests.host.trees import two_mi60
from tests.host.trees import write

CPUINFO = """\
processor\t: 0
model name\t: AMD EPYC 9654 96-Core Processor
flags\t\t: fpu sse2 avx avx2 avx512f avx512_bf16 avx512_vnni amx_tile hypervisor

processor\t: 1
model name\t: AMD EPYC 9654 96-Core Processor
flags\t\t: fpu sse2 avx avx2 avx512f avx512_bf16 avx512_vnni amx_tile hypervisor
"""


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
        versions={"hwval": __version__},
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
    control_nodes=(DeviceNode("/dev/kfd", 110, openable=False),),
    numa_nodes=(NumaNode(0, (0, 1), 2**34),),
    swap_bytes=0,
    limits={"nofile": 1024, "memlock": None},
    settings={"numa_balancing": "1"},
    versions={"hwval": "0.1.0"},
    disks=(Disk("models", "/hf", 10**12, 2 * 10**12, 2049),),
    docker=Docker("unix:///var/run/docker.sock", "28.0", runtimes=("nvidia", "runc")),
    cached_models=("org/name",),
    hub_token=True,
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


def test_probe_of_the_first_release_is_still_read() -> None:
    """Fields were added since; what it does not tell is unknown."""
    old = {
        "v": 1,
        "hostname": "lab",
        "kernel": "6.8",
        "machine": "x86_64",
        "python": "3.11.9",
        "cpu_model": "EPYC",
        "cpu_flags": ["avx2"],
        "cpus": [0, 1],
        "memory_bytes": 2**34,
        "devices": [
            {
                "id": "amd-0",
                "vendor": "rocm",
                "architecture": "gfx906",
                "index": 0,
                "name": "",
                "memory_bytes": 2**35,
                "uuid": "",
                "pci_address": "",
                "nodes": [{"path": "/dev/dri/renderD128", "group_id": 44}],
            }
        ],
        "drivers": {},
        "notes": {},
    }
    host = Host.from_json(old)

    assert host.devices[0].nodes[0].openable is None
    assert (host.docker, host.hub_token, host.disks) == (None, None, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"memory_bytes": 2**60}, "memory_bytes is 1152921504606846976", id="huge"),
        pytest.param({"memory_bytes": "16 GiB"}, "memory_bytes: Input should be", id="text"),
        pytest.param({"memory_bytes": True}, "memory_bytes: Input should be", id="boolean"),
        pytest.param({"cpus": [0, 0]}, "each once", id="same-cpu-twice"),
        pytest.param({"cpus": [-1]}, "expected numbers of 0", id="negative-cpu"),
        pytest.param({"numa_nodes": [{"number": 1}] * 2}, r"\[1, 1\], expected each", id="nodes"),
        pytest.param(
            {"disks": [{"purpose": "models", "path": "/", "free_bytes": -5, "total_bytes": 1}]},
            "disk of models has -5 of 1 bytes free",
            id="disk",
        ),
        pytest.param({"hostname": None}, "hostname: Input should be", id="no-name"),
        pytest.param({"devices": {}}, "devices: Input should be", id="devices-no-list"),
        pytest.param({"docker": {"address": "x"}}, "docker.version: Field required", id="docker"),
    ],
)
def test_absurd_hosts_are_refused(change: dict[str, object], message: str) -> None:
    """One line that names the field; never a plan for a machine that cannot be."""
    with pytest.raises(UsageError, match=message) as raised:
        Host.from_json(HOST.to_json() | change)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"index": -1}, "has the index -1", id="negative-index"),
        pytest.param({"vendor": "acme"}, "is of 'acme', expected rocm, cuda, tpu", id="vendor"),
        pytest.param({"memory_bytes": 0}, "devices.0.memory_bytes is 0", id="no-memory"),
        pytest.param({"vram_bytes": -5}, "devices.0.vram_bytes is -5", id="negative-memory"),
        pytest.param({"spede": 1}, "devices.0.spede", id="unknown-field"),
    ],
)
def test_absurd_devices_are_refused(change: dict[str, object], message: str) -> None:
    """As hosts are."""
    data = HOST.to_json()
    data["devices"] = [{**data["devices"][0], **change}]

    with pytest.raises(UsageError, match=message):
        Host.from_json(data)


def test_two_devices_of_one_name_are_refused() -> None:
    """A lease could not tell them apart."""
    data = HOST.to_json()
    data["devices"] = [data["devices"][0], {**data["devices"][0], "index": 1}]

    with pytest.raises(UsageError, match=r"two devices have the id 'amd-0000:03:00\.0'"):
        Host.from_json(data)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
OBJECTS = st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)
JSON_VALUES = SCALARS | OBJECTS | st.lists(SCALARS | OBJECTS, max_size=3)


@given(st.sampled_from(sorted(HOST.to_json())), JSON_VALUES)
def test_any_other_value_is_read_or_refused(field: str, value: object) -> None:
    """Whatever stands in a field: a host, or one error of ours."""
    try:
        host = Host.from_json(HOST.to_json() | {field: value})
    except UsageError:
        return
    assert Host.from_json(json.loads(json.dumps(host.to_json()))) == host


@pytest.mark.parametrize(
    ("make", "count", "vendor"),
    [(two_mi60, 2, "rocm"), (strix_halo, 1, "rocm"), (tpu_v5e, 4, "tpu")],
)
def test_trees_of_machines_are_hosts(
    tmp_path: Path, make: Callable[[Path], Path], count: int, vendor: str
) -> None:
    """Probed, saved and read back."""
    host = probe_host(make(tmp_path))

    assert [device.vendor for device in host.devices] == [vendor] * count
    assert Host.from_json(json.loads(json.dumps(host.to_json()))) == host
    assert host.settings == {"numa_balancing": "1", "cmdline": "iommu=pt"}
    assert all(node.openable is None for node in host.control_nodes)


def test_server_has_its_memory_nodes(tmp_path: Path) -> None:
    """Processors and memory of each."""
    host = probe_host(mi300x(tmp_path, compute="CPX", memory="NPS4"))

    assert host.numa_nodes == (
        NumaNode(0, (0, 1, 2, 3), 2**40),
        NumaNode(1, (4, 5, 6, 7), 2**40),
    )
    assert [node.path for node in host.control_nodes] == ["/dev/kfd"]


BROKEN = (
    *("proc/cpuinfo", "proc/meminfo", "proc/self/limits", "proc/self/cgroup", "proc/cmdline"),
    *("proc/sys/kernel/numa_balancing", "sys/devices/system/node/node0/cpulist"),
    "sys/class/kfd/kfd/topology/nodes/1/properties",
    "sys/class/kfd/kfd/topology/nodes/1/mem_banks/0/properties",
    "sys/bus/pci/devices/0000:03:00.0/mem_info_vram_total",
    "sys/bus/pci/devices/0000:03:00.0/current_compute_partition",
    "sys/class/kfd/kfd/proc/4711/vram_1001",
    *("etc/cdi/nvidia.yaml", "opt/rocm/.info/version", "proc/driver/nvidia/version"),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.sampled_from(BROKEN), content=st.binary(max_size=60))
def test_broken_files_break_no_probe(tmp_path: Path, name: str, content: bytes) -> None:
    """Bytes that are no text, numbers that are none: unknown, never a crash."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        root = two_mi60(Path(folder))
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

        assert probe_host(root).hostname == "lab"
