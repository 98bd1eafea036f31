"""Intervals: where a true value lies, given what rounds of measuring said.

Rounds are the units. What happens inside one round (requests that wait for one another) is not
independent, so a percentile is taken of each round, and the interval is that of its mean over
rounds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

__all__ = [
    "Interval",
    "beta_quantile",
    "check_values",
    "deviation",
    "falling_root",
    "mean_interval",
    "t_p_value",
    "t_quantile",
]

_HALVINGS: Final = 60


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with what the data do not exclude.

    Attributes:
        mean: The estimate itself, in the unit of the values.
        low: Lower end; ``-inf`` where the data exclude nothing below.
        high: Upper end; ``inf`` where they exclude nothing above.
        confidence: Share of such intervals that hold the true value, 0 to 1.
        n: Values that it rests on.
    """

    mean: float
    low: float
    high: float
    confidence: float
    n: int


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return Student's t interval of the mean.

    For means of rounds, and for percentiles once one was taken of each round. Exact for normal
    noise at any n, and close to it for what throughput and latency look like (docs/judgement.md);
    a single value excludes nothing.

    Args:
        values: One number a round, all finite, at least one.
        confidence: Two-sided, between 0 and 1.

    Raises:
        ValueError: No values, or one that is not finite.

    Source: Student 1908; see Montgomery and Runger, Applied Statistics, 8-2.
    """
    check_values(values, confidence)
    mean, n = statistics.fmean(values), len(values)
    if n == 1:
        return Interval(mean, -math.inf, math.inf, confidence, n)
    half = t_quantile((1 + confidence) / 2, n - 1) * deviation(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, confidence, n)


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of a sample of at least two (n - 1 below the line).

    As ``statistics.stdev``, without its exact fractions, which take most of the time of a decision.
    """
    mean = statistics.fmean(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return math.sqrt(squares / (len(values) - 1))


@lru_cache(maxsize=2**12)
def t_quantile(share: float, freedom: float) -> float:
    """Return the quantile of Student's t with so many degrees of freedom (> 0)."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def beta_quantile(share: float, a: float, b: float) -> float:
    """Return the quantile of the beta distribution with these parameters (> 0)."""
    from scipy.special import betaincinv

    return float(betaincinv(a, b, share))


def t_p_value(statistic: float, freedom: float) -> float:
    """Return how likely Student's t is at least so far from 0, two-sided."""
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(statistic)))


def falling_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function crosses zero, or the end that is nearest to it."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if function(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def check_values(values: Sequence[float], confidence: float) -> None:
    """Refuse what no interval can be made of.

    Raises:
        ValueError: No values, one that is not finite, or a confidence outside 0 to 1.
    """
    if not values:
        raise ValueError("no values, expected at least one")
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a value is not finite")
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence is {confidence}, expected one between 0 and 1")
