"""What a cell runs on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwval.catalogue import load_catalogue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.errors import UsageError
from hwval.forecast.accelerator import accelerator_of
from hwval.host import Device

GIB = 2**30
CATALOGUE = load_catalogue()
CELL = Cell("gfx942-mi300x", 2, "rocm/vllm:v0.33.0", "m/n", Dtype.AUTO)


def test_catalogue_tells_of_hardware_that_is_elsewhere() -> None:
    """Memory, bandwidth and peaks of one device; as many as the cell has."""
    found, doubts = accelerator_of(CELL, CATALOGUE.hardware("gfx942-mi300x"))

    assert (found.architecture, found.count, doubts) == ("gfx942", 2, ())
    assert found.memory.capacity_bytes == 192 * GIB
    assert found.speed is not None
    assert found.speed.bandwidth_bytes_per_s == 5.3e12
    assert found.speed.peak_flops_per_s["fp8"] == 2614.9e12


def test_smallest_device_of_the_host_counts() -> None:
    """A run may lease any of them; one that tells no size leaves it to the others."""
    devices = [
        Device(str(size), "rocm", "gfx942", memory_bytes=size and size * GIB)
        for size in (191, 190, None)
    ]
    found, _ = accelerator_of(CELL, CATALOGUE.hardware("gfx942-mi300x"), devices)

    assert found.memory.capacity_bytes == 190 * GIB


def test_partition_mode_divides_the_card() -> None:
    """Eight partitions of a card have an eighth each."""
    cell = replace(CELL, partition_mode="cpx/nps4")
    found, doubts = accelerator_of(cell, CATALOGUE.hardware("gfx942-mi300x"))

    assert (found.count, found.memory.capacity_bytes, doubts) == (16, 24 * GIB, ())
    assert found.speed is not None
    assert found.speed.bandwidth_bytes_per_s == 662.5e9


def test_partition_mode_of_what_has_none_is_doubted() -> None:
    """The catalogue may not know it."""
    cell = replace(CELL, hardware="gfx906-mi60", partition_mode="cpx")
    _, doubts = accelerator_of(cell, CATALOGUE.hardware("gfx906-mi60"))

    assert [doubt.rule for doubt in doubts] == ["partition"]


def test_container_limit_counts_on_processors() -> None:
    """An engine on the processor lives in it; that on a GPU keeps its weights elsewhere."""
    host = Device("cpu", "cpu", "x86_64", memory_bytes=64 * GIB)
    cell = replace(CELL, hardware="cpu", memory_bytes=8 * GIB)
    found, _ = accelerator_of(cell, CATALOGUE.hardware("cpu"), [host])
    on_gpu, _ = accelerator_of(cell, CATALOGUE.hardware("gfx942-mi300x"))

    assert found.memory.capacity_bytes == 8 * GIB
    assert on_gpu.memory.capacity_bytes == 192 * GIB


def test_memory_that_nobody_knows() -> None:
    """Is an error, not a guess."""
    with pytest.raises(UsageError, match="how much memory gfx942-mi300x has is not known here"):
        accelerator_of(CELL, CATALOGUE.hardware("cpu"))
