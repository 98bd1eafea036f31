"""What went wrong: cells that failed alike are one problem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hwval.result import VerdictRecord
from hwval.summary.cell import CellSummary
from hwval.summary.explanation import Explanation
from hwval.verdict import Outcome
from hwval.verdict import severity

__all__ = ["NOT_DECIDED", "Problem", "problems_of"]

NOT_DECIDED: Final = "too noisy, or too little was measured, to decide"
"""What all measurements have in common that are INCONCLUSIVE without a cause."""
_Key = tuple[Outcome, str, str]
"""Outcome, cause or reason, and fingerprint: what tells one problem from another."""
_OF_THEIR_OWN = frozenset({Outcome.FAIL, Outcome.INFRA, Outcome.INCONCLUSIVE, Outcome.KNOWN})
"""Outcomes that a question comes to by itself; others follow from something else."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that went wrong, in however many cells.

    Attributes:
        outcome: What it makes of them.
        cause: Id of the cause, ``NOT_DECIDED``, or the reason of those without one.
        fingerprint: Identity of the failure; empty for what is no failure.
        cells: The cells that have it, in their order.
        answer: The first question that came to it; None where none did by itself.
        explanation: The root cause of its engine's death; None where that lived.
    """

    outcome: Outcome
    cause: str
    fingerprint: str
    cells: tuple[CellSummary, ...]
    answer: VerdictRecord | None
    explanation: Explanation | None

    def undecided(self, cell: CellSummary) -> tuple[VerdictRecord, ...]:
        """Return the answers of a cell that make it one of those that are not decided."""
        if self.cause != NOT_DECIDED:
            return ()
        return tuple(
            each for each in cell.answers if each.outcome is Outcome.INCONCLUSIVE and not each.cause
        )


def problems_of(cells: Iterable[CellSummary]) -> tuple[Problem, ...]:
    """Return what did not pass: one problem for each failure, the worst and most frequent first.

    Cells share a problem if they failed with one fingerprint; a cell with two failures is in two
    problems. A cell without any failure is there by what it came to.
    """
    groups: defaultdict[_Key, list[tuple[CellSummary, VerdictRecord | None]]]
    groups = defaultdict(list)
    for cell in cells:
        for key, answer in _failures(cell).items():
            groups[key].append((cell, answer))
    problems = [
        Problem(
            *key,
            cells=tuple(cell for cell, _ in found),
            answer=found[0][1],
            explanation=found[0][0].explain(found[0][1]) if found[0][1] else None,
        )
        for key, found in groups.items()
    ]
    return tuple(sorted(problems, key=lambda each: (severity(each.outcome), -len(each.cells))))


def _failures(cell: CellSummary) -> Mapping[_Key, VerdictRecord | None]:
    """Return what went wrong in a cell, each failure with the first answer that has it."""
    failures: dict[_Key, VerdictRecord | None] = {}
    if cell.outcome.is_good:
        return failures
    for answer in cell.answers:
        if answer.outcome in _OF_THEIR_OWN:
            # Each noisy measurement has a reason of its own, with its own numbers.
            is_open = answer.outcome is Outcome.INCONCLUSIVE
            cause = answer.cause or (NOT_DECIDED if is_open else answer.reason)
            key = (answer.outcome, cause, answer.fingerprint or "")
            failures.setdefault(key, answer)
    return failures or {(cell.outcome, cell.cause, ""): None}
