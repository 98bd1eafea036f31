"""A measurement held against what was promised of it.

Pure. Three words come of it: PASS and FAIL where the rounds exclude the other one, INCONCLUSIVE
where they do not, where nothing comparable was measured, and where the measurement itself cannot
be right. Nothing that is missing passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import Final
from typing import Literal

from hwval.stats import DEFAULT_LOOKS
from hwval.stats import LEAST_ROUNDS
from hwval.stats import Decision
from hwval.stats import Interval
from hwval.stats import Looks
from hwval.stats import decide
from hwval.stats import noise_of
from hwval.stats import rounds_interval
from hwval.stats import smallest_detectable_effect
from hwval.threshold.limit import Band
from hwval.threshold.limit import Limit
from hwval.threshold.metric import Metric
from hwval.threshold.metric import metric_of
from hwval.verdict import Outcome

__all__ = [
    "OUTCOMES",
    "VERBS",
    "Check",
    "CheckKind",
    "invalid",
    "judge",
    "needs_more_rounds",
    "numbers_of",
    "range_words",
    "source_of",
]

CheckKind = Literal["floor", "ceiling", "of_ceiling", "baseline", "relative_to", "plausible"]

OUTCOMES: Final[Mapping[Decision, Outcome]] = {
    Decision.HOLDS: Outcome.PASS,
    Decision.BREAKS: Outcome.FAIL,
    Decision.OPEN: Outcome.INCONCLUSIVE,
}
"""What a decision is called."""
VERBS: Final[Mapping[Decision, str]] = {
    Decision.HOLDS: "keeps {}",
    Decision.BREAKS: "breaks {}",
    Decision.OPEN: "{} is not decided",
}
"""What a decision says of a promise, which stands for the braces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One promise and what became of it.

    Attributes:
        metric: Its name; the unit stands at the end.
        unit: The same for people; ``times`` for a ratio.
        kind: Which promise of the limit it is.
        outcome: PASS, FAIL or INCONCLUSIVE.
        text: One sentence with both numbers.
        value: What was measured, the mean over rounds, in ``unit``: a ratio for ``relative_to``,
            or this side's own number where the other one has none; None where nothing was.
        low: Lower end of what the rounds do not exclude; None where they exclude nothing.
        high: Upper end, likewise.
        confidence: Of that interval, two-sided.
        n: Rounds.
        limit: What was promised, in words.
        limit_value: The same as a number, in the unit of the metric; a factor for
            ``relative_to``.
        band: How good it is in words, None where the limit has none.
        share_of_ceiling: Part of what the roofline allows; None where that is not known.
        smallest_detectable: Distance from the limit that so many such rounds would decide in 80
            of 100 runs, in the unit of ``value``; None with a single round.
        noise_share: Standard deviation of a round as a part of the mean; None with one round.
        is_open: Whether more rounds may decide it.
        source: Where the promise comes from, with its date.
        partner: Id of the other cell, or name of the other point, for ``relative_to``.
        point: Where on a curve it was measured, or which of several sides; empty where there is
            one place only.
    """

    metric: str
    unit: str
    kind: CheckKind
    outcome: Outcome
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    n: int = 0
    limit: str = ""
    limit_value: float | None = None
    band: Band | None = None
    share_of_ceiling: float | None = None
    smallest_detectable: float | None = None
    noise_share: float | None = None
    is_open: bool = False
    source: str | None = None
    partner: str | None = None
    point: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal keeps it."""
        return asdict(self)


def judge(
    metric: str,
    limit: Limit,
    measured: Sequence[float] | Interval,
    *,
    ceiling: float | None = None,
    looks: Looks = DEFAULT_LOOKS,
) -> tuple[Check, ...]:
    """Hold what was measured against everything a limit promises but ``relative_to``.

    Args:
        metric: Name of the metric.
        limit: What is promised of it.
        measured: One value a round in the order of time, in the metric's unit; or an interval
            that was computed otherwise. At least one round.
        ceiling: What the roofline allows: the most of a rate, the least of a latency; None where
            that is not known.
        looks: The looks that were planned; gives the confidence.

    Returns:
        A check for each promise. Where only a relation is promised, none, or the one that the
        measurement cannot be right.

    Raises:
        ValueError: No such metric, no values, or one that is not finite.
    """
    known = metric_of(metric)
    case = _Measured(known, limit, *_interval(measured, looks), ceiling)
    checks = tuple(case.check(promise) for promise in _promises(known, limit, ceiling))
    implausible = case.implausible()
    return checks if checks or implausible is None else (implausible,)


def invalid(metric: str, limit: Limit, why: str) -> Check:
    """Return the check of what was not measured, or does not count: neither fast nor slow.

    Args:
        metric: Name of the metric.
        limit: What was promised of it.
        why: What is wrong with the measurement, or that there is none, without a full stop.
    """
    known = metric_of(metric)
    bound = limit.bound
    return Check(
        metric=metric,
        unit=known.unit,
        kind=_bound_kind(known),
        outcome=Outcome.INCONCLUSIVE,
        text=f"{metric}: not judged: {why}",
        limit="" if bound is None else known.format(bound),
        limit_value=bound,
        source=source_of(limit),
    )


def needs_more_rounds(checks: Sequence[Check]) -> bool:
    """Return whether another look may decide what is open."""
    return any(check.is_open for check in checks)


def _interval(
    measured: Sequence[float] | Interval, looks: Looks
) -> tuple[Interval, Sequence[float]]:
    if isinstance(measured, Interval):
        return measured, ()
    interval = rounds_interval(measured, looks.confidence)
    if min(measured) >= 0 and math.isfinite(
        interval.low
    ):  # few rounds of a wide latency would leave a time below 0 open
        interval = replace(interval, low=max(0.0, interval.low))
    return interval, tuple(measured)


@dataclass(frozen=True, slots=True)
class _Promise:
    """A number that a metric must reach, None where it cannot be told."""

    kind: CheckKind
    value: float | None
    words: str
    source: str | None


def _promises(metric: Metric, limit: Limit, ceiling: float | None) -> Iterator[_Promise]:
    more = metric.higher_is_better
    if limit.bound is not None:
        kind = _bound_kind(metric)
        yield _Promise(kind, limit.bound, f"{kind} {metric.format(limit.bound)}", source_of(limit))
    if limit.of_ceiling is not None:
        value = None
        words = f"{limit.of_ceiling * 100:.3g} % of what the roofline allows"
        if ceiling is not None:
            value = ceiling * limit.of_ceiling if more else ceiling / limit.of_ceiling
            words += f", {metric.format(value)} of {metric.format(ceiling)}"
        yield _Promise("of_ceiling", value, words, source_of(limit))
    if (base := limit.baseline) is not None:
        value = base.value * (1 - base.tolerance if more else 1 + base.tolerance)
        by = f"{'less' if more else 'plus'} {base.tolerance * 100:.3g} %"
        words = f"baseline {metric.format(base.value)} {by} ({metric.format(value)})"
        yield _Promise("baseline", value, words, f"{base.source} ({base.date.isoformat()})")


@dataclass(frozen=True, slots=True)
class _Measured:
    """What is known of one metric when it is judged."""

    metric: Metric
    limit: Limit
    interval: Interval
    values: Sequence[float]
    ceiling: float | None

    def check(self, promise: _Promise) -> Check:
        """Hold it against one promise."""
        outcome, why, is_open = self._decide(promise)
        return self.result(promise, outcome, f"{self._words()}: {why}", is_open=is_open)

    def implausible(self) -> Check | None:
        """Return that it cannot be right, None if it can."""
        if (wrong := self._wrong()) is None:
            return None
        promise = _Promise("plausible", self.ceiling, self._ceiling_words(), None)
        return self.result(promise, Outcome.INCONCLUSIVE, f"{self._words()}: {wrong}")

    def result(
        self, promise: _Promise, outcome: Outcome, text: str, *, is_open: bool = False
    ) -> Check:
        """Return the check with every number that belongs to it."""
        noise = noise_of(self.values) if self.values else None
        confidence = self.interval.confidence
        return Check(
            metric=self.metric.name,
            unit=self.metric.unit,
            kind=promise.kind,
            outcome=outcome,
            text=text,
            limit=promise.words,
            limit_value=promise.value,
            source=promise.source,
            band=self.limit.band(self.metric, self.interval.mean),
            share_of_ceiling=self._share_of_ceiling(),
            smallest_detectable=smallest_detectable_effect(self.values, confidence),
            noise_share=noise.share if noise else None,
            is_open=is_open,
            **numbers_of(self.shown),
        )

    @property
    def shown(self) -> Interval:
        """The interval as it is told: shares of rounds that all are at most 1 end there.

        It decides as it is, since an end that were cut would be surer than the rounds are.
        """
        if not self.metric.is_share or max(self.values, default=math.inf) > 1:
            return self.interval
        high = self.interval.high
        return replace(self.interval, high=min(1.0, high)) if math.isfinite(high) else self.interval

    def _decide(self, promise: _Promise) -> tuple[Outcome, str, bool]:
        if promise.value is None:
            return Outcome.INCONCLUSIVE, f"{promise.words} cannot be told: no ceiling known", False
        if (wrong := self._wrong()) is not None:
            return Outcome.INCONCLUSIVE, wrong, False
        if self._is_beyond(promise.value):
            why = f"{promise.words} is beyond {self._ceiling_words()}, correct the matrix"
            return Outcome.INCONCLUSIVE, why, False
        more = self.metric.higher_is_better
        decision = decide(self.interval, promise.value, higher_is_better=more)
        if 0 < len(self.values) < LEAST_ROUNDS:
            decision = Decision.OPEN
        why = VERBS[decision].format(promise.words)
        if decision is Decision.OPEN:
            why += self._undecided()
        return OUTCOMES[decision], why, decision is Decision.OPEN

    def _undecided(self) -> str:
        n = len(self.values)
        if 0 < n < LEAST_ROUNDS:
            return f" by {n} round{'s' * (n > 1)}, {LEAST_ROUNDS} are needed"
        smallest = smallest_detectable_effect(self.values, self.interval.confidence)
        if smallest is None:
            return ""
        drift = ", rounds follow one another" if noise_of(self.values).is_dependent else ""
        return f"{drift}; a difference of {self.metric.format(smallest)} would be"

    def _is_beyond(self, value: float) -> bool:
        if self.ceiling is None:
            return False
        return value > self.ceiling if self.metric.higher_is_better else value < self.ceiling

    def _ceiling_words(self) -> str:
        return "" if self.ceiling is None else f"the roofline's {self.metric.format(self.ceiling)}"

    def _wrong(self) -> str | None:
        """Return why the measurement cannot be right, None if it can."""
        least = min(self.values, default=self.interval.mean)
        if least < 0 or (least == 0 and not self.metric.higher_is_better):
            return f"a round had {self.metric.format(least)}, so the measurement is wrong"
        if self._is_beyond(self.interval.mean):
            return (
                f"faster than {self._ceiling_words()}, which physics forbids; "
                "the measurement or the catalogue is wrong"
            )
        return None

    def _share_of_ceiling(self) -> float | None:
        if not self.ceiling or self.interval.mean <= 0:
            return None
        share = self.interval.mean / self.ceiling
        return share if self.metric.higher_is_better else 1 / share

    def _words(self) -> str:
        band = self.limit.band(self.metric, self.interval.mean)
        words = f"{self.metric.name} is {self.metric.format(self.interval.mean)}"
        words += f" ({range_words(self.shown, self.metric.format)})"
        return words if band is None else f"{words}, {band}"


def numbers_of(interval: Interval) -> dict[str, Any]:
    """Return the fields of a check that tell an interval; an end that is infinite is absent."""
    low, high = (end if math.isfinite(end) else None for end in (interval.low, interval.high))
    return {
        "value": interval.mean,
        "low": low,
        "high": high,
        "confidence": interval.confidence,
        "n": interval.n,
    }


def range_words(interval: Interval, form: Callable[[float], str]) -> str:
    """Return the ends of an interval and its rounds in words, the unit once."""
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return "a single round"
    low, high = form(interval.low), form(interval.high)
    if low.partition(" ")[2] == high.partition(" ")[2]:
        low = low.partition(" ")[0]
    return f"{low} to {high}, {interval.n} rounds"


def _bound_kind(metric: Metric) -> CheckKind:
    return "floor" if metric.higher_is_better else "ceiling"


def source_of(limit: Limit) -> str | None:
    """Return where the numbers of a limit come from, with their date."""
    parts = [limit.source, f"({limit.date.isoformat()})" if limit.date else None]
    return " ".join(part for part in parts if part) or None
