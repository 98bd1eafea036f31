"""What became better or worse between two runs: verdicts, speed, accuracy.

Cells are matched by id; where the id differs in the image's tag alone, as between two releases,
by all the rest of it. What cannot be compared is told and never counted as equal.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from typing import Final

from hwval.accuracy.samples import SAMPLES_SUFFIX
from hwval.accuracy.samples import pair_up
from hwval.accuracy.samples import read_samples
from hwval.errors import UsageError
from hwval.performance.measurement import Measurement
from hwval.performance.measurement import differing_workload
from hwval.result import CellRecord
from hwval.result import Run
from hwval.result import VerdictRecord
from hwval.stats import discoveries
from hwval.stats import mcnemar_exact
from hwval.stats import paired_interval
from hwval.stats import ratio_interval
from hwval.stats import ratio_p_value
from hwval.summary import CellSummary
from hwval.summary import summarise
from hwval.threshold import METRICS
from hwval.verdict import Outcome

__all__ = [
    "LEAST_CHANGE",
    "AccuracyChange",
    "CellChange",
    "Change",
    "Comparison",
    "SpeedChange",
    "VerdictChange",
    "compare_runs",
]

LEAST_CHANGE: Final = 0.03
"""Smaller changes of speed are not called one: engines differ by as much from start to start."""

_CONFIDENCE: Final = 0.95
_FALSE_FINDINGS: Final = 0.05
_MEASUREMENT: Final = "performance.json"
_UNSURE: Final = frozenset({Outcome.INCONCLUSIVE, Outcome.INFRA, Outcome.NOT_RUN})


class Change(StrEnum):
    """What became of one thing."""

    WORSE = "worse"
    LOST = "no answer now"
    """It had an answer and has none that tells anything."""
    CHANGED = "other failure"
    """It failed and fails, in another way."""
    NEW = "answer now"
    """It had none that told anything."""
    BETTER = "better"
    SAME = "same"
    """No sure difference."""
    INCOMPARABLE = "incomparable"


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """One question in both runs.

    Attributes:
        question: ``suite/name``.
        change: What became of it.
        base: Its outcome before.
        new: Its outcome now.
        reason: Cause and reason of what it came to now.
        blocked_by: The question that kept it from being asked now, None where none did.
    """

    question: str
    change: Change
    base: Outcome
    new: Outcome
    reason: str = ""
    blocked_by: str | None = None


@dataclass(frozen=True, slots=True)
class SpeedChange:
    """One metric at one point in both runs.

    Attributes:
        question: ``performance/serving``.
        point: Where it was measured; empty where there is one place only.
        metric: Its name, unit included.
        change: Whether it surely changed, and by at least the least change.
        base: Mean before.
        new: Mean now.
        ratio: New over base, of geometric means.
        low: Lower end of the 95 % interval of the ratio; None where rounds do not tell.
        high: Upper end.
        p_value: Of no difference, without regard to the other comparisons.
        base_rounds: Rounds before.
        new_rounds: Rounds now.
    """

    question: str
    point: str
    metric: str
    change: Change
    base: float
    new: float
    ratio: float
    low: float | None
    high: float | None
    p_value: float
    base_rounds: int
    new_rounds: int


@dataclass(frozen=True, slots=True)
class AccuracyChange:
    """The same questions answered in both runs.

    Attributes:
        question: ``accuracy/mmlu_pro_biology``.
        task: File of samples, without its ending.
        change: Whether it surely changed.
        n: Questions.
        base_right: Right answers before.
        new_right: Right answers now.
        lost: Questions that were right and are wrong.
        won: Questions that were wrong and are right.
        low: Lower end of the 95 % interval of the difference of shares.
        high: Upper end.
        p_value: McNemar's, exact.
        notes: What differs beside the run.
    """

    question: str
    task: str
    change: Change
    n: int
    base_right: int
    new_right: int
    lost: int
    won: int
    low: float
    high: float
    p_value: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CellChange:
    """One cell in both runs.

    Attributes:
        cell: Its id now.
        base_cell: Its id before.
        base: What it came to before.
        new: What it comes to now.
        incomparable: Why nothing of it is compared; empty where it is.
        verdicts: Every question of either run.
        speed: Every metric that both measured.
        accuracy: Every task that both answered.
        notes: What could not be compared, and what a reader has to know.
    """

    cell: str
    base_cell: str
    base: Outcome
    new: Outcome
    incomparable: str = ""
    verdicts: tuple[VerdictChange, ...] = ()
    speed: tuple[SpeedChange, ...] = ()
    accuracy: tuple[AccuracyChange, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> list[Change]:
        """What became of everything in it."""
        if self.incomparable:
            return [Change.INCOMPARABLE]
        return [
            *(one.change for one in self.verdicts),
            *(one.change for one in self.speed),
            *(one.change for one in self.accuracy),
        ]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs beside each other.

    Attributes:
        base: Id of the run before.
        new: Id of the run now.
        cells: Cells of both, in the order of the new run.
        only_base: Ids of cells that only the base asked.
        only_new: Ids of cells that only the new run asked.
        notes: What differs between the runs as a whole.
    """

    base: str
    new: str
    cells: tuple[CellChange, ...]
    only_base: tuple[str, ...]
    only_new: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def got_worse(self) -> bool:
        """Whether anything did."""
        return any(Change.WORSE in cell.changes for cell in self.cells)

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {"worse": self.got_worse, **asdict(self)}


def compare_runs(base: Run, new: Run, *, least_change: float = LEAST_CHANGE) -> Comparison:
    """Set two runs beside each other.

    Args:
        base: The one before.
        new: The one now.
        least_change: Smallest change of speed that is called one, as a share, >= 0.

    Raises:
        UsageError: It is the same run, or they have no cell in common.
    """
    if base.folder.resolve() == new.folder.resolve():
        raise UsageError(f"{base.folder} and {new.folder} are the same run; name two")
    befores = {cell.record.cell: cell for cell in summarise(base).asked}
    nows = {cell.record.cell: cell for cell in summarise(new).asked}
    pairs = _match(befores, nows)
    if not pairs:
        raise UsageError(
            f"{base.folder} and {new.folder} are not comparable: none of {len(befores)} cells "
            f"there is among {len(nows)} cells here"
        )
    cells = [
        _compare_cell(base.folder, befores[before], new.folder, nows[now])
        for now, before in pairs.items()
    ]
    return Comparison(
        base=base.head.run_id,
        new=new.head.run_id,
        cells=tuple(_believed(cells, least_change)),
        only_base=tuple(cell for cell in befores if cell not in pairs.values()),
        only_new=tuple(cell for cell in nows if cell not in pairs),
        notes=tuple(_notes(base, new)),
    )


def _match(befores: Mapping[str, CellSummary], nows: Mapping[str, CellSummary]) -> dict[str, str]:
    """Return new id -> base id."""
    pairs = {cell: cell for cell in nows if cell in befores}
    left_before = _by_all_but_tag(
        cell.record for cell in befores.values() if cell.record.cell not in pairs
    )
    left_now = _by_all_but_tag(
        cell.record for cell in nows.values() if cell.record.cell not in pairs
    )
    for key, cells in left_now.items():
        others = left_before.get(key, [])
        if len(cells) == 1 and len(others) == 1:
            pairs[cells[0]] = others[0]
    return {cell: pairs[cell] for cell in nows if cell in pairs}


def _by_all_but_tag(cells: Iterable[CellRecord]) -> dict[tuple[str, ...], list[str]]:
    found: dict[tuple[str, ...], list[str]] = {}
    for cell in cells:
        image = _without_tag(cell.image)
        key = (cell.hardware, image, cell.model, cell.dtype, cell.variant)
        found.setdefault(key, []).append(cell.cell)
    return found


def _without_tag(image: str) -> str:
    repository = image.partition("@")[0].partition("==")[0]
    head, colon, tail = repository.rpartition(":")
    # A colon before a slash is a registry's port, and venv: and external: are kinds.
    return head if colon and "/" not in tail and head not in {"venv", "external"} else repository


def _compare_cell(
    base_dir: Path, before: CellSummary, new_dir: Path, now: CellSummary
) -> CellChange:
    is_same = before.record.cell == now.record.cell
    change = CellChange(now.record.cell, before.record.cell, before.outcome, now.outcome)
    if is_same and before.record.fingerprint != now.record.fingerprint:
        why = (
            "the cell means something else now: fingerprint "
            f"{before.record.fingerprint} before, {now.record.fingerprint} now"
        )
        return replace(change, incomparable=why)
    notes = list(_engine_notes(before, now))
    olds = {answer.question: answer for answer in before.answers}
    news = {answer.question: answer for answer in now.answers}
    both = [(olds[name], news[name]) for name in news if name in olds]
    speed, accuracy = [], []
    for old, answer in both:
        speed += _tried(_compare_speed(base_dir, old, new_dir, answer), answer, notes)
        accuracy += _tried(_compare_accuracy(base_dir, old, new_dir, answer), answer, notes)
    return replace(
        change,
        verdicts=tuple(_compare_verdicts(olds, news)),
        speed=tuple(speed),
        accuracy=tuple(accuracy),
        notes=tuple(notes),
    )


def _engine_notes(before: CellSummary, now: CellSummary) -> Iterator[str]:
    if before.record.image != now.record.image:
        yield (
            f"image {before.record.image} before, {now.record.image} now; whether anything else of "
            "the cell differs cannot be told"
        )
    old, new = (dict(cell.engines[-1].versions) if cell.engines else {} for cell in (before, now))
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield f"{name} {old[name]} before, {new[name]} now"


def _tried(found: Iterator[Any], answer: VerdictRecord, notes: list[str]) -> list[Any]:
    """Return what was found until something could not be compared, which is noted."""
    done: list[Any] = []
    try:
        done.extend(found)
    except UsageError as error:
        notes.append(f"{answer.question}: {error}")
    return done


def _compare_verdicts(
    olds: Mapping[str, VerdictRecord], news: Mapping[str, VerdictRecord]
) -> Iterator[VerdictChange]:
    for question in [*news, *(name for name in olds if name not in news)]:
        old, now = olds.get(question), news.get(question)
        before = old.outcome if old else Outcome.NOT_RUN
        after = now.outcome if now else Outcome.NOT_RUN
        parts = (now.cause, now.reason) if now else ("", "not asked")
        yield VerdictChange(
            question,
            _change_of(before, after, is_same=_failure(old) == _failure(now)),
            before,
            after,
            ": ".join(part for part in parts if part),
            now.blocked_by if now else None,
        )


def _failure(answer: VerdictRecord | None) -> str | None:
    return (answer.fingerprint or answer.cause) if answer else None


def _change_of(before: Outcome, after: Outcome, *, is_same: bool) -> Change:
    if before.is_good and after.is_good:
        return Change.SAME
    if after in _UNSURE:
        return Change.SAME if before in _UNSURE else Change.LOST
    if before in _UNSURE:
        return Change.NEW
    if after.is_good:
        return Change.BETTER
    if before.is_good:
        return Change.WORSE
    return Change.SAME if is_same or Outcome.BLOCKED in {before, after} else Change.CHANGED


def _compare_speed(
    base_dir: Path, old: VerdictRecord, new_dir: Path, new: VerdictRecord
) -> Iterator[SpeedChange]:
    paths = _files(base_dir, old, _MEASUREMENT), _files(new_dir, new, _MEASUREMENT)
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
                    yield _speed_change(new.question, where, metric, *values)


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


def _compare_accuracy(
    base_dir: Path, old: VerdictRecord, new_dir: Path, new: VerdictRecord
) -> Iterator[AccuracyChange]:
    befores = _files(base_dir, old, SAMPLES_SUFFIX)
    for name, path in _files(new_dir, new, SAMPLES_SUFFIX).items():
        if name not in befores:
            continue
        before, now = read_samples(befores[name]), read_samples(path)
        pairs = pair_up(before, now)
        interval = paired_interval(pairs.only_first, pairs.only_second, pairs.n, _CONFIDENCE)
        yield AccuracyChange(
            question=new.question,
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


def _files(run_dir: Path, answer: VerdictRecord, ending: str) -> dict[str, Path]:
    """Return name -> path of the answer's files that end so; never outside the run's folder."""
    paths = (run_dir / name for name in answer.files.values() if name.endswith(ending))
    return {path.name: path for path in paths if path.resolve().is_relative_to(run_dir.resolve())}


def _read_measurement(path: Path) -> Measurement:
    try:
        return Measurement.from_json(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not readable: {error}") from error


def _believed(cells: Collection[CellChange], least_change: float) -> Iterator[CellChange]:
    """Decide which differences to believe, over everything that was compared at once."""
    speed = [one for cell in cells for one in cell.speed]
    accuracy = [one for cell in cells for one in cell.accuracy]
    sure_speed = iter(discoveries([one.p_value for one in speed], _FALSE_FINDINGS))
    sure_accuracy = iter(discoveries([one.p_value for one in accuracy], _FALSE_FINDINGS))
    for cell in cells:
        yield replace(
            cell,
            speed=tuple(
                replace(one, change=_speed_word(one, least_change)) if next(sure_speed) else one
                for one in cell.speed
            ),
            accuracy=tuple(
                replace(one, change=Change.WORSE if one.lost > one.won else Change.BETTER)
                if next(sure_accuracy)
                else one
                for one in cell.accuracy
            ),
        )


def _speed_word(one: SpeedChange, least_change: float) -> Change:
    if max(one.ratio, 1 / one.ratio) < 1 + least_change:
        return Change.SAME
    is_better = (one.ratio > 1) == METRICS[one.metric].higher_is_better
    return Change.BETTER if is_better else Change.WORSE


def _notes(base: Run, new: Run) -> Iterator[str]:
    for run in (base, new):
        if run.ending != "complete":
            yield f"{run.head.run_id} was {run.ending}: what it did not answer is not compared"
    for name in ("hostname", "cpu"):
        before, now = base.head.host.get(name), new.head.host.get(name)
        if before != now:
            yield f"{name} {before} before, {now} now"
    if base.head.hwval_version != new.head.hwval_version:
        yield f"hwval {base.head.hwval_version} before, {new.head.hwval_version} now"
