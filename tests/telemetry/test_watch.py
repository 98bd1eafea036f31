"""What sensors said while something ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.telemetry import DeviceWatch
from hwval.telemetry import Seen
from hwval.telemetry.reading import Reading
from hwval.telemetry.watch import _area


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


NOW_S = [0.0]


@pytest.fixture(autouse=True)
def held_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the watch, which the tests move."""
    NOW_S[0] = 0.0
    monkeypatch.setattr("hwval.telemetry.watch.monotonic_s", lambda: NOW_S[0])


def watch(*sensors: Script) -> DeviceWatch:
    # So seldom that only the first and the last reading are taken.
    with DeviceWatch(sensors, every_s=60.0) as found:
        NOW_S[0] += 1.0
    return found


def watch_all(readings: list[Reading]) -> Seen:
    """Return what comes of readings that were all taken."""
    with DeviceWatch([Script("a", readings)], every_s=60.0) as found:
        for _ in readings[2:]:
            found._read()
    return found.seen


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
    """A counter that rises is one too; one that stands is not, however high."""
    counts = {"heat": 4, "signal": 900}
    seen = watch(
        Script("gpu 0", [Reading(slowdowns=("hot",)), Reading(slowdowns=("hot",))]),
        Script(
            "gpu 1",
            [Reading(throttle_counts=counts), Reading(throttle_counts=counts | {"heat": 7})],
        ),
    ).seen

    assert seen.throttled == ("gpu 0: hot", "gpu 1: heat, counted 3 times")


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


def test_budget_that_was_met_between_two_readings() -> None:
    """As a counter tells; what it counted before, or nobody saw, is nothing."""
    counts = [None, 70, 70, 75, None]
    seen = watch_all([Reading(power_capped_count=count) for count in counts])

    assert seen.numbers["device_power_capped_share"] == pytest.approx(1 / 5)
    assert seen.throttled == ()


def watch_over(readings: list[Reading]) -> DeviceWatch:
    """Return a watch that took one reading a second, from second 0."""
    with DeviceWatch([Script("a", readings)], every_s=60.0) as found:
        for NOW_S[0] in range(1, len(readings) - 1):
            found._read()
        NOW_S[0] = len(readings) - 1
    return found


def test_energy_is_that_of_the_part_that_is_asked_for() -> None:
    """What a device draws while it waits for the load is not the load's."""
    powers_w = [100.0, 100.0, 300.0, 300.0, 100.0]
    found = watch_over([Reading(power_w=power_w) for power_w in powers_w])

    assert found.seen.numbers["device_energy_j"] == pytest.approx(100 + 200 + 300 + 200)
    busy = found.seen_between(2.0, 3.0).numbers
    assert (busy["device_energy_j"], busy["device_power_mean_w"]) == pytest.approx((300.0, 300.0))
    assert found.seen_between(1.5, 2.0).numbers["device_energy_j"] == pytest.approx(125.0)
    assert found.seen_between(0.0, 1.0).numbers["device_power_max_w"] == 300.0


def test_counter_is_read_off_between_its_readings() -> None:
    """At both ends of the part, in proportion to the time."""
    found = watch_over([Reading(energy_j=energy_j) for energy_j in (10.0, 20.0, 80.0)])

    assert found.seen.numbers["device_energy_j"] == 70.0
    assert found.seen_between(0.5, 1.5).numbers["device_energy_j"] == pytest.approx(5 + 30)
    assert "device_energy_j" not in found.seen_between(3.0, 4.0).numbers


@given(st.lists(st.floats(0, 500), min_size=1, max_size=6), st.floats(0, 6), st.floats(0, 6))
def test_parts_add_up(powers_w: list[float], middle_s: float, end_s: float) -> None:
    """Whatever the power did, and wherever the parts meet."""
    middle_s, end_s = sorted([middle_s, end_s])
    curve = [(float(second), power_w) for second, power_w in enumerate(powers_w)]
    whole = _area(curve, 0.0, end_s)

    assert _area(curve, 0.0, middle_s) + _area(curve, middle_s, end_s) == pytest.approx(
        whole, abs=1e-6
    )
    assert min(powers_w) * end_s - 1e-6 <= whole <= max(powers_w) * end_s + 1e-6


def test_counter_that_begins_anew_is_not_energy_that_came_back() -> None:
    """As after a reset of the card; what it drew says it instead."""
    seen = watch(
        Script("a", [Reading(power_w=3.0, energy_j=10.0), Reading(power_w=3.0, energy_j=1.0)])
    ).seen

    assert seen.numbers["device_energy_j"] == 3.0
