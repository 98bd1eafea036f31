"""What a question of speed measured, as ``performance.json`` keeps it.

A measurement has points, one for each place at which it was measured (a rate, a concurrency, a
side of a comparison), and each point has rounds. The client's numbers, the engine's own and the
device's stand beside each other, and each round says whether it counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final

from hwval.errors import UsageError

__all__ = [
    "FORMAT",
    "GONE_SILENT",
    "SIDES",
    "Measurement",
    "Point",
    "Round",
    "differing_workload",
    "sources_of",
    "values_of",
]

FORMAT: Final = 1
SIDES: Final = ("client", "engine", "device")
"""Who tells numbers; the first that tells one has the word."""
GONE_SILENT: Final = "gone silent"
"""Kind of failure: a request whose answer began, before an engine that then sent nothing."""
_STATUS: Final = "status "
# Which points are measured, and what is made of them together: each of them is the same without.
_OF_ALL_POINTS: Final = frozenset({"concurrencies", "knee_gain"})
# For how long they are measured, and how they are judged.
_WITHOUT_EFFECT: Final = frozenset(
    {
        "iterations",
        "max_changed",
        "max_duration",
        "max_rounds",
        "min_rounds",
        "rates_per_s",
        "round_deadline",
        "timeout",
        "tolerance",
        "without",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One load run at one point.

    Attributes:
        point: Name of its point.
        number: Counts from 1 at each point.
        duration_s: From the first request sent to the end of the last answer; None if none was.
        requests: How many were to be sent.
        failed: How many failed by the server's fault.
        failures: How many by kind, those that the run's own end cut off among them.
        client: Metric name -> value as the client saw it; names of ``hwval.threshold.METRICS``.
        engine: What the engine's own ``/metrics`` say of the same time; see ``engine.py``.
        device: What the host's sensors say of the same time; see ``hwval.telemetry``.
        valid: Whether it counts.
        why_invalid: Why it does not, in words.
        notes: What a reader has to know besides.
    """

    point: str
    number: int
    duration_s: float | None
    requests: int
    failed: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    client: Mapping[str, float] = field(default_factory=dict)
    engine: Mapping[str, float] = field(default_factory=dict)
    device: Mapping[str, float] = field(default_factory=dict)
    valid: bool = True
    why_invalid: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def status(self) -> int | None:
        """HTTP status with which most of the refused requests were; None if none were."""
        found = [name.removeprefix(_STATUS) for name in self.failures if name.startswith(_STATUS)]
        return int(found[0]) if found else None

    def told_by(self, side: str) -> Mapping[str, float]:
        """Return the numbers of one of the ``SIDES``."""
        return _told_by(self, side)


def sources_of(rounds: Iterable[Round]) -> dict[str, str]:
    """Return metric -> whose word it is, one and the same for all rounds and points.

    The client's goes before the engine's, and that before the device's: two sides mean different
    things by one name (a time to first token with and without the way to the client), so that a
    round in which one side is silent has no value, and not the other side's.

    Args:
        rounds: All of a measurement; those that count decide.
    """
    told = [one for one in rounds if one.valid]
    names = {side: {name for one in told for name in one.told_by(side)} for side in SIDES}
    return {name: side for side in reversed(SIDES) for name in sorted(names[side])}


def values_of(metric: str, rounds: Iterable[Round], among: Iterable[Round]) -> list[float | None]:
    """Return a metric of each round, by the side whose word it is; None where that is silent.

    Args:
        metric: Its name.
        rounds: The rounds.
        among: All rounds of their measurement.
    """
    side = sources_of(among).get(metric)
    return [None if side is None else one.told_by(side).get(metric) for one in rounds]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place of a curve, or one side of a comparison.

    Attributes:
        name: Unique in the measurement: ``concurrency 8``, ``2 requests/s``, ``with``.
        concurrency: Streams at a time, where that is what differs.
        rate_per_s: Requests per second, likewise.
        rounds: Rounds that count.
        client: Metric name -> mean over the rounds that count.
        engine: Likewise, of the engine's own numbers.
        device: Likewise, of the device's.
        ceiling: Metric name -> what the roofline allows at this point: the most of a rate, the
            least of a latency.
        ttft_values_s: Times to first token of single requests, ascending, thinned evenly to 2,000
            at most; for a histogram.
        valid: Whether any round counts.
        why_invalid: Why rounds do not count, each reason once.
    """

    name: str
    concurrency: int | None = None
    rate_per_s: float | None = None
    rounds: int = 0
    client: Mapping[str, float] = field(default_factory=dict)
    engine: Mapping[str, float] = field(default_factory=dict)
    device: Mapping[str, float] = field(default_factory=dict)
    ceiling: Mapping[str, float] = field(default_factory=dict)
    ttft_values_s: Sequence[float] = ()
    valid: bool = True
    why_invalid: Sequence[str] = ()

    def told_by(self, side: str) -> Mapping[str, float]:
        """Return the means of one of the ``SIDES``."""
        return _told_by(self, side)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Everything that one question measured of one cell.

    Attributes:
        question: ``performance/serving``.
        cell: Id of the cell.
        workload: What was asked for, as the matrix writes it.
        rounds: In the order of time.
        points: In the order of the curve.
        notes: What a reader has to know.
        numbers: What belongs to no point: ``kv_cache_tokens``.
        derived: Metrics that compare points with each other, one value a round:
            ``knee_concurrency``, ``speedup``, ``scaling_efficiency``.
    """

    question: str
    cell: str
    workload: Mapping[str, Any]
    rounds: Sequence[Round]
    points: Sequence[Point]
    notes: Sequence[str] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    derived: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def values(self, point: str, metric: str) -> list[float]:
        """Return a metric of each round that counts, in the order of time."""
        rounds = [one for one in self.rounds if one.point == point and one.valid]
        found = values_of(metric, rounds, self.rounds)
        return [value for value in found if value is not None]

    def numbers_at(self, point: Point) -> dict[str, float]:
        """Return metric name -> mean at a point, by the side whose word it is at all points."""
        sides = {
            name: side
            for side in reversed(SIDES)
            for one in self.points
            for name in one.told_by(side)
        }
        told = {name: point.told_by(side) for name, side in sides.items()}
        return {name: numbers[name] for name, numbers in told.items() if name in numbers}

    def to_json(self) -> str:
        """Return the text of ``performance.json``."""
        rounds = [_plain(one) for one in self.rounds]
        points = [_plain(one) for one in self.points]
        head = {
            "format": FORMAT,
            "question": self.question,
            "cell": self.cell,
            "workload": dict(self.workload),
            "numbers": dict(self.numbers),
            "sources": sources_of(self.rounds),
            "derived": {name: list(values) for name, values in self.derived.items()},
            "notes": list(self.notes),
        }
        return json.dumps(head | {"points": points, "rounds": rounds}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Measurement:
        """Read ``performance.json``; fields that are not known are left out.

        Raises:
            UsageError: It is not one, or of another format.
        """
        try:
            data = json.loads(text)
            found = data["format"]
            if found != FORMAT:
                raise UsageError(f"performance.json of format {found!r}, expected {FORMAT}")
            return cls(
                question=data["question"],
                cell=data["cell"],
                workload=data["workload"],
                rounds=tuple(_read(Round, one) for one in data["rounds"]),
                points=tuple(_read(Point, one) for one in data["points"]),
                notes=tuple(data["notes"]),
                numbers=data["numbers"],
                derived=data["derived"],
            )
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"performance.json: {error!r}, expected a measurement") from error


def differing_workload(
    before: Mapping[str, Any], now: Mapping[str, Any], *, of_all_points: bool = False
) -> list[str]:
    """Return what differs of two workloads and bears on what is measured.

    Args:
        before: One of them, as the matrix writes it.
        now: The other.
        of_all_points: Whether a metric that compares points is meant, and not one at a point.
    """
    without = _WITHOUT_EFFECT if of_all_points else _WITHOUT_EFFECT | _OF_ALL_POINTS
    names = (before.keys() | now.keys()) - without
    return sorted(name for name in names if before.get(name) != now.get(name))


def _told_by(one: Round | Point, side: str) -> Mapping[str, float]:
    return {"client": one.client, "engine": one.engine, "device": one.device}[side]


def _plain(one: Round | Point) -> dict[str, Any]:
    names = type(one).__dataclass_fields__
    values = {name: getattr(one, name) for name in names}
    return {
        name: dict(value)
        if isinstance(value, Mapping)
        else list(value)
        if isinstance(value, tuple)
        else value
        for name, value in values.items()
    }


def _read(kind: type[Any], data: Mapping[str, Any]) -> Any:
    return kind(**{name: data[name] for name in kind.__dataclass_fields__ if name in data})
