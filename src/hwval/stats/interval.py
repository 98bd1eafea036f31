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
    "bootstrap_interval",
    "check_values",
    "deviation",
    "mean_interval",
    "percentile_interval",
    "t_p_value",
    "t_quantile",
]

_RESAMPLES: Final = 9_999


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


def bootstrap_interval(
    values: Sequence[float],
    statistic: Callable[[Sequence[float]], float] = statistics.fmean,
    confidence: float = 0.95,
    *,
    seed: int = 0,
) -> Interval:
    """Return the bias-corrected and accelerated bootstrap interval of a statistic.

    For statistics without a formula of their own, from about 20 values on: below, it is too
    narrow, where the t interval is not.

    Args:
        values: Independent values, all finite, at least two.
        statistic: What is made of them.
        confidence: Two-sided, between 0 and 1.
        seed: Of the resampling; the same values give the same interval.

    Raises:
        ValueError: Fewer than two values, or one that is not finite.

    Source: Efron 1987, Better bootstrap confidence intervals.
    """
    check_values(values, confidence, least=2)
    estimate = float(statistic(values))
    if len(set(values)) == 1:
        return Interval(estimate, estimate, estimate, confidence, len(values))
    import numpy as np
    from scipy import stats

    done = stats.bootstrap(
        (np.asarray(values, dtype=np.float64),),
        lambda sample: float(statistic(sample)),
        n_resamples=_RESAMPLES,
        confidence_level=confidence,
        vectorized=False,
        rng=np.random.default_rng(seed),
    )
    low, high = done.confidence_interval
    return Interval(estimate, float(low), float(high), confidence, len(values))


def percentile_interval(
    values: Sequence[float], share: float, confidence: float = 0.95
) -> Interval:
    """Return the interval of a percentile from order statistics, whatever the distribution.

    For independent values, as of one request after the other. Where there are too few values to
    bound the percentile on a side (fewer than 300 for a p99), that end is infinite.

    Args:
        values: All finite, at least one.
        share: 0.99 for the 99th percentile; between 0 and 1.
        confidence: Two-sided, at least this much.

    Raises:
        ValueError: No values, or one that is not finite, or a share outside 0 to 1.

    Source: Hahn and Meeker 1991, Statistical Intervals, 5.2.
    """
    check_values(values, confidence)
    if not 0 < share < 1:
        raise ValueError(f"the share is {share}, expected one between 0 and 1")
    from scipy.special import bdtr

    ordered, n, tail = sorted(values), len(values), (1 - confidence) / 2
    # P(fewer than k values lie below the percentile) = bdtr(k - 1, n, share).
    below = [float(bdtr(k, n, share)) for k in range(n)]
    lows = [k for k in range(1, n + 1) if below[k - 1] <= tail]
    highs = [k for k in range(1, n + 1) if 1 - below[k - 1] <= tail]
    return Interval(
        mean=_percentile(ordered, share),
        low=ordered[lows[-1] - 1] if lows else -math.inf,
        high=ordered[highs[0] - 1] if highs else math.inf,
        confidence=confidence,
        n=n,
    )


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


def t_p_value(statistic: float, freedom: float) -> float:
    """Return how likely Student's t is at least so far from 0, two-sided."""
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(statistic)))


def _percentile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    left = math.floor(place)
    right = min(left + 1, len(ordered) - 1)
    return ordered[left] + (place - left) * (ordered[right] - ordered[left])


def check_values(values: Sequence[float], confidence: float, least: int = 1) -> None:
    """Refuse what no interval can be made of.

    Raises:
        ValueError: Too few values, one that is not finite, or a confidence outside 0 to 1.
    """
    if len(values) < least:
        raise ValueError(f"{len(values)} values, expected at least {least}")
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a value is not finite")
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence is {confidence}, expected one between 0 and 1")
