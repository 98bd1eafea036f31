"""Which devices of a host a cell could run on."""

from __future__ import annotations

import dataclasses

import pytest

from hwval.host import Device
from hwval.host import Host
from hwval.host import place

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
