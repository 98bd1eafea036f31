"""How much a metric varies from round to round, and whether its rounds are independent."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from hwval.stats.interval import deviation

__all__ = ["Noise", "noise_of"]

_SEEN: Final = 1.28
_MOST_CORRELATION: Final = 0.9


@dataclass(frozen=True, slots=True)
class Noise:
    """What rounds of the same measurement differ by.

    Attributes:
        n: Rounds.
        mean: Their mean.
        share: Standard deviation of a single round as a part of the mean, >= 0; None with one round
            or a mean of 0.
        autocorrelation: Of one round with the next, -1 to 1; None with fewer than four rounds or
            without any noise. Far above 0, rounds drift or follow one another, and their mean is
            less sure than their spread tells.
    """

    n: int
    mean: float
    share: float | None
    autocorrelation: float | None

    @property
    def is_dependent(self) -> bool:
        """Whether rounds follow one another more than 9 of 10 independent series do by chance."""
        return self.autocorrelation is not None and self.autocorrelation > _SEEN / math.sqrt(self.n)

    @property
    def widening(self) -> float:
        """How much wider the interval of the mean is than for independent rounds, >= 1.

        Source: variance of the mean of a first-order autoregression, with the autocorrelation
        corrected for its bias in short series (Kendall 1954).
        """
        if self.autocorrelation is None or not self.is_dependent:
            return 1.0
        unbiased = self.autocorrelation + (1 + 3 * self.autocorrelation) / self.n
        bounded = min(unbiased, _MOST_CORRELATION)
        return math.sqrt((1 + bounded) / (1 - bounded))


def noise_of(values: Sequence[float]) -> Noise:
    """Return the noise of one metric.

    Args:
        values: One number a round in the order of time, at least one.

    Source: lag-1 autocorrelation as of Box and Jenkins, whose standard error is 1/sqrt(n).
    """
    n, mean = len(values), statistics.fmean(values)
    if n < 2:
        return Noise(n, mean, None, None)
    around = [value - mean for value in values]
    total = sum(one * one for one in around)
    correlation = None
    if n >= 4 and total > 0:
        correlation = sum(a * b for a, b in pairwise(around)) / total
    return Noise(n, mean, deviation(values) / abs(mean) if mean else None, correlation)
