"""Adds rounds until every limit is decided or the budget is spent."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from typing import Any
from typing import Final

from hwval.clock import Stopwatch
from hwval.errors import ResponseError
from hwval.performance.measurement import GONE_SILENT
from hwval.performance.measurement import Measurement
from hwval.performance.measurement import Point
from hwval.performance.measurement import Round
from hwval.performance.measurement import values_of
from hwval.stats import LEAST_ROUNDS
from hwval.stats import Looks
from hwval.threshold import METRICS
from hwval.threshold import Check
from hwval.threshold import Limit
from hwval.threshold import Partner
from hwval.threshold import invalid
from hwval.threshold import judge
from hwval.threshold import needs_more_rounds
from hwval.threshold import relate
from hwval.units import format_count
from hwval.units import format_duration_s

__all__ = ["Campaign", "Relate", "RequestsFailed", "Scene", "at_point"]

_MOST_TTFT_VALUES: Final = 2000
# Who would tell a metric that no round has; the client tells all others.
_TELLERS: Final = {
    **dict.fromkeys(
        ("prefix_cache_hit_rate", "acceptance_rate", "accepted_length_tokens", "kv_cache_tokens"),
        "the engine does not tell",
    ),
    **dict.fromkeys(
        ("device_memory_peak_bytes", "energy_j_per_token", "output_tokens_per_j"),
        "no sensor of the devices tells",
    ),
}
# Rounds that do not count (the generator was the limit, the device throttled) are repeated, but
# not for ever: what disturbs every second round is no accident.
_MOST_INVALID: Final = 3


class RequestsFailed(ResponseError):  # noqa: N818 - an event: the server failed requests
    """Requests under load failed by the server's fault; what was measured says nothing of speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One point of a measurement.

    Attributes:
        name: Name of the point.
        play: Plays a round, counted from 1.
        prepare: Called once before the first round.
        limits: Metric -> what is promised here.
        ceiling: Metric -> what the roofline allows here.
        concurrency: Streams at a time, where that is what differs.
        rate_per_s: Requests per second, likewise.
    """

    name: str
    play: Callable[[int], Round]
    prepare: Callable[[], None] = lambda: None
    limits: Mapping[str, Limit] = field(default_factory=dict)
    ceiling: Mapping[str, float] = field(default_factory=dict)
    concurrency: int | None = None
    rate_per_s: float | None = None


# Holds a metric's rounds so far, at a point or of the whole measurement, against another cell.
Relate = Callable[[str, Limit, Sequence[float], str | None, Looks], Check]


def _unrelated(
    metric: str, limit: Limit, own: Sequence[float], _point: str | None, looks: Looks
) -> Check:
    return relate(metric, limit, own, Partner(name=limit.partner), looks=looks)


# Checks that compare points with each other, from what was measured so far.
Compare = Callable[["Campaign", Looks], Iterable[Check]]


@dataclass(slots=True)
class Campaign:
    """One question's measurement while it grows.

    Attributes:
        question: ``performance/serving``.
        cell: Id of the cell.
        workload: What was asked for.
        relate: Holds this cell against others, at every look; without it, none was measured.
        ahead: How many rounds there are and how long they may take, for the line that moves.
        scenes: Points so far.
        rounds: Rounds so far.
        checks: What the limits of points that are done came to.
        derived: Metrics that compare points, one value a round.
        numbers: What belongs to no point.
        notes: What a reader has to know.
        ttft_values_s: Point -> times to first token of single requests.
        spent_s: Time that each point was allowed, where that ended the rounds; else None.
    """

    question: str
    cell: str
    workload: Mapping[str, Any]
    relate: Relate = _unrelated
    ahead: str = ""
    scenes: list[Scene] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    derived: dict[str, list[float]] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ttft_values_s: dict[str, list[float]] = field(default_factory=dict)
    spent_s: float | None = None

    def valid(self, scene: str) -> list[Round]:
        """Return the rounds of a point that count."""
        return [one for one in self.rounds if one.point == scene and one.valid]

    def values(self, scene: str, metric: str) -> list[float]:
        """Return a metric of each round of a point that counts and tells it."""
        found = values_of(metric, self.valid(scene), self.rounds)
        return [value for value in found if value is not None]

    def paired(self, metric: str, *scenes: str) -> list[tuple[float, ...]]:
        """Return a metric of several points, from the rounds in which all of them count."""
        tables = []
        for name in scenes:
            rounds = self.valid(name)
            values = values_of(metric, rounds, self.rounds)
            tables.append({one.number: value for one, value in zip(rounds, values, strict=True)})
        numbers = sorted(set.intersection(*(set(table) for table in tables)))
        rows = [tuple(table[number] for table in tables) for number in numbers]
        return [
            tuple(value for value in row if value is not None) for row in rows if None not in row
        ]

    def measure(
        self,
        scenes: Sequence[Scene],
        looks: Looks,
        budget_s: float,
        *,
        compare: Compare | None = None,
    ) -> tuple[Check, ...]:
        """Play rounds of these points in turn until all is decided or the budget is spent.

        Args:
            scenes: Points that are judged together; the order changes from round to round, so that
                what drifts hits all of them alike.
            looks: The looks at the limits that are planned.
            budget_s: Longest time for each of these points, seconds > 0.
            compare: Makes checks of several points.

        Returns:
            What every limit came to.

        Raises:
            RequestsFailed: The server failed requests.
        """
        self.scenes += scenes
        self.ahead = ""
        for scene in scenes:
            scene.prepare()
        checks = self._decide(scenes, looks, budget_s, compare)
        self.checks += checks
        return checks

    def _decide(
        self, scenes: Sequence[Scene], looks: Looks, budget_s: float, compare: Compare | None
    ) -> tuple[Check, ...]:
        watch, allowed_s = Stopwatch(), budget_s * len(scenes)
        seen = number = 0
        while True:
            number += 1
            for scene in scenes if number % 2 else reversed(scenes):
                self._play(scene, number)
            done = min(len(self.valid(scene.name)) for scene in scenes)
            left_s = max(0.0, allowed_s - watch.elapsed_s)
            self._look_ahead(done, looks, watch.elapsed_s, left_s)
            if done in looks.rounds and done != seen:
                checks, seen = self._judge(scenes, looks, compare), done
                if not needs_more_rounds(checks) or done == looks.most:
                    return checks
            # What is left must suffice for another round like those before.
            is_spent = watch.elapsed_s * (1 + 1 / number) > allowed_s
            if is_spent or number - done > max(_MOST_INVALID, done):
                self.spent_s = budget_s if is_spent else self.spent_s
                self._check_for_silence(scenes)
                return self._judge(scenes, looks, compare)

    def problem(self) -> str | None:
        """Return why too few rounds count to say anything, None if they suffice."""
        for scene in self.scenes:
            done = len(self.valid(scene.name))
            if done < LEAST_ROUNDS:
                tried = sum(one.point == scene.name for one in self.rounds)
                reasons = _reasons(self.rounds, scene.name)[:1]
                if self.spent_s is not None:
                    allowed = format_duration_s(self.spent_s)
                    reasons.append(f"max_duration ({allowed}) was spent; raise it")
                count = "1 round counts" if tried == 1 else f"{tried} rounds count"
                return f"{scene.name}: {done} of {count}, too few to judge: {', '.join(reasons)}"
        return None

    def measurement(self) -> Measurement:
        """Return what was measured so far."""
        return Measurement(
            question=self.question,
            cell=self.cell,
            workload=self.workload,
            rounds=tuple(self.rounds),
            points=tuple(self._point(scene) for scene in self.scenes),
            notes=tuple(self.notes),
            numbers={
                **self.numbers,
                **{name: statistics.fmean(found) for name, found in self.derived.items() if found},
            },
            derived=self.derived,
        )

    def judge_values(
        self,
        metric: str,
        limit: Limit,
        values: Sequence[float],
        *,
        looks: Looks,
        where: str = "",
        point: str | None = None,
        ceiling: float | None = None,
    ) -> tuple[Check, ...]:
        """Hold one metric against its limit; what was not measured is INCONCLUSIVE.

        Args:
            metric: Name of the metric.
            limit: What is promised of it, relations to other cells included.
            values: One value a round that counts, in the order of time.
            looks: The looks that are planned.
            where: Name of the point in words, where there are several.
            point: Name of the point; None for a metric that compares points.
            ceiling: What the roofline allows.
        """
        if not values:
            why = self._why_no_values(metric, point)
            return (at_point(where, invalid(metric, limit, why)),)
        checks = judge(metric, limit, values, ceiling=ceiling, looks=looks)
        if limit.partner:
            checks = (*checks, self.relate(metric, limit, values, point, looks))
        return tuple(at_point(where, check) for check in checks)

    def _play(self, scene: Scene, number: int) -> None:
        one = scene.play(number)
        self.rounds.append(one)
        if one.failed:
            told = f"{scene.name}, round {number}: {one.why_invalid[0]}"
            raise RequestsFailed(told, status=one.status)

    def _why_no_values(self, metric: str, point: str | None) -> str:
        if point is None or not self.valid(point):
            return "it was not measured in any round that counts"
        return f"{_TELLERS.get(metric, 'no round that counts tells')} {metric}"

    def _check_for_silence(self, scenes: Sequence[Scene]) -> None:
        """Raise that an engine hangs, if it fell silent in every round of a point.

        Once may be an accident of the host; that a deadline was too short for an engine which went
        on sending is no fault of the engine.
        """
        for scene in scenes:
            rounds = [one for one in self.rounds if one.point == scene.name]
            if len(rounds) >= LEAST_ROUNDS and all(GONE_SILENT in one.failures for one in rounds):
                raise RequestsFailed(
                    f"{scene.name}: in each of {len(rounds)} rounds {rounds[-1].why_invalid[0]}"
                )

    def _judge(
        self, scenes: Sequence[Scene], looks: Looks, compare: Compare | None
    ) -> tuple[Check, ...]:
        checks: list[Check] = []
        for scene in scenes:
            is_named = len(self.scenes) > 1 or scene.rate_per_s is not None
            where = scene.name if is_named else ""
            for metric, limit in scene.limits.items():
                values = self.values(scene.name, metric)
                found = self.judge_values(
                    *(metric, limit, values),
                    looks=looks,
                    where=where,
                    point=scene.name,
                    ceiling=scene.ceiling.get(metric),
                )
                few = self._few_requests(metric, scene.name)
                checks += [replace(one, text=one.text + few) for one in found]
        if compare is not None:
            checks += compare(self, looks)
        return tuple(checks)

    def _few_requests(self, metric: str, point: str) -> str:
        """Return what is to be said of a percentile of fewer requests than it takes."""
        fewest = min((one.requests for one in self.valid(point)), default=0)
        needed = METRICS[metric].fewest_requests
        if not 0 < fewest < needed:
            return ""
        told = f"with {format_count(fewest, 'request')} a round it is close to their largest"
        return f"; {told}, {needed} or more are needed to tell them apart"

    def _point(self, scene: Scene) -> Point:
        rounds = self.valid(scene.name)
        return Point(
            name=scene.name,
            concurrency=scene.concurrency,
            rate_per_s=scene.rate_per_s,
            rounds=len(rounds),
            client=_means([one.client for one in rounds]),
            engine=_means([one.engine for one in rounds]),
            device=_means([one.device for one in rounds]),
            ceiling=scene.ceiling,
            ttft_values_s=_thinned(self.ttft_values_s.get(scene.name, [])),
            valid=bool(rounds),
            why_invalid=tuple(_reasons(self.rounds, scene.name)),
        )

    def _look_ahead(self, done: int, looks: Looks, elapsed_s: float, left_s: float) -> None:
        target = looks.next(done) or looks.most
        ahead_s = elapsed_s / max(1, done) * (target - done)
        self.ahead = (
            f"{done} of {target} rounds count, about {format_duration_s(min(ahead_s, left_s))} to "
            f"the next look, {format_duration_s(left_s)} at most"
        )


def at_point(where: str, check: Check) -> Check:
    """Return a check that says at which point it is; without a name, unchanged."""
    return replace(check, text=f"{where}: {check.text}", point=where) if where else check


def _reasons(rounds: Iterable[Round], point: str) -> list[str]:
    told = Counter(why for one in rounds if one.point == point for why in one.why_invalid)
    return [why for why, _ in told.most_common()]


def _means(sides: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for side in sides for name in side)
    return {name: statistics.fmean(side[name] for side in sides if name in side) for name in names}


def _thinned(values: Sequence[float]) -> tuple[float, ...]:
    """Return values in order, an even share of them if they are many."""
    ordered = sorted(values)
    if len(ordered) <= _MOST_TTFT_VALUES:
        return tuple(ordered)
    step = (len(ordered) - 1) / (_MOST_TTFT_VALUES - 1)
    return tuple(ordered[round(place * step)] for place in range(_MOST_TTFT_VALUES))
