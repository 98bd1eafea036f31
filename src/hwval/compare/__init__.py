"""What became better or worse between two runs: verdicts, speed, accuracy.

Cells are matched by id; where the id differs in the image's tag alone, as between two releases,
by all the rest of it. What cannot be compared is told with the reason, and never counted as equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from hwval.compare.belief import believed
from hwval.compare.change import AccuracyChange
from hwval.compare.change import CellChange
from hwval.compare.change import Change
from hwval.compare.change import Comparison
from hwval.compare.change import LeftOut
from hwval.compare.change import SpeedChange
from hwval.compare.change import VerdictChange
from hwval.compare.matching import match_cells
from hwval.compare.measured import Answer
from hwval.compare.measured import compare_accuracy
from hwval.compare.measured import compare_speed
from hwval.compare.verdicts import compare_verdicts
from hwval.errors import UsageError
from hwval.result import Run
from hwval.result import VerdictRecord
from hwval.summary import CellSummary
from hwval.summary import summarise
from hwval.verdict import severity

__all__ = [
    "LEAST_CHANGE",
    "AccuracyChange",
    "CellChange",
    "Change",
    "Comparison",
    "LeftOut",
    "SpeedChange",
    "VerdictChange",
    "compare_runs",
]

LEAST_CHANGE: Final = 0.03
"""Smaller changes of speed are not called one: engines differ by as much from start to start."""


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
    pairs = match_cells(befores, nows)
    if not pairs:
        raise UsageError(
            f"{base.folder} and {new.folder} are not comparable: none of {len(befores)} cells "
            f"there is among {len(nows)} cells here"
        )
    cells = [_compare_cell(base, befores[before], new, nows[now]) for now, before in pairs.items()]
    return Comparison(
        base=base.head.run_id,
        new=new.head.run_id,
        cells=tuple(believed(cells, least_change)),
        only_base=tuple(cell for cell in befores if cell not in pairs.values()),
        only_new=tuple(cell for cell in nows if cell not in pairs),
        notes=tuple(_notes(base, new)),
    )


def _compare_cell(base: Run, before: CellSummary, new: Run, now: CellSummary) -> CellChange:
    is_same = before.record.cell == now.record.cell
    change = CellChange(now.record.cell, before.record.cell, before.outcome, now.outcome)
    if is_same and before.record.fingerprint != now.record.fingerprint:
        why = (
            "the cell means something else now: fingerprint "
            f"{before.record.fingerprint} before, {now.record.fingerprint} now"
        )
        return replace(change, incomparable=why)
    hosts = base.host_of(before.record), new.host_of(now.record)
    notes = [*_host_notes(*hosts, before, now), *_engine_notes(before, now)]
    olds, news = _by_question(before), _by_question(now)
    speed: list[SpeedChange] = []
    accuracy: list[AccuracyChange] = []
    left_out: list[LeftOut] = []
    for question in [name for name in news if name in olds]:
        both = Answer(base, olds[question]), Answer(new, news[question])
        measured = compare_speed(*both)
        scored = compare_accuracy(*both)
        speed += measured.changes
        accuracy += scored.changes
        left_out += [*measured.left_out, *scored.left_out]
        notes += [f"{question}: {note}" for note in measured.notes]
    return replace(
        change,
        verdicts=tuple(compare_verdicts(olds, news)),
        speed=tuple(speed),
        accuracy=tuple(accuracy),
        left_out=tuple(left_out),
        notes=tuple(notes),
    )


def _by_question(cell: CellSummary) -> dict[str, VerdictRecord]:
    """Return the answer to each question; of several the worst, so that no retry buys a pass."""
    found: dict[str, VerdictRecord] = {}
    for answer in cell.answers:
        known = found.setdefault(answer.question, answer)
        if severity(answer.outcome) < severity(known.outcome):
            found[answer.question] = answer
    return found


def _host_notes(old: str, new: str, before: CellSummary, now: CellSummary) -> Iterator[str]:
    """Tell of a cell that was asked elsewhere; of runs of one host each the whole run tells it."""
    if old != new and (before.record.run or now.record.run):
        yield f"asked on {old or 'an unknown host'} before, on {new or 'an unknown host'} now"


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


def _notes(base: Run, new: Run) -> Iterator[str]:
    for run in (base, new):
        if run.ending != "complete":
            yield f"{run.head.run_id} was {run.ending}: what it did not answer is not compared"
    for name in ("hostname", "cpu_model"):
        before, now = base.head.host.get(name), new.head.host.get(name)
        if before != now:
            yield f"{name} {before} before, {now} now"
    if base.head.hwval_version != new.head.hwval_version:
        yield f"hwval {base.head.hwval_version} before, {new.head.hwval_version} now"
