"""The shape of throughput against concurrency: where it bends, and whether it breaks down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hwval.stats import Decision
from hwval.stats import Interval
from hwval.stats import decide
from hwval.stats import ratio_interval

__all__ = ["Drop", "find_knee", "worst_drop"]


def find_knee(
    concurrencies: Sequence[float], rates: Sequence[float], gain: float
) -> tuple[float, bool]:
    """Return the concurrency behind which throughput hardly grows, and whether it was reached.

    Between two points the ideal is that throughput grows as concurrency does; the knee is the
    last point before the first step that brings less than ``gain`` of that. A curve that still
    grows at its end has its knee beyond, and its last point stands for it.

    Args:
        concurrencies: Rising, all > 0.
        rates: Throughput at each, > 0.
        gain: Share of the ideal growth, between 0 and 1.

    Example:
        >>> find_knee([1, 2, 4, 8], [10, 20, 36, 38], 0.25)
        (4, True)
    """
    points = list(zip(concurrencies, rates, strict=True))
    for (many, rate), (more, higher) in pairwise(points):
        if (higher / rate - 1) < gain * (more / many - 1):
            return many, True
    return points[-1][0], False


@dataclass(frozen=True, slots=True)
class Drop:
    """A point against the best of those before it.

    Attributes:
        at: Place of the point.
        best: Place of the best one before.
        ratio: Its rate over theirs.
        decision: HOLDS: it surely does not fall below; BREAKS: it surely does.
    """

    at: int
    best: int
    ratio: Interval
    decision: Decision


def worst_drop(
    curves: Sequence[Sequence[float]], tolerance: float, confidence: float
) -> Drop | None:
    """Return the point that falls furthest below the best one before it; None for a single point.

    Args:
        curves: Throughput of each point, one value a round, all > 0; round i of all points was
            measured together.
        tolerance: Share that a point may lose, between 0 and 1.
        confidence: Two-sided, of all comparisons together; shared out evenly (Bonferroni).
    """
    drops = []
    each = 1 - (1 - confidence) / max(1, len(curves) - 1)
    for place in range(1, len(curves)):
        best = max(range(place), key=lambda one: sum(curves[one]) / len(curves[one]))
        ratio = ratio_interval(curves[place], curves[best], each, paired=True)
        decision = decide(ratio, 1 - tolerance, higher_is_better=True)
        drops.append(Drop(place, best, ratio, decision))
    order = (Decision.BREAKS, Decision.OPEN, Decision.HOLDS)
    return min(drops, key=lambda drop: (order.index(drop.decision), drop.ratio.mean), default=None)
