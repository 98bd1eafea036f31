"""What sensors said while something ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field

import pytest

from hwval.telemetry import DeviceWatch
from hwval.telemetry import Reading


@dataclass
class Script:
    """A sensor that says one thing after the other, and stays with the last."""

    name: str
    readings: list[Reading]
    _left: Iterator[Reading] = field(init=False)

    def __post_init__(self) -> None:
        self._left = iter(self.readings)

    def read(self) -> Reading:
        return next(self._left, self.readings[-1])


def watch(*sensors: Script) -> DeviceWatch:
    # So seldom that only the first and the last reading are taken.
    with DeviceWatch(sensors, every_s=60.0) as found:
        pass
    return found


def test_power_adds_up_over_devices() -> None:
    """Clocks are the slowest one's, temperature and memory the worst one's."""
    seen = watch(
        Script(
            "a",
            [
                Reading(power_w=100.0, clock_hz=2e9, temperature_c=50, memory_bytes=7),
                Reading(power_w=300.0, clock_hz=1e9, temperature_c=60, memory_bytes=9),
            ],
        ),
        Script("b", [Reading(power_w=50.0, clock_hz=2e9, temperature_c=70, memory_bytes=8)]),
    ).seen

    assert seen.numbers["device_power_mean_w"] == 250.0
    assert seen.numbers["device_power_max_w"] == 350.0
    assert seen.numbers["device_clock_min_hz"] == 1e9
    assert seen.numbers["device_temperature_max_c"] == 70
    assert seen.numbers["device_memory_peak_bytes"] == 9
    assert seen.throttled == ()


def test_energy_is_the_counters_where_all_devices_have_one() -> None:
    """It misses nothing between two readings."""
    seen = watch(
        Script("a", [Reading(power_w=1.0, energy_j=10.0), Reading(power_w=1.0, energy_j=25.0)]),
        Script("b", [Reading(power_w=1.0, energy_j=0.0), Reading(power_w=1.0, energy_j=5.0)]),
    ).seen

    assert seen.numbers["device_energy_j"] == 20.0


def test_slowdowns_are_told_once_by_device() -> None:
    """A rising throttle count is one too."""
    seen = watch(
        Script("gpu 0", [Reading(slowdowns=("hot",)), Reading(slowdowns=("hot",))]),
        Script("cpu", [Reading(throttle_count=4), Reading(throttle_count=7)]),
    ).seen

    assert seen.throttled == ("gpu 0: hot", "cpu: throttled 3 times for heat")


def test_nothing_is_made_of_nothing() -> None:
    """Without sensors, or with sensors that say nothing, there is no number."""
    assert dict(watch().seen.numbers) == {}
    assert dict(watch(Script("a", [Reading()])).seen.numbers) == {}


def test_share_of_power_capped_readings() -> None:
    """It is told, and no slowdown against the device's will."""
    seen = watch(Script("a", [Reading(is_power_capped=True), Reading()])).seen

    assert seen.numbers["device_power_capped_share"] == pytest.approx(0.5)
    assert seen.throttled == ()


def test_device_of_two_instances_is_read_once() -> None:
    """Its power does not count double."""
    reading = Reading(power_w=100.0)

    assert (
        watch(Script("a", [reading]), Script("a", [reading])).seen.numbers["device_power_mean_w"]
        == 100.0
    )
