"""What was measured in both runs: rounds of speed, answers to the same questions.

Like is compared with like: the same workload, and numbers by the word of the same side, since
client, engine and device mean different things by one name. The files that the answers name are
read here, and nothing outside of the runs' folders.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from typing import Generic
from typing import NamedTuple
from typing import TypeVar

from hwval.accuracy.samples import SAMPLES_SUFFIX
from hwval.accuracy.samples import pair_up
from hwval.accuracy.samples import read_samples
from hwval.compare.change import AccuracyChange
from hwval.compare.change import Change
from hwval.compare.change import LeftOut
from hwval.compare.change import SpeedChange
from hwval.errors import UsageError
from hwval.performance.measurement import Measurement
from hwval.performance.measurement import differing_workload
from hwval.performance.measurement import sources_of
from hwval.result import Run
from hwval.result import VerdictRecord
from hwval.stats import mcnemar_exact
from hwval.stats import paired_interval
from hwval.stats import ratio_interval
from hwval.stats import ratio_p_value
from hwval.threshold import METRICS

__all__ = ["Answer", "Compared", "compare_accuracy", "compare_speed"]

_CONFIDENCE: Final = 0.95
_MEASUREMENT: Final = "performance.json"
_ONLY: Final = ("measured before, not now", "measured now, not before")
_Change = TypeVar("_Change")


class Compared(NamedTuple, Generic[_Change]):
    """What came of two answers.

    Attributes:
        changes: What is compared; none is called a change yet.
        left_out: What is not, and why.
        notes: What a reader has to know.
    """

    changes: Sequence[_Change] = ()
    left_out: Sequence[LeftOut] = ()
    notes: Sequence[str] = ()


class Answer(NamedTuple):
    """An answer and the run that keeps its files.

    Attributes:
        run: The run.
        record: The answer.
    """

    run: Run
    record: VerdictRecord

    def files(self, ending: str) -> dict[str, Path]:
        """Return name -> path of its files that end so; never outside the run's folder."""
        named = (name for name in self.record.files.values() if name.endswith(ending))
        return {Path(name).name: path for name in named if (path := self.run.path(name))}


def compare_speed(old: Answer, new: Answer) -> Compared[SpeedChange]:
    """Return every metric that both answers measured at the same point, by the same side."""
    question = new.record.question
    paths = [list(answer.files(_MEASUREMENT).values()) for answer in (old, new)]
    if not paths[0] or not paths[1]:
        return Compared(left_out=list(_one_sided(question, *paths)))
    try:
        before, now = (_read_measurement(found[0]) for found in paths)
    except UsageError as error:
        return Compared(left_out=[LeftOut(question, "", str(error))])
    if names := differing_workload(before.workload, now.workload):
        why = f"{', '.join(names)} of the workload differ"
        return Compared(left_out=[LeftOut(question, "", why)])
    return _compare_points(question, before, now)


def _one_sided(question: str, before: Sequence[Path], now: Sequence[Path]) -> Iterator[LeftOut]:
    if bool(before) != bool(now):
        yield LeftOut(question, "", _ONLY[bool(now)])


def _compare_points(question: str, before: Measurement, now: Measurement) -> Compared[SpeedChange]:
    changes: list[SpeedChange] = []
    # What is left out for the same reason at many points, or of many metrics, is told once.
    points: defaultdict[str, list[str]] = defaultdict(list)
    metrics: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    names = dict.fromkeys(point.name for each in (now, before) for point in each.points)
    for point in names:
        if why := _why_no_point(point, before, now):
            points[why].append(point)
            continue
        for metric in METRICS:
            values = before.values(point, metric), now.values(point, metric)
            if why := _why_no_metric(metric, before, now, values):
                metrics[metric, why].append(point)
            elif all(values) and min(map(min, values)) > 0:
                where = point if len(names) > 1 else ""
                changes.append(_speed_change(question, where, metric, *values))
    left_out = [LeftOut(question, ", ".join(found), why) for why, found in points.items()]
    left_out += _grouped(question, metrics, len(names))
    return Compared(changes, left_out, list(_notes(before, now)))


def _why_no_point(point: str, before: Measurement, now: Measurement) -> str:
    """Return why nothing is compared at a point; empty if something is."""
    reasons = []
    for measurement, only, when in ((before, _ONLY[1], "before"), (now, _ONLY[0], "now")):
        if all(one.name != point for one in measurement.points):
            return only
        valid, why = _validity(measurement, point)
        if not valid:
            reasons.append(f"no round counts {when}{why}")
    return "; ".join(reasons)


def _validity(measurement: Measurement, point: str) -> tuple[int, str]:
    """Return how many rounds of a point count, and why others do not, each reason once."""
    rounds = [one for one in measurement.rounds if one.point == point]
    reasons = dict.fromkeys(why for one in rounds if not one.valid for why in one.why_invalid)
    told = f" ({'; '.join(reasons)})" if reasons else ""
    return sum(one.valid for one in rounds), told


def _why_no_metric(
    metric: str, before: Measurement, now: Measurement, values: tuple[list[float], list[float]]
) -> str:
    """Return why a metric is not compared; empty if it is, and where there is nothing to tell."""
    old, new = (sources_of(each.rounds).get(metric) for each in (before, now))
    if not any(values):
        return ""
    if not all(values):
        return _ONLY[bool(values[1])]
    if old != new:
        return f"told by the {old} before, by the {new} now"
    means = [sum(found) / len(found) for found in values]
    if min(map(min, values)) > 0 or not any(means):
        return ""
    form = METRICS[metric].format
    return f"{form(means[0])} before, {form(means[1])} now, and 0 in a round has no ratio"


def _grouped(
    question: str, found: Mapping[tuple[str, str], Sequence[str]], count: int
) -> Iterator[LeftOut]:
    """Yield the metrics that are left out for one reason at the same points."""
    alike: defaultdict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (metric, why), points in found.items():
        alike[why, tuple(points)].append(metric)
    for (why, points), metrics in alike.items():
        where = f" ({', '.join(points)})" if len(points) < count else ""
        yield LeftOut(question, f"{', '.join(metrics)}{where}", why)


def _notes(before: Measurement, now: Measurement) -> Iterator[str]:
    """Yield what one run says of its measurement and the other does not, and rounds that fail."""
    for measurement, other, when in ((before, now, "before"), (now, before, "now")):
        for point in measurement.points:
            rounds = sum(one.point == point.name for one in measurement.rounds)
            valid, why = _validity(measurement, point.name)
            if 0 < valid < rounds:
                yield f"{point.name}: {valid} of {rounds} rounds count {when}{why}"
        yield from (f"{when}: {note}" for note in measurement.notes if note not in other.notes)


def _speed_change(
    question: str, point: str, metric: str, before: list[float], now: list[float]
) -> SpeedChange:
    interval = ratio_interval(now, before, _CONFIDENCE)
    is_known = math.isfinite(interval.high)
    return SpeedChange(
        question=question,
        point=point,
        metric=metric,
        change=Change.SAME,
        base=statistics.geometric_mean(before),
        new=statistics.geometric_mean(now),
        ratio=interval.mean,
        low=interval.low if is_known else None,
        high=interval.high if is_known else None,
        p_value=ratio_p_value(now, before),
        base_rounds=len(before),
        new_rounds=len(now),
    )


def compare_accuracy(old: Answer, new: Answer) -> Compared[AccuracyChange]:
    """Return every task that both answers have samples of."""
    question = new.record.question
    befores, nows = old.files(SAMPLES_SUFFIX), new.files(SAMPLES_SUFFIX)
    changes, left_out = [], []
    for name in dict.fromkeys([*nows, *befores]):
        task = name.removesuffix(SAMPLES_SUFFIX)
        if name not in befores or name not in nows:
            left_out.append(LeftOut(question, task, _ONLY[name in nows]))
            continue
        try:
            changes.append(_accuracy_change(question, task, befores[name], nows[name]))
        except UsageError as error:
            left_out.append(LeftOut(question, task, str(error)))
    return Compared(changes, left_out)


def _accuracy_change(question: str, task: str, old: Path, new: Path) -> AccuracyChange:
    before, now = read_samples(old), read_samples(new)
    pairs = pair_up(before, now)
    interval = paired_interval(pairs.only_first, pairs.only_second, pairs.n, _CONFIDENCE)
    return AccuracyChange(
        question=question,
        task=task,
        change=Change.SAME,
        n=pairs.n,
        base_right=sum(sample.correct for sample in before),
        new_right=sum(sample.correct for sample in now),
        lost=pairs.only_first,
        won=pairs.only_second,
        low=interval.low,
        high=interval.high,
        p_value=mcnemar_exact(pairs.only_first, pairs.only_second),
        notes=pairs.notes,
    )


def _read_measurement(path: Path) -> Measurement:
    try:
        return Measurement.from_json(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not readable: {error}") from error
