"""What pictures are made of: the measurements that a run attached to its questions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from typing import NamedTuple

from hwval.errors import HwvalError
from hwval.inert import inside_link
from hwval.performance.measurement import Measurement
from hwval.performance.measurement import Point
from hwval.result import CellRecord
from hwval.result import Run
from hwval.stats import mean_interval
from hwval.threshold import METRICS

__all__ = ["FILE_NAME", "THROUGHPUT", "Bar", "Series", "bars_of", "read_series"]

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
    """

    record: CellRecord
    measurement: Measurement
    folder: str

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
            yield Series(records[verdict.cell], measurement, str(Path(path).parent))


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
