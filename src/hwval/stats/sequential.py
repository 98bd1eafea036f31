"""A limit held against rounds that are added until it is decided.

Who looks after every round and stops when the answer pleases errs far more often than a single
look would. So the looks are planned before the first round, and the error that is allowed in all
is shared out over them: each look has ``alpha / looks`` on a side. By Bonferroni's inequality the
share of wrong answers over the whole run is then at most ``alpha``, however the looks depend on
one another, as long as each look's own interval holds.

Source: repeated confidence intervals, Jennison and Turnbull 1989; error spending over looks,
Lan and DeMets 1983. docs/design/0016-statistics.md says why not Pocock or O'Brien-Fleming.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from enum import StrEnum
from functools import cached_property
from typing import Final

from hwval.stats.interval import Interval
from hwval.stats.interval import deviation
from hwval.stats.interval import mean_interval
from hwval.stats.interval import t_quantile
from hwval.stats.noise import noise_of

__all__ = [
    "DEFAULT_LOOKS",
    "LEAST_ROUNDS",
    "Decision",
    "Looks",
    "decide",
    "rounds_interval",
    "smallest_detectable_effect",
]

LEAST_ROUNDS: Final = 3
"""Rounds that decide anything: two that are alike by chance would seem to have no noise."""
_GROWTH: Final = 1.6


class Decision(StrEnum):
    """Whether a limit is kept."""

    HOLDS = "holds"
    """Surely kept."""
    BREAKS = "breaks"
    """Surely broken."""
    OPEN = "open"
    """The interval holds the limit; more rounds may decide."""


@dataclass(frozen=True)
class Looks:
    """After how many rounds one looks, planned before the first.

    Attributes:
        first: Rounds before the first look, at least 3.
        most: Rounds that may be spent, at least ``first``.
        alpha: Largest share of wrong answers on either side over all looks, 0 to 0.5.
    """

    first: int = 5
    most: int = 30
    alpha: float = 0.01

    def __post_init__(self) -> None:
        if not LEAST_ROUNDS <= self.first <= self.most:
            raise ValueError(
                f"looks from {self.first} to {self.most} rounds, expected {LEAST_ROUNDS} or more"
            )
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha is {self.alpha}, expected one between 0 and 0.5")

    @cached_property
    def rounds(self) -> tuple[int, ...]:
        """Rounds done at each look, growing by the same factor: 5, 8, 13, 20, 30."""
        steps = max(0, round(math.log(self.most / self.first) / math.log(_GROWTH)))
        if not steps:
            return tuple(sorted({self.first, self.most}))
        ratio = (self.most / self.first) ** (1 / steps)
        return tuple(sorted({round(self.first * ratio**step) for step in range(steps + 1)}))

    @property
    def confidence(self) -> float:
        """Two-sided confidence of the interval at each look."""
        return 1 - 2 * self.alpha / len(self.rounds)

    def confidence_beside(self, other: Looks, rounds: int) -> float:
        """Return the two-sided confidence of each look at a ratio to a series that has ended.

        The other series ended when its own limits were decided, so that its number of rounds is
        chance, and leans to the side that decided them. Each of its looks, at which it may have
        ended, therefore has an own share of the error: its first one half, since nearly all end
        there, the later ones even parts of the rest. Added up over the looks of both, the errors
        are at most ``alpha`` on a side, whatever made the other series end.

        Args:
            other: The looks that were planned for the other series.
            rounds: After how many rounds it ended.
        """
        later = len(other.rounds) - 1
        share = (0.5 if rounds <= other.first else 0.5 / later) if later else 1.0
        return 1 - 2 * self.alpha * share / len(self.rounds)

    def next(self, done: int) -> int | None:
        """Return the rounds of the next look after ``done`` rounds, None if all are spent."""
        return next((rounds for rounds in self.rounds if rounds > done), None)


DEFAULT_LOOKS: Final = Looks()


def decide(interval: Interval, limit: float, *, higher_is_better: bool) -> Decision:
    """Return whether a limit is kept, given what the data do not exclude.

    Args:
        interval: At the confidence of the look (``Looks.confidence``).
        limit: Least good value, in the unit of the interval.
        higher_is_better: Whether the limit is a floor.
    """
    if interval.low >= limit if higher_is_better else interval.high <= limit:
        return Decision.HOLDS
    if interval.high < limit if higher_is_better else interval.low > limit:
        return Decision.BREAKS
    return Decision.OPEN


def rounds_interval(values: Sequence[float], confidence: float) -> Interval:
    """Return the interval of the mean of rounds, wider where rounds are seen to depend.

    Rounds of one engine follow one another: caches fill, clocks fall as the device warms. Where
    that shows, Student's interval is widened by ``Noise.widening``; with few rounds it may not
    show, and then the error is larger than planned (docs/judgement.md has the figures).

    Args:
        values: One number a round in the order of time, all finite, at least one.
        confidence: Two-sided, between 0 and 1.

    Raises:
        ValueError: No values, or one that is not finite.
    """
    interval = mean_interval(values, confidence)
    factor = noise_of(values).widening
    if factor == 1.0:
        return interval
    half = (interval.high - interval.mean) * factor
    return replace(interval, low=interval.mean - half, high=interval.mean + half)


def smallest_detectable_effect(
    values: Sequence[float], confidence: float, *, power: float = 0.8
) -> float | None:
    """Return how far the mean must be from a limit to be decided with so many such rounds.

    Args:
        values: One number a round.
        confidence: Two-sided, of the interval that decides.
        power: How often a difference of this size is found, 0.5 to 1.

    Returns:
        A distance in the unit of the values; None with fewer than two rounds.

    Source: sample size of a t test, with t in place of the normal quantiles.
    """
    n = len(values)
    if n < 2:
        return None
    reach = t_quantile((1 + confidence) / 2, n - 1) + t_quantile(power, n - 1)
    return reach * deviation(values) / math.sqrt(n) * noise_of(values).widening
