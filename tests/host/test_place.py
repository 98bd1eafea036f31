"""Which devices of a host a cell could run on."""

from __future__ import annotations

import dataclasses

import pytest

from hwval.host import Device
from hwval.host import Host
from hwval.host import fits_mode
from hwval.host import place
from hwval.host import set_mode_remedy

GIB = 2**30
PLAIN = Host("lab", "6.8", "x86_64", "3.12", "EPYC", (), (0, 1), 64 * GIB)
MI60 = tuple(
    Device(f"amd-{index}", "rocm", "gfx906", index=index, memory_bytes=32 * GIB)
    for index in range(2)
)
A100 = Device("GPU-a", "cuda", "sm_80", memory_bytes=40 * GIB)
T4 = Device("GPU-t", "cuda", "sm_75", memory_bytes=15 * GIB)
UNKNOWN = Device("GPU-u", "cuda", None, name="NVIDIA H200")


def host_with(*devices: Device) -> Host:
    return dataclasses.replace(PLAIN, devices=devices)


def test_all_fitting_devices_are_returned() -> None:
    """The lease chooses among them; other hardware is passed over."""
    host = host_with(*MI60, A100)

    assert place(host, vendor="rocm", architecture="gfx906", memory_bytes=32 * GIB) == MI60


def test_memory_tells_cards_of_one_architecture_apart() -> None:
    """An A100 of 40 GiB is not one of 80; a T4 that shows 15 of its 16 GiB is a T4."""
    host = host_with(A100, T4)

    assert place(host, vendor="cuda", architecture="sm_75", memory_bytes=16 * GIB) == (T4,)
    assert place(host, vendor="cuda", architecture="sm_80", memory_bytes=80 * GIB) == (
        "needs 1 device of sm_80 with 80.0 GiB, this host has none "
        "(1 x sm_80 with 40.0 GiB, 1 x sm_75 with 15.0 GiB)"
    )


def test_processor_is_always_one_device() -> None:
    """A CPU cell runs on any host, whatever the architecture is called."""
    devices = place(PLAIN, vendor="cpu", architecture="cpu")

    assert devices == (Device("cpu", "cpu", "x86_64", name="EPYC", memory_bytes=64 * GIB),)


@pytest.mark.parametrize(
    ("host", "vendor", "architecture", "count", "reason"),
    [
        pytest.param(
            PLAIN,
            "rocm",
            "gfx906",
            2,
            "needs 2 devices of gfx906, this host has none (cpu only)",
            id="nothing",
        ),
        pytest.param(
            host_with(*MI60),
            "rocm",
            "gfx906",
            4,
            "needs 4 devices of gfx906, this host has 2",
            id="too-few",
        ),
        pytest.param(
            host_with(UNKNOWN),
            "cuda",
            "sm_90",
            1,
            "needs 1 device of sm_90, this host has none (1 x NVIDIA H200 of unknown architecture)",
            id="unknown",
        ),
        pytest.param(
            PLAIN,
            "cpu",
            "cpu",
            2,
            "needs 2 devices of the processor, this host has 1",
            id="two-processors",
        ),
    ],
)
def test_reason_says_what_is_needed_and_what_is_there(
    host: Host, vendor: str, architecture: str, count: int, reason: str
) -> None:
    """One line for the table of cells that this host cannot run."""
    assert place(host, vendor=vendor, architecture=architecture, count=count) == reason


PARTITION = Device(
    "amd-p", "rocm", "gfx942", memory_bytes=24 * GIB, compute_partition="CPX",
    memory_partition="NPS4",
)  # fmt: skip
WHOLE = dataclasses.replace(
    PARTITION, memory_bytes=192 * GIB, compute_partition="SPX", memory_partition="NPS1"
)


def test_mode_decides_before_memory() -> None:
    """Devices in another mode are not the wanted hardware; the reason says how to change that."""
    found = place(
        host_with(PARTITION),
        vendor="rocm",
        architecture="gfx942",
        memory_bytes=192 * GIB,
        partition_mode="spx",
    )

    assert found == (
        "needs 1 device of gfx942 with 192 GiB in SPX, this host has none (1 x gfx942 with "
        "24.0 GiB); its devices are in CPX/NPS4: set it by `sudo amd-smi set "
        "--compute-partition SPX`, with nothing running on them"
    )


def test_sizes_that_drivers_differ_in_all_count() -> None:
    """A partition is told its share, or the whole of its memory domain."""
    larger = dataclasses.replace(PARTITION, id="amd-q", memory_bytes=48 * GIB)
    found = place(
        host_with(PARTITION, larger, WHOLE),
        vendor="rocm",
        architecture="gfx942",
        memory_bytes=(24 * GIB, 48 * GIB),
        partition_mode="cpx/nps4",
    )

    assert found == (PARTITION, larger)


@pytest.mark.parametrize(
    ("mode", "device", "fits"),
    [
        ("", PARTITION, True),
        ("cpx", PARTITION, True),
        ("CPX/NPS4", PARTITION, True),
        ("cpx/nps1", PARTITION, False),
        ("spx", PARTITION, False),
        ("spx", WHOLE, True),
        ("cpx/nps4", MI60[0], True),  # its driver tells no mode: memory decides
    ],
)
def test_mode_is_compared_as_far_as_it_is_told(mode: str, device: Device, *, fits: bool) -> None:
    """An older probe knows no modes; what it does not tell cannot speak against it."""
    assert fits_mode(device, mode) is fits


def test_memory_mode_is_set_before_the_compute_mode() -> None:
    """It reloads the driver, and decides which compute modes there are."""
    remedy = set_mode_remedy("cpx/nps4")

    assert remedy.index("--memory-partition NPS4") < remedy.index("--compute-partition CPX")
