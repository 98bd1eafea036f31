"""Reads sensors while a measurement runs, and sums up what they said."""

from __future__ import annotations

import statistics
import threading
from bisect import bisect_right
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Final
from typing import NamedTuple
from typing import Self

from hwval.clock import monotonic_s
from hwval.telemetry.reading import Reading
from hwval.telemetry.reading import Sensor

__all__ = ["DeviceWatch", "Seen"]

_EVERY_S: Final = 0.5
_END_S: Final = 5.0
# Time and value of each reading, in order.
_Curve = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What sensors said over some time.

    Attributes:
        numbers: By name, with units: ``device_power_mean_w`` and ``device_energy_j`` (of all
            devices together, of the part of the time that was asked for),
            ``device_power_max_w``, ``device_clock_min_hz`` (the slowest at any time),
            ``device_clock_mean_hz``, ``device_temperature_max_c``, ``device_memory_peak_bytes``
            (the fullest one), ``device_power_capped_share`` (of the readings).
        throttled: Which devices ran slower against their will, and why, in words.
    """

    numbers: Mapping[str, float]
    throttled: tuple[str, ...] = ()


class DeviceWatch:
    """Reads sensors twice a second from entry to exit of its block.

    Args:
        sensors: What to read; none is fine. Of several with the same name one is read.
        every_s: Seconds between two readings, > 0.
    """

    def __init__(self, sensors: Sequence[Sensor], *, every_s: float = _EVERY_S) -> None:
        self._sensors = list({sensor.name: sensor for sensor in sensors}.values())
        self._every_s = every_s
        self._readings: dict[str, list[_At]] = {sensor.name: [] for sensor in sensors}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
        self._started_s = self._ended_s = monotonic_s()

    def __enter__(self) -> Self:
        self._started_s = monotonic_s()
        self._read()
        if self._sensors:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._sensors:
            self._thread.join(_END_S)
        if not self._thread.is_alive():
            self._read()
        self._ended_s = monotonic_s()

    @property
    def seen(self) -> Seen:
        """What the sensors said until now, or until the end of the block."""
        return self.seen_between(self._started_s, self._ended_s)

    def seen_between(self, begin_s: float, end_s: float) -> Seen:
        """Return what the sensors said, with energy and mean power of a part of the time alone.

        Between two readings a device is taken to draw what lies between them; up to the first and
        behind the last it draws as much as they say.

        Args:
            begin_s: Where the part begins, by ``hwval.clock.monotonic_s``.
            end_s: Where it ends, >= ``begin_s``.
        """
        devices = {name: list(found) for name, found in self._readings.items() if found}
        throttled = [
            f"{name}: {why}"
            for name, found in devices.items()
            for why in _slowdowns([at.reading for at in found])
        ]
        numbers = _numbers([[at.reading for at in found] for found in devices.values()])
        spent = _spent(list(devices.values()), begin_s, end_s)
        return Seen({**spent, **numbers}, tuple(throttled))

    def _work(self) -> None:
        while not self._end.wait(self._every_s):
            self._read()

    def _read(self) -> None:
        for sensor in self._sensors:
            self._readings[sensor.name].append(_At(monotonic_s(), sensor.read()))


class _At(NamedTuple):
    """A reading and when it was taken."""

    time_s: float
    reading: Reading


def _spent(devices: Sequence[Sequence[_At]], begin_s: float, end_s: float) -> dict[str, float]:
    """Return energy and mean power of all devices between two times; nothing if one is silent."""
    duration_s = end_s - begin_s
    powers = [_curve((at.time_s, at.reading.power_w) for at in found) for found in devices]
    counters = [_curve((at.time_s, at.reading.energy_j) for at in found) for found in devices]
    spent: dict[str, float] = {}
    if devices and duration_s > 0 and all(powers):
        energy_j = sum(_area(curve, begin_s, end_s) for curve in powers)
        spent |= {"device_power_mean_w": energy_j / duration_s, "device_energy_j": energy_j}
    counted_j = [_value_at(one, end_s) - _value_at(one, begin_s) for one in counters if one]
    if devices and len(counted_j) == len(devices) and all(counted > 0 for counted in counted_j):
        # The device's own counter misses nothing between two readings, unless it begins anew.
        spent["device_energy_j"] = sum(counted_j)
    return spent


def _curve(told: Iterable[tuple[float, float | None]]) -> _Curve:
    return [(time_s, value) for time_s, value in told if value is not None]


def _value_at(curve: _Curve, time_s: float) -> float:
    """Return what lies between two neighbours; the first and the last go on for ever."""
    place = bisect_right(curve, time_s, key=itemgetter(0))
    if place in {0, len(curve)}:
        return curve[min(place, len(curve) - 1)][1]
    (before_s, before), (after_s, after) = curve[place - 1 : place + 1]
    return before + (after - before) * (time_s - before_s) / (after_s - before_s)


def _area(curve: _Curve, begin_s: float, end_s: float) -> float:
    """Return the integral by trapezoids."""
    inside = [time_s for time_s, _ in curve if begin_s < time_s < end_s]
    return sum(
        (_value_at(curve, earlier_s) + _value_at(curve, later_s)) / 2 * (later_s - earlier_s)
        for earlier_s, later_s in pairwise([begin_s, *inside, end_s])
    )


def _numbers(devices: Sequence[Sequence[Reading]]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    powers = [_known(one.power_w for one in found) for found in devices]
    if devices and all(powers):
        numbers["device_power_max_w"] = sum(map(max, powers))
    readings = [one for found in devices for one in found]
    if clocks := _known(one.clock_hz for one in readings):
        numbers["device_clock_mean_hz"] = statistics.fmean(clocks)
        numbers["device_clock_min_hz"] = min(clocks)
    if temperatures := _known(one.temperature_c for one in readings):
        numbers["device_temperature_max_c"] = max(temperatures)
    if memory := _known(one.memory_bytes for one in readings):
        numbers["device_memory_peak_bytes"] = max(memory)
    if capped := sum(map(_capped, devices)):
        numbers["device_power_capped_share"] = capped / len(readings)
    return numbers


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _capped(readings: Sequence[Reading]) -> int:
    """Return how many readings find a device at its budget, at the moment or since the last."""
    counts = [one.power_capped_count for one in readings]
    rose = [False, *map(_rose, counts, counts[1:])]
    return sum(one.is_power_capped or more for one, more in zip(readings, rose, strict=True))


def _rose(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before


def _slowdowns(readings: Sequence[Reading]) -> list[str]:
    found = dict.fromkeys(why for one in readings for why in one.slowdowns)
    counts: dict[str, list[int]] = {}
    for one in readings:
        for why, count in one.throttle_counts.items():
            counts.setdefault(why, []).append(count)
    more = {why: seen[-1] - seen[0] for why, seen in counts.items()}
    return [*found, *(f"{why}, counted {times} times" for why, times in more.items() if times > 0)]
