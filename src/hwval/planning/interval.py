"""A quantity that is known between two bounds; the planner adds bounds, never points."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["GIB_BYTES", "Interval", "total"]

GIB_BYTES: Final = 2**30


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds in one unit, both included, low <= high.

    Attributes:
        low: Smallest value that is believed.
        high: Largest value that is believed.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"no interval from {self.low!r} to {self.high!r}")

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.low - other.high, self.high - other.low)


def total(intervals: Iterable[Interval]) -> Interval:
    """Return the sum, nothing at all for no intervals."""
    result = Interval(0, 0)
    for interval in intervals:
        result += interval
    return result
