"""NVIDIA devices from the driver's files and from NVML."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hwval.host import Device
from hwval.host import nvidia
from hwval.host.nvidia import NvidiaFacts
from hwval.host.nvidia import probe_nvidia

GIB = 2**30
UUID = "GPU-0f0e0d0c-1111-2222-3333-444455556666"
INFORMATION = f"""\
Model: \t\t NVIDIA H200
IRQ:   \t\t 199
GPU UUID: \t {UUID}
Video BIOS: \t 96.00.a5.00.01
Bus Type: \t PCIe
DMA Size: \t 52 bits
Bus Location: \t 0000:4e:00.0
Device Minor: \t 0
GPU Excluded:\t No
"""
VERSION = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (root@b)  Thu
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""


def write_driver(root: Path) -> None:
    """Write what the driver shows of one card."""
    folder = root / "proc/driver/nvidia"
    card = folder / "gpus/0000:4e:00.0"
    card.mkdir(parents=True)
    card.joinpath("information").write_text(INFORMATION)
    folder.joinpath("version").write_text(VERSION)


def make_nvml(**changes: object) -> SimpleNamespace:
    """Return a stand-in for pynvml with one card."""
    functions: dict[str, object] = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlSystemGetDriverVersion": lambda: b"570.86.15",
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetCudaComputeCapability": lambda _: (9, 0),
        "nvmlDeviceGetUUID": lambda _: UUID,
        "nvmlDeviceGetName": lambda _: "NVIDIA H200",
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=139 * GIB, used=GIB),
        "nvmlDeviceGetPciInfo": lambda _: SimpleNamespace(busId="00000000:4E:00.0"),
        "nvmlDeviceGetMinorNumber": lambda _: 250,
        "nvmlSystemGetCudaDriverVersion_v2": lambda: 12080,
        "nvmlDeviceGetMigMode": lambda _: [0, 0],
        "nvmlDeviceGetEnforcedPowerLimit": lambda _: 700_000,
        "nvmlDeviceGetPersistenceMode": lambda _: 1,
        "nvmlDeviceGetComputeRunningProcesses": lambda _: [
            SimpleNamespace(pid=4711),
            SimpleNamespace(pid=17),
        ],
    }
    return SimpleNamespace(**(functions | changes))


def test_saved_files_give_name_and_identity(tmp_path: Path) -> None:
    """Architecture and memory stand nowhere in them, so they are unknown."""
    write_driver(tmp_path)

    assert probe_nvidia(tmp_path) == NvidiaFacts(
        devices=(
            Device(
                id=UUID,
                vendor="cuda",
                architecture=None,
                name="NVIDIA H200",
                uuid=UUID,
                pci_address="0000:4e:00.0",
            ),
        ),
        driver="570.86.15",
        notes={},
    )


def test_machine_without_the_driver_has_none(tmp_path: Path) -> None:
    """NVML is not asked then: it would only say that it cannot be loaded."""
    assert probe_nvidia(tmp_path) == NvidiaFacts((), "", {})


@pytest.fixture
def driver_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pretend that the driver is loaded on this machine."""
    write_driver(tmp_path)
    saved = probe_nvidia(tmp_path)
    monkeypatch.setattr(nvidia, "_from_proc", lambda _: saved)


@pytest.mark.usefixtures("driver_here")
def test_nvml_gives_architecture_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compute capability names the architecture as vLLM's builds do."""
    monkeypatch.setitem(sys.modules, "pynvml", make_nvml())

    facts = probe_nvidia(Path("/"))

    assert facts.driver == "570.86.15"
    assert facts.devices == (
        Device(
            id=UUID,
            vendor="cuda",
            architecture="sm_90",
            name="NVIDIA H200",
            memory_bytes=139 * GIB,
            uuid=UUID,
            pci_address="0000:4e:00.0",
            vram_bytes=139 * GIB,
            used_bytes=GIB,
            power_limit_w=700.0,
            persistence=True,
            processes=(17, 4711),
        ),
    )
    assert facts.cuda == "12.8"


@pytest.mark.usefixtures("driver_here")
def test_broken_nvml_leaves_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card is still listed, by what the driver's files say."""

    def fail() -> None:
        raise RuntimeError("Driver/library version mismatch")

    monkeypatch.setitem(sys.modules, "pynvml", make_nvml(nvmlInit=fail))

    facts = probe_nvidia(Path("/"))

    assert [device.name for device in facts.devices] == ["NVIDIA H200"]
    assert facts.notes == {
        "nvidia": "NVML: Driver/library version mismatch: architecture and memory are unknown"
    }


@pytest.mark.usefixtures("driver_here")
def test_instances_of_mig_stand_in_place_of_their_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has an identity and memory of its own; places without an instance are passed over."""

    def find_instance(_: object, number: int) -> str:
        if number == 1:
            raise LookupError("Not Found")
        return f"MIG-{number}"

    nvml = make_nvml(
        nvmlDeviceGetMigMode=lambda _: [1, 1],
        nvmlDeviceGetMaxMigDeviceCount=lambda _: 3,
        nvmlDeviceGetMigDeviceHandleByIndex=find_instance,
        nvmlDeviceGetUUID=lambda handle: handle if isinstance(handle, str) else UUID,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(
            total=(18 if isinstance(handle, str) else 139) * GIB, used=0
        ),
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)

    devices = probe_nvidia(Path("/")).devices

    assert [(device.id, device.index) for device in devices] == [("MIG-0", 0), ("MIG-2", 1)]
    assert {device.memory_bytes for device in devices} == {18 * GIB}
    assert {(device.architecture, device.compute_partition) for device in devices} == {
        ("sm_90", "MIG")
    }


@pytest.mark.usefixtures("driver_here")
def test_questions_that_a_card_does_not_know_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer card has no MIG, an old driver no power limit; the rest is known all the same."""

    def fail(*_: object) -> None:
        raise RuntimeError("Not Supported")

    nvml = make_nvml(
        nvmlDeviceGetMigMode=fail,
        nvmlDeviceGetEnforcedPowerLimit=fail,
        nvmlDeviceGetPersistenceMode=fail,
        nvmlDeviceGetComputeRunningProcesses=fail,
        nvmlSystemGetCudaDriverVersion_v2=fail,
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(total=12 * GIB, used=0),
        nvmlDeviceGetCudaComputeCapability=lambda _: (8, 6),
        nvmlDeviceGetName=lambda _: "NVIDIA GeForce RTX 3060",
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    facts = probe_nvidia(Path("/"))
    (device,) = facts.devices

    assert (device.architecture, device.memory_bytes) == ("sm_86", 12 * GIB)
    assert (device.power_limit_w, device.persistence, device.processes, facts.cuda) == (
        *(None, None, ()),
        "",
    )
