"""What a sensor is, and what it says at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Protocol

__all__ = ["Reading", "Sensor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a sensor says at one moment; None where it says nothing.

    Attributes:
        power_w: Power that the device draws.
        energy_j: Energy since some moment in the past; only differences mean something.
        clock_hz: Clock of its compute units.
        temperature_c: The hottest of its places that are measured.
        memory_bytes: Memory in use on it, by whomever.
        is_power_capped: Whether it runs slower to stay within its budget of power or current.
        power_capped_count: How often it has done so since some moment in the past.
        slowdowns: Why it runs slower against its will, in words.
        throttle_counts: How often it has done so since some moment in the past, by the reason.
    """

    power_w: float | None = None
    energy_j: float | None = None
    clock_hz: float | None = None
    temperature_c: float | None = None
    memory_bytes: int | None = None
    is_power_capped: bool = False
    power_capped_count: int | None = None
    slowdowns: tuple[str, ...] = ()
    throttle_counts: Mapping[str, int] = field(default_factory=dict)


class Sensor(Protocol):
    """Something that can be read."""

    @property
    def name(self) -> str:
        """Which device it is, for people."""

    def read(self) -> Reading:
        """Read it now; never raises."""
