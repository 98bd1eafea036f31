"""What two runs differ in, as it is told: of a question, a measurement, a cell, the whole."""

from __future__ import annotations

from dataclasses import asdict
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hwval.verdict import Outcome

__all__ = [
    "AccuracyChange",
    "CellChange",
    "Change",
    "Comparison",
    "LeftOut",
    "SpeedChange",
    "VerdictChange",
]


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
        base: Geometric mean of the rounds before: a ratio of these is what rounds tell of.
        new: Likewise now.
        ratio: New over base.
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
class LeftOut:
    """What both runs or one of them measured, and why it is not compared.

    Attributes:
        question: ``performance/serving``.
        what: Points, metrics or tasks of it; empty for all of it.
        why: Why not.
    """

    question: str
    what: str
    why: str


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
        left_out: What of it is not compared.
        notes: What a reader has to know.
    """

    cell: str
    base_cell: str
    base: Outcome
    new: Outcome
    incomparable: str = ""
    verdicts: tuple[VerdictChange, ...] = ()
    speed: tuple[SpeedChange, ...] = ()
    accuracy: tuple[AccuracyChange, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
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
