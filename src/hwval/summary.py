"""What a run adds up to: each cell with all its answers, the missing ones included.

Pure, and shared by everything that tells of a run (page, terminal, Allure), so that none of them
can count another way. A question that was planned and has no answer is NOT RUN here; it cannot be
forgotten further on.
"""

from __future__ import annotations

from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from hwval.result import CellRecord
from hwval.result import EngineRecord
from hwval.result import Run
from hwval.result import VerdictRecord
from hwval.verdict import NOT_APPLICABLE
from hwval.verdict import Outcome
from hwval.verdict import worst_outcome

__all__ = [
    "CellSummary",
    "Explanation",
    "Summary",
    "format_counts",
    "summarise",
]

_Record = TypeVar("_Record", EngineRecord, VerdictRecord)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Root cause of one failed engine start, as far as the log gave it away.

    Attributes:
        cause: Id of the cause.
        summary: What it means, one sentence; may be empty.
        evidence: The causal line of the log; empty if there is none.
        line: Its number in the log, from 1; None if it is not known.
        log: Log file, relative to the run's folder; None if there is none.
        remedy: What to do; may be empty.
    """

    cause: str
    summary: str
    evidence: str
    line: int | None
    log: str | None
    remedy: str

    @property
    def where(self) -> str:
        """``file:line`` of the evidence, as much of it as is known."""
        return ":".join(str(part) for part in (self.log, self.line) if part is not None)


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
    def cause(self) -> str:
        """Cause of the outcome if one is known, else its first reason, else nothing."""
        decisive = [answer for answer in self.answers if answer.outcome == self.outcome]
        causes = [answer.cause for answer in decisive if answer.cause]
        return next(iter([*causes, *self.reasons]), "")

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        """Root causes of its failed starts, each cause once."""
        found = (_explain(engine) for engine in self.engines)
        return tuple({each.cause: each for each in found if each is not None}.values())

    def explain(self, answer: VerdictRecord) -> Explanation | None:
        """Return the explanation of the cause that ``answer`` names; None without one."""
        return next((each for each in self.explanations if each.cause == answer.cause), None)


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole run.

    Attributes:
        run: What was read.
        cells: Every cell of the matrices, in their order.
        counts: Cells per outcome.
        question_counts: Answers per outcome, over all cells.
        warnings: What a person should know: the run's own warnings, then oddities of the journal.
    """

    run: Run
    cells: tuple[CellSummary, ...]
    counts: Mapping[Outcome, int]
    question_counts: Mapping[Outcome, int]
    warnings: tuple[str, ...]

    @property
    def asked(self) -> tuple[CellSummary, ...]:
        """Cells that this run asked, or was to ask."""
        return tuple(cell for cell in self.cells if cell.record.selected or cell.answers)

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its end and every cell that it was to ask has evidence."""
        return self.run.ending == "complete" and all(
            cell.outcome is not Outcome.NOT_RUN for cell in self.asked
        )

    @property
    def not_asked(self) -> Mapping[tuple[Outcome, str], tuple[CellSummary, ...]]:
        """The other cells, by outcome and reason."""
        groups: defaultdict[tuple[Outcome, str], list[CellSummary]] = defaultdict(list)
        for cell in self.cells:
            if not cell.record.selected and not cell.answers:
                groups[cell.outcome, " ".join(cell.reasons)].append(cell)
        return {key: tuple(cells) for key, cells in groups.items()}

    @property
    def headline(self) -> str:
        """The run in one or two sentences, what is missing first."""
        asked, passed = self.asked, sum(cell.outcome.is_good for cell in self.asked)
        sentences = []
        if self.run.ending != "complete":
            sentences.append(f"This run was {self.run.ending}.")
        if not asked:
            sentences.append("No cell was asked anything: there is no evidence here.")
        elif passed == len(asked):
            all_of_them = "The one cell" if passed == 1 else f"All {passed:,} cells"
            sentences.append(f"{all_of_them} that {'was' if passed == 1 else 'were'} asked passed.")
        else:
            bad = format_counts(Counter(each.outcome for each in asked if not each.outcome.is_good))
            sentences.append(f"{passed:,} of {len(asked):,} cells that were asked passed; {bad}.")
        left_out = set(self.run.head.all_questions) - set(self.run.head.questions)
        if left_out and asked:
            total = len(self.run.head.all_questions)
            sentences.append(f"Only {total - len(left_out)} of {total} questions were selected.")
        if len(self.cells) > len(asked):
            rest = len(self.cells) - len(asked)
            sentences.append(f"{rest:,} more cells of the matrices have no evidence from this run.")
        return " ".join(sentences)


def summarise(run: Run) -> Summary:
    """Return what ``run`` adds up to."""
    verdicts, engines = _by_cell(run.verdicts), _by_cell(run.engines)
    titles = {verdict.question: verdict.title for verdict in run.verdicts}
    cells = tuple(
        _summarise_cell(
            record,
            verdicts.get(record.cell, ()),
            engines.get(record.cell, ()),
            _missing(record, verdicts.get(record.cell, ()), titles, ending=run.ending),
        )
        for record in run.cells
    )
    strangers = sorted({*verdicts, *engines} - {record.cell for record in run.cells})
    warnings = list(run.end.warnings if run.end else ())
    if strangers:
        warnings.append(
            f"The journal holds records of {len(strangers)} cells that it does not list; they are "
            f"not in this summary: {', '.join(strangers[:5])}"
        )
    questions: Counter[Outcome] = Counter()
    for cell in cells:
        questions.update(cell.counts)
    counts = Counter(cell.outcome for cell in cells)
    return Summary(run, cells, counts, questions, tuple(warnings))


def format_counts(counts: Mapping[Outcome, int]) -> str:
    """Return the outcomes that occurred, with their numbers, in the order of ``Outcome``.

    Example:
        >>> format_counts({Outcome.KNOWN: 1, Outcome.PASS: 1200})
        '1,200 PASS, 1 KNOWN'
    """
    return ", ".join(f"{counts[each]:,} {each}" for each in Outcome if counts.get(each))


def _by_cell(records: Iterable[_Record]) -> dict[str, tuple[_Record, ...]]:
    lists: defaultdict[str, list[_Record]] = defaultdict(list)
    for record in records:
        lists[record.cell].append(record)
    return {cell: tuple(found) for cell, found in lists.items()}


def _summarise_cell(
    record: CellRecord,
    verdicts: tuple[VerdictRecord, ...],
    engines: tuple[EngineRecord, ...],
    missing: tuple[VerdictRecord, ...],
) -> CellSummary:
    answers = (*verdicts, *missing)
    counted = [answer for answer in answers if answer.cause != NOT_APPLICABLE]
    outcome = worst_outcome(answer.outcome for answer in counted)
    reasons = [answer.reason for answer in counted if answer.outcome == outcome]
    if not record.selected and not verdicts:
        # Nothing else is believed of a cell that was not asked, whatever its record says.
        outcome = Outcome.IMPOSSIBLE if record.outcome == Outcome.IMPOSSIBLE else Outcome.NOT_RUN
        reasons = [record.reason or "not selected; no reason was recorded"]
    elif not answers:
        reasons = ["no question was planned for it"]
    return CellSummary(
        record=record,
        outcome=outcome,
        answers=answers,
        engines=engines,
        reasons=tuple(dict.fromkeys(reason for reason in reasons if reason)),
        counts=Counter(answer.outcome for answer in counted),
    )


def _missing(
    record: CellRecord,
    verdicts: Iterable[VerdictRecord],
    titles: Mapping[str, str],
    *,
    ending: str,
) -> tuple[VerdictRecord, ...]:
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


def _explain(engine: EngineRecord) -> Explanation | None:
    diagnosis = engine.diagnosis or {}
    if not diagnosis.get("cause"):
        return None
    evidence = diagnosis.get("evidence")
    evidence = evidence if isinstance(evidence, Mapping) else {}
    return Explanation(
        cause=str(diagnosis["cause"]),
        summary=str(diagnosis.get("summary") or ""),
        evidence=str(evidence.get("text") or ""),
        line=evidence.get("line"),
        log=engine.log,
        remedy=str(diagnosis.get("remedy") or ""),
    )
