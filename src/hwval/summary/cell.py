"""What one cell adds up to: all its answers, the missing ones included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from typing import NamedTuple

from hwval.result import CellRecord
from hwval.result import EngineRecord
from hwval.result import VerdictRecord
from hwval.summary.explanation import Explanation
from hwval.summary.explanation import explanation_of
from hwval.verdict import NOT_APPLICABLE
from hwval.verdict import Outcome
from hwval.verdict import worst_outcome

__all__ = ["CellSummary", "Prediction", "summarise_cell", "unanswered"]

# Measurement -> the numbers that were planned for it, least and most.
_PLANNED: Final = {
    "weights_bytes": ("planned_weights_least_bytes", "planned_weights_most_bytes"),
    "kv_cache_tokens": ("planned_kv_cache_least_tokens", "planned_kv_cache_most_tokens"),
}


class Prediction(NamedTuple):
    """What was planned of an engine, against what it logged.

    Attributes:
        name: Of the measurement, with its unit.
        least: Smallest value that was planned.
        most: Largest one.
        measured: What the engine's log said.
    """

    name: str
    least: float
    most: float
    measured: float

    @property
    def is_right(self) -> bool:
        """Whether it is within what was planned."""
        return self.least <= self.measured <= self.most


@dataclass(frozen=True, slots=True)
class CellSummary:
    """One cell and everything that is known of it.

    Attributes:
        record: The cell.
        outcome: What it comes to; never good while a planned question has no answer.
        answers: Recorded verdicts in order of time, then a NOT RUN for each planned question
            without one.
        engines: Its engine starts in order of time.
        reasons: Distinct reasons of the answers that made ``outcome``, or why it was not selected.
        counts: Answers per outcome, without questions that do not apply to the cell.
    """

    record: CellRecord
    outcome: Outcome
    answers: tuple[VerdictRecord, ...]
    engines: tuple[EngineRecord, ...]
    reasons: tuple[str, ...]
    counts: Mapping[Outcome, int]

    @property
    def passed(self) -> int:
        """Number of questions answered as hoped."""
        return sum(count for outcome, count in self.counts.items() if outcome.is_good)

    @property
    def questions(self) -> int:
        """Number of questions that apply to it."""
        return sum(self.counts.values())

    @property
    def started_in_s(self) -> float | None:
        """Seconds from the start to ready of the last start; None if it did not become ready."""
        if not self.engines or not self.engines[-1].ready:
            return None
        return self.engines[-1].numbers.get("ready_s")

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """What was planned of its last start, as far as that start measured it."""
        numbers = self.engines[-1].numbers if self.engines else {}
        return tuple(
            Prediction(name, numbers[least], numbers[most], numbers[name])
            for name, (least, most) in _PLANNED.items()
            if {name, least, most} <= numbers.keys()
        )

    @property
    def cause(self) -> str:
        """Cause of the outcome if one is known, else its first reason, else nothing."""
        decisive = [answer for answer in self.answers if answer.outcome == self.outcome]
        causes = [answer.cause for answer in decisive if answer.cause]
        return next(iter([*causes, *self.reasons]), "")

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        """Root causes of its failed starts, each cause once."""
        found = (explanation_of(engine) for engine in self.engines)
        return tuple({each.cause: each for each in found if each is not None}.values())

    def explain(self, answer: VerdictRecord) -> Explanation | None:
        """Return the explanation of the cause that ``answer`` names; None without one."""
        return next((each for each in self.explanations if each.cause == answer.cause), None)


def summarise_cell(
    record: CellRecord,
    verdicts: tuple[VerdictRecord, ...],
    engines: tuple[EngineRecord, ...],
    missing: tuple[VerdictRecord, ...],
) -> CellSummary:
    """Return what a cell adds up to.

    Args:
        record: The cell.
        verdicts: Its answers.
        engines: Its engine starts.
        missing: A NOT RUN for each planned question without an answer, see ``unanswered``.
    """
    answers = (*verdicts, *missing)
    counted = [answer for answer in answers if not _is_left_out(answer)]
    outcome = worst_outcome(answer.outcome for answer in counted)
    reasons = [answer.reason for answer in counted if answer.outcome == outcome]
    if not record.selected and not verdicts:
        # Nothing else is believed of a cell that was not asked, whatever its record says.
        outcome = Outcome.IMPOSSIBLE if record.outcome == Outcome.IMPOSSIBLE else Outcome.NOT_RUN
        reasons = [record.reason or "not selected; no reason was recorded"]
    elif not answers:
        reasons = ["no question was planned for it"]
    elif not counted:
        reasons = ["none of the questions that were planned for it applies"]
    return CellSummary(
        record=record,
        outcome=outcome,
        answers=answers,
        engines=engines,
        reasons=tuple(dict.fromkeys(reason for reason in reasons if reason)),
        counts=Counter(answer.outcome for answer in counted),
    )


def _is_left_out(answer: VerdictRecord) -> bool:
    # Whatever else an answer comes to counts, even if its cause claims that it does not.
    return answer.cause == NOT_APPLICABLE and answer.outcome is Outcome.NOT_RUN


def unanswered(
    record: CellRecord,
    verdicts: Iterable[VerdictRecord],
    titles: Mapping[str, str],
    *,
    ending: str,
) -> tuple[VerdictRecord, ...]:
    """Return a NOT RUN for each question that a cell was to be asked and that has no answer.

    Args:
        record: The cell.
        verdicts: Its answers.
        titles: Question -> what it asks, as far as any cell has answered it.
        ending: How the run ended.
    """
    answered = {verdict.question for verdict in verdicts}
    complete = "planned, but no answer was recorded"
    reason = complete if ending == "complete" else f"the run was {ending} before"
    return tuple(
        VerdictRecord(
            record.cell, question, titles.get(question, question), Outcome.NOT_RUN, reason
        )
        for question in record.questions
        if record.selected and question not in answered
    )
