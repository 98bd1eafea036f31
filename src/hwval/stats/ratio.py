"""How many times one series of rounds is another.

Rates and latencies vary by shares, so all of it is on logarithms: what comes out are ratios of
geometric means, and A against B says the same as B against A.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from hwval.stats.interval import Interval
from hwval.stats.interval import check_values
from hwval.stats.interval import deviation
from hwval.stats.interval import t_p_value
from hwval.stats.interval import t_quantile
from hwval.stats.noise import noise_of

__all__ = [
    "more_rounds_can_decide",
    "ratio_interval",
    "ratio_p_value",
    "smallest_detectable_ratio",
]


def ratio_interval(
    above: Sequence[float],
    below: Sequence[float],
    confidence: float = 0.95,
    *,
    paired: bool = False,
) -> Interval:
    """Return the interval of how many times ``above`` is ``below``.

    Wider where the rounds of a side are seen to follow one another, as ``rounds_interval`` is.

    Args:
        above: One number a round in the order of time, all > 0.
        below: Likewise, of what it is compared with.
        confidence: Two-sided, between 0 and 1.
        paired: Round i of both was measured together, so that what disturbs both cancels.

    Raises:
        ValueError: No values, one that is not finite or not > 0, or pairs of unequal number.

    Source: Welch 1947 on logarithms; Student's t on their differences where paired.
    """
    difference = _difference(above, below, confidence, paired=paired)
    mean, half = difference.mean, difference.half(confidence)
    n = min(len(above), len(below))
    return Interval(_exp(mean), _exp(mean - half), _exp(mean + half), confidence, n)


def ratio_p_value(above: Sequence[float], below: Sequence[float], *, paired: bool = False) -> float:
    """Return how likely at least such a ratio is where there is no difference, two-sided.

    Args and errors are those of ``ratio_interval``; a single value on a side gives 1.
    """
    found = _difference(above, below, 0.5, paired=paired)
    if found.freedom == 0 or found.mean == 0:
        return 1.0
    return t_p_value(found.mean / found.error, found.freedom) if found.error else 0.0


def smallest_detectable_ratio(
    above: Sequence[float],
    below: Sequence[float],
    confidence: float,
    *,
    paired: bool = False,
    power: float = 0.8,
) -> float | None:
    """Return how many times a limit the ratio must be to be decided with so many such rounds.

    Args:
        above: As for ``ratio_interval``, which has the errors too.
        below: Likewise.
        confidence: Two-sided, of the interval that decides.
        paired: As for ``ratio_interval``.
        power: How often such a ratio is found, 0.5 to 1.

    Returns:
        At least 1; None with a single value on a side.

    Source: sample size of a t test, with t in place of the normal quantiles.
    """
    found = _difference(above, below, confidence, paired=paired)
    if found.freedom == 0:
        return None
    reach = t_quantile((1 + confidence) / 2, found.freedom) + t_quantile(power, found.freedom)
    return _exp(reach * found.error)


def more_rounds_can_decide(
    above: Sequence[float], below: Sequence[float], limit: float, confidence: float
) -> bool:
    """Return whether more rounds of ``above`` alone may decide a limit of the ratio.

    They cannot where the noise of ``below`` alone is larger than the distance from the limit, even
    if the true ratio is at that end of the interval of ``above`` which is further from it.

    Args:
        above: As for ``ratio_interval``, which has the errors too.
        below: Likewise; nothing is added to these.
        limit: Of the ratio, > 0.
        confidence: Two-sided, of the interval that decides.
    """
    own, other = _mean_of_logs(above, confidence), _mean_of_logs(below, confidence)
    distance = abs(own.mean - other.mean - math.log(limit))
    return distance + own.half(confidence) > other.half(confidence)


@dataclass(frozen=True, slots=True)
class _Mean:
    """A mean or a difference of means, with its standard error and degrees of freedom.

    A single value has no freedom, and excludes nothing.
    """

    mean: float
    error: float
    freedom: float

    def half(self, confidence: float) -> float:
        """Return half the width of the interval."""
        if self.freedom == 0:
            return math.inf
        return t_quantile((1 + confidence) / 2, self.freedom) * self.error if self.error else 0.0


def _difference(
    above: Sequence[float], below: Sequence[float], confidence: float, *, paired: bool
) -> _Mean:
    if paired and len(above) != len(below):
        raise ValueError(f"{len(above)} values cannot be paired with {len(below)}")
    if paired:
        check_values(below, confidence)
        return _mean_of_logs(above, confidence, below)
    one, other = _mean_of_logs(above, confidence), _mean_of_logs(below, confidence)
    mean, total = one.mean - other.mean, one.error**2 + other.error**2
    if min(one.freedom, other.freedom) == 0:
        return _Mean(mean, math.inf, 0)
    if total == 0:
        return _Mean(mean, 0.0, 1)
    freedom = 1 / sum((side.error**2 / total) ** 2 / side.freedom for side in (one, other))
    return _Mean(mean, math.sqrt(total), freedom)


def _mean_of_logs(
    values: Sequence[float], confidence: float, below: Sequence[float] | None = None
) -> _Mean:
    """Return the mean of the logarithms, less those of ``below`` where round i belongs to it."""
    check_values(values, confidence)
    if min(*values, *(below or values)) <= 0:
        raise ValueError("a ratio needs values above 0")
    logs = [math.log(value) for value in values]
    if below is not None:
        logs = [top - math.log(bottom) for top, bottom in zip(logs, below, strict=True)]
    mean, n = statistics.fmean(logs), len(logs)
    if n == 1:
        return _Mean(mean, math.inf, 0)
    return _Mean(mean, deviation(logs) / math.sqrt(n) * noise_of(logs).widening, n - 1)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
