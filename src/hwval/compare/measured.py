"""What was measured in both runs: rounds of speed, answers to the same questions.

The files that the answers name are read here, and nothing outside of the runs' folders.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from typing import NamedTuple

from hwval.accuracy.samples import SAMPLES_SUFFIX
from hwval.accuracy.samples import pair_up
from hwval.accuracy.samples import read_samples
from hwval.compare.change import AccuracyChange
from hwval.compare.change import Change
from hwval.compare.change import SpeedChange
from hwval.errors import UsageError
from hwval.performance.measurement import Measurement
from hwval.performance.measurement import differing_workload
from hwval.result import Run
from hwval.result import VerdictRecord
from hwval.stats import mcnemar_exact
from hwval.stats import paired_interval
from hwval.stats import ratio_interval
from hwval.stats import ratio_p_value
from hwval.threshold import METRICS

__all__ = ["Answer", "compare_accuracy", "compare_speed"]

_CONFIDENCE: Final = 0.95
_MEASUREMENT: Final = "performance.json"


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


def compare_speed(old: Answer, new: Answer) -> Iterator[SpeedChange]:
    """Yield every metric that both answers measured at the same point; none is called a change yet.

    Raises:
        UsageError: A file cannot be read, or the workloads differ.
    """
    paths = old.files(_MEASUREMENT), new.files(_MEASUREMENT)
    for before, now in zip(
        *(map(_read_measurement, found.values()) for found in paths), strict=False
    ):
        if names := differing_workload(before.workload, now.workload):
            raise UsageError(f"not comparable: {', '.join(names)} of the workload differ")
        points = [point.name for point in now.points]
        for point in points:
            for metric in METRICS:
                values = before.values(point, metric), now.values(point, metric)
                if all(values) and min(map(min, values)) > 0:
                    where = point if len(points) > 1 else ""
                    yield _speed_change(new.record.question, where, metric, *values)


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
        base=sum(before) / len(before),
        new=sum(now) / len(now),
        ratio=interval.mean,
        low=interval.low if is_known else None,
        high=interval.high if is_known else None,
        p_value=ratio_p_value(now, before),
        base_rounds=len(before),
        new_rounds=len(now),
    )


def compare_accuracy(old: Answer, new: Answer) -> Iterator[AccuracyChange]:
    """Yield every task that both answers have samples of; none is called a change yet.

    Raises:
        UsageError: A file cannot be read, or the samples are of different questions.
    """
    befores = old.files(SAMPLES_SUFFIX)
    for name, path in new.files(SAMPLES_SUFFIX).items():
        if name not in befores:
            continue
        before, now = read_samples(befores[name]), read_samples(path)
        pairs = pair_up(before, now)
        interval = paired_interval(pairs.only_first, pairs.only_second, pairs.n, _CONFIDENCE)
        yield AccuracyChange(
            question=new.record.question,
            task=name.removesuffix(SAMPLES_SUFFIX),
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
