"""What pictures are made of: the measurements that a run attached to its questions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from typing import NamedTuple

from hwval.errors import HwvalError
from hwval.inert import inside_link
from hwval.performance.measurement import Measurement
from hwval.performance.measurement import Point
from hwval.performance.measurement import Round
from hwval.result import CellRecord
from hwval.result import Run
from hwval.stats import mean_interval
from hwval.threshold import METRICS

__all__ = [
    "FILE_NAME",
    "LATENCIES",
    "PERCENTILES",
    "THROUGHPUT",
    "Bar",
    "Series",
    "bars_of",
    "percentiles_of",
    "read_series",
]

LATENCIES: Final[Mapping[str, str]] = {
    "ttft": "time to first token",
    "itl": "between tokens (ITL)",
    "tpot": "per token after the first",
    "e2el": "whole answer",
}
"""Latency -> what it is, in the order of a request's life."""
PERCENTILES: Final[Mapping[str, int]] = {"p50": 1, "p90": 10, "p99": 100}
"""Percentile -> values that it needs; of fewer it says no more than the largest of them."""
FILE_NAME: Final = "performance.json"
THROUGHPUT: Final = "output_tokens_per_s"
_VENDORS: Final = {"gfx": "rocm", "sm_": "cuda", "tpu": "tpu", "cpu": "cpu"}


@dataclass(frozen=True, slots=True)
class Series:
    """What one question measured of one cell.

    Attributes:
        record: The cell.
        measurement: What was measured.
        folder: Where the measurement lies, relative to the run's folder.
        host: Where it was measured; empty if all of the run is of one host.
    """

    record: CellRecord
    measurement: Measurement
    folder: str
    host: str = ""

    @property
    def vendor(self) -> str:
        """``cuda``, ``rocm``, ``tpu``, ``cpu`` or ``external``; keys of hardware begin with it."""
        return _VENDORS.get(self.record.hardware[:3], "external")

    @property
    def owner(self) -> tuple[str, str]:
        """Cell id and question."""
        return self.record.cell, self.measurement.question

    @property
    def valid_points(self) -> Sequence[Point]:
        """The points that count."""
        return [point for point in self.measurement.points if point.valid]

    @property
    def is_a_curve(self) -> bool:
        """Whether throughput was measured at more than one concurrency."""
        points = [point for point in self.measurement.points if THROUGHPUT in point.client]
        return len({point.concurrency for point in points} - {None}) > 1

    def range_of(self, point: Point, metric: str) -> tuple[float, float] | None:
        """Return what the rounds do not exclude at 95 %; None with too few of them."""
        values = self.measurement.values(point.name, metric)
        if len(values) < 2:
            return None
        interval = mean_interval(values)
        is_finite = math.isfinite(interval.low) and math.isfinite(interval.high)
        return (interval.low, interval.high) if is_finite else None

    def latencies(self, point: Point) -> dict[str, dict[str, float]]:
        """Return latency -> percentile -> seconds, mean over the rounds.

        One for which any round has too few values is left out. Where no round tells how many it
        has, all are there.
        """
        found = {}
        for name in LATENCIES:
            count = self._fewest_values(point, name)
            found[name] = {
                percentile: point.client[key]
                for percentile in (PERCENTILES if count is None else _told_of(count))
                if (key := f"{name}_{percentile}_s") in point.client
            }
        return {name: values for name, values in found.items() if values}

    def _fewest_values(self, point: Point, latency: str) -> int | None:
        rounds = [one for one in self.measurement.rounds if one.point == point.name and one.valid]
        told = [count for one in rounds if (count := _count(one, latency)) is not None]
        return min(told, default=None)


class Bar(NamedTuple):
    """A measurement against what the roofline allows.

    Attributes:
        series: Whose it is.
        point: Where it was measured.
        metric: Its name.
        measured: Its value.
        ceiling: What the roofline allows: the most of a rate, the least of a latency.
    """

    series: Series
    point: Point
    metric: str
    measured: float
    ceiling: float

    @property
    def share(self) -> float:
        """Part of the ceiling that was reached, 1 for all of it."""
        share = self.measured / self.ceiling
        return share if METRICS[self.metric].higher_is_better else 1 / share


def read_series(run: Run) -> Iterator[Series]:
    """Yield every measurement that can be read; one that cannot was told when it was asked for."""
    records = {record.cell: record for record in run.cells}
    for verdict in run.verdicts:
        for path in verdict.files.values():
            name = Path(path).name
            if name != FILE_NAME or verdict.cell not in records or inside_link(path) is None:
                continue
            file = run.path(path)
            if file is None:
                continue
            try:
                text = file.read_text("utf-8")
                measurement = Measurement.from_json(text)
            except (OSError, UnicodeDecodeError, HwvalError):
                continue
            record = records[verdict.cell]
            host = run.host_of(record) if record.run else ""
            yield Series(record, measurement, str(Path(path).parent), host)


def bars_of(found: Iterable[Series]) -> Iterator[Bar]:
    """Yield for each metric of each question the point that comes nearest to its ceiling."""
    for series in found:
        best: dict[str, Bar] = {}
        for point in series.valid_points:
            for metric, ceiling in point.ceiling.items():
                measured = point.client.get(metric, 0.0)
                if metric not in METRICS or measured <= 0 or ceiling <= 0:
                    continue
                bar = Bar(series, point, metric, measured, ceiling)
                if metric not in best or bar.share > best[metric].share:
                    best[metric] = bar
        yield from best.values()


def percentiles_of(values: Sequence[float]) -> dict[str, float]:
    """Return the percentiles that values tell, interpolated linearly as by the load generator.

    Args:
        values: At least one.
    """
    # Before Python 3.13 `quantiles` refuses a single value; twice the same has the same ones.
    several = values if len(values) > 1 else [*values, *values]
    cuts = statistics.quantiles(several, n=100, method="inclusive")
    return {name: cuts[int(name[1:]) - 1] for name in _told_of(len(values))}


def _told_of(count: int) -> list[str]:
    return [name for name, fewest in PERCENTILES.items() if count >= fewest]


def _count(one: Round, latency: str) -> int | None:
    """Return how many values of a latency a round has, None if it does not tell."""
    answered = one.requests - one.failed
    if answered <= 0:
        return None
    if latency != "itl":
        return answered
    # One for each token behind the first of an answer.
    tokens = one.client.get(THROUGHPUT, 0.0) * (one.duration_s or 0.0)
    return max(1, round(tokens) - answered) if tokens else None
