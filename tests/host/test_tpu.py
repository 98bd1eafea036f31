"""TPUs by their PCI devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwval.host.tpu import probe_tpu
from tests.host.trees import tpu_v5e
from tests.host.trees import write


def test_chips_behind_vfio_are_found(tmp_path: Path) -> None:
    """Each has the node of its group; Google's network card beside them is none."""
    facts = probe_tpu(tpu_v5e(tmp_path))

    assert [device.index for device in facts.devices] == [0, 1, 2, 3]
    assert {device.architecture for device in facts.devices} == {"v5e"}
    assert [device.nodes[0].path for device in facts.devices] == [
        f"/dev/vfio/{group}" for group in range(4)
    ]
    assert (facts.devices[0].id, facts.devices[0].memory_bytes) == ("tpu-0000:00:04.0", None)
    assert facts.notes == {}


@pytest.mark.parametrize(
    ("pci_id", "generation"), [("0x005e", "v4"), ("0x0062", "v5p"), ("0x006f", "v6e")]
)
def test_generation_follows_from_the_pci_id(tmp_path: Path, pci_id: str, generation: str) -> None:
    """With Google's own driver the chip is /dev/accel0."""
    folder = "sys/bus/pci/devices/0000:00:05.0"
    files = {f"{folder}/vendor": "0x1ae0\n", f"{folder}/device": f"{pci_id}\n", "dev/accel0": ""}
    (device,) = probe_tpu(write(tmp_path, files)).devices

    assert (device.architecture, device.nodes[0].path) == (generation, "/dev/accel0")


def test_chip_without_a_node_leaves_a_note(tmp_path: Path) -> None:
    """It is there, but nothing can open it."""
    folder = "sys/bus/pci/devices/0000:00:05.0"
    files = {f"{folder}/vendor": "0x1ae0\n", f"{folder}/device": "0x0063\n"}
    facts = probe_tpu(write(tmp_path, files))

    assert facts.devices[0].nodes == ()
    assert facts.notes == {"tpu nodes": "no /dev/accel* or /dev/vfio/* for 0000:00:05.0"}


def test_other_accelerators_are_not_taken_for_tpus(tmp_path: Path) -> None:
    """/dev/accel is the kernel's name for any; the note says what was seen."""
    facts = probe_tpu(write(tmp_path, {"dev/accel0": ""}))

    assert facts.devices == ()
    assert "/dev/accel0" in facts.notes["accelerators"]
