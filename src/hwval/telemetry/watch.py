"""Reads sensors while a measurement runs, and sums up what they said."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final
from typing import Self

from hwval.clock import monotonic_s
from hwval.telemetry.sensors import Reading
from hwval.telemetry.sensors import Sensor

__all__ = ["DeviceWatch", "Seen"]

_EVERY_S: Final = 0.5
_END_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What sensors said over some time.

    Attributes:
        numbers: By name, with units: ``device_power_mean_w`` and ``device_energy_j`` (of all
            devices together), ``device_clock_min_hz`` (the slowest at any time),
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
        self._readings: dict[str, list[Reading]] = {sensor.name: [] for sensor in sensors}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
        self._started_s = self._ended_s = monotonic_s()

    def __enter__(self) -> Self:
        self._started_s = monotonic_s()
        self._read()
        if self._sensors:
            self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._sensors:
            self._thread.join(_END_S)
        if not self._thread.is_alive():
            self._read()
        self._ended_s = monotonic_s()

    @property
    def seen(self) -> Seen:
        """What the sensors said until now, or until the end of the block."""
        per_device = {name: list(found) for name, found in self._readings.items() if found}
        duration_s = max(self._ended_s - self._started_s, 0.0)
        throttled = [
            f"{name}: {why}" for name, found in per_device.items() for why in _slowdowns(found)
        ]
        numbers = _numbers(list(per_device.values()), duration_s)
        return Seen(numbers, tuple(throttled))

    def _work(self) -> None:
        while not self._end.wait(self._every_s):
            self._read()

    def _read(self) -> None:
        for sensor in self._sensors:
            self._readings[sensor.name].append(sensor.read())


def _numbers(devices: Sequence[Sequence[Reading]], duration_s: float) -> dict[str, float]:
    numbers: dict[str, float] = {}
    powers = [_known(one.power_w for one in found) for found in devices]
    energies = [_spent(_known(one.energy_j for one in found)) for found in devices]
    if devices and all(powers):
        numbers["device_power_mean_w"] = sum(map(statistics.fmean, powers))
        numbers["device_power_max_w"] = sum(map(max, powers))
        numbers["device_energy_j"] = numbers["device_power_mean_w"] * duration_s
    counted = [one for one in energies if one]
    if devices and len(counted) == len(devices):
        # The device's own counter misses nothing between two readings.
        numbers["device_energy_j"] = sum(counted)
    readings = [one for found in devices for one in found]
    if clocks := _known(one.clock_hz for one in readings):
        numbers["device_clock_mean_hz"] = statistics.fmean(clocks)
        numbers["device_clock_min_hz"] = min(clocks)
    if temperatures := _known(one.temperature_c for one in readings):
        numbers["device_temperature_max_c"] = max(temperatures)
    if memory := _known(one.memory_bytes for one in readings):
        numbers["device_memory_peak_bytes"] = max(memory)
    if any(one.is_power_capped for one in readings):
        capped = sum(one.is_power_capped for one in readings)
        numbers["device_power_capped_share"] = capped / len(readings)
    return numbers


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _spent(counter: Sequence[float]) -> float:
    return counter[-1] - counter[0] if counter else 0.0


def _slowdowns(readings: Sequence[Reading]) -> list[str]:
    found = dict.fromkeys(why for one in readings for why in one.slowdowns)
    counts = _known(one.throttle_count for one in readings)
    more = int(counts[-1] - counts[0]) if counts else 0
    return [*found, *([f"throttled {more} times for heat"] if more > 0 else [])]
