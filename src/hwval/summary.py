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
from typing import Final
from typing import NamedTuple
from typing import TypeVar

from hwval.inert import web_link
from hwval.result import CellRecord
from hwval.result import EngineRecord
from hwval.result import Run
from hwval.result import VerdictRecord
from hwval.verdict import NOT_APPLICABLE
from hwval.verdict import Outcome
from hwval.verdict import severity
from hwval.verdict import worst_outcome

__all__ = [
    "NOT_DECIDED",
    "CellSummary",
    "Explanation",
    "Prediction",
    "Problem",
    "Summary",
    "format_counts",
    "summarise",
]

NOT_DECIDED: Final = "too noisy, or too little was measured, to decide"
"""What all measurements have in common that are INCONCLUSIVE without a cause."""
_Key = tuple[Outcome, str, str]
"""Outcome, cause or reason, and fingerprint: what tells one problem from another."""
_Record = TypeVar("_Record", EngineRecord, VerdictRecord)
_OF_THEIR_OWN = frozenset({Outcome.FAIL, Outcome.INFRA, Outcome.INCONCLUSIVE, Outcome.KNOWN})
"""Outcomes that a question comes to by itself; others follow from something else."""


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
class Explanation:
    """Root cause of one dead engine, as far as its log and its end gave it away.

    Attributes:
        cause: Id of the cause.
        family: Family of the cause; empty in old records.
        title: The cause in a few words; empty in old records.
        summary: What it means, one sentence; may be empty.
        evidence: The causal line of the log; empty if there is none.
        line: Its number in the log, from 1; None if it is not known.
        log: Log file, relative to the run's folder; None if there is none.
        remedy: What to do; may be empty.
        fingerprint: Identity of the failure, as a ledger names it; empty in old records.
        secondary: Ids of causes that are seen too.
    """

    cause: str
    family: str
    title: str
    summary: str
    evidence: str
    line: int | None
    log: str | None
    remedy: str
    fingerprint: str
    secondary: tuple[str, ...]

    @property
    def where(self) -> str:
        """``file:line`` of the evidence, as much of it as is known."""
        return ":".join(str(part) for part in (self.log, self.line) if part is not None)

    @property
    def link(self) -> str | None:
        """The documentation that the remedy ends with, None if it names none."""
        return web_link(self.remedy.rpartition(" See ")[2])


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
        found = (_explain(engine) for engine in self.engines)
        return tuple({each.cause: each for each in found if each is not None}.values())

    def explain(self, answer: VerdictRecord) -> Explanation | None:
        """Return the explanation of the cause that ``answer`` names; None without one."""
        return next((each for each in self.explanations if each.cause == answer.cause), None)


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
    def problems(self) -> tuple[Problem, ...]:
        """What did not pass: one problem for each failure, the worst and most frequent first.

        Cells share a problem if they failed with one fingerprint; a cell with two failures is in
        two problems. A cell without any failure is there by what it came to.
        """
        groups: defaultdict[_Key, list[tuple[CellSummary, VerdictRecord | None]]]
        groups = defaultdict(list)
        for cell in self.asked:
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
            more = "1 more cell of the matrices has" if rest == 1 else None
            more = more or f"{rest:,} more cells of the matrices have"
            sentences.append(f"{more} no evidence from this run.")
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


def _explain(engine: EngineRecord) -> Explanation | None:
    diagnosis = engine.diagnosis or {}
    if not diagnosis.get("cause"):
        return None
    evidence = diagnosis.get("evidence")
    evidence = evidence if isinstance(evidence, Mapping) else {}
    return Explanation(
        cause=str(diagnosis["cause"]),
        family=str(diagnosis.get("family") or ""),
        title=str(diagnosis.get("title") or ""),
        summary=str(diagnosis.get("summary") or ""),
        evidence=str(evidence.get("text") or ""),
        line=evidence.get("line"),
        log=engine.log,
        remedy=str(diagnosis.get("remedy") or ""),
        fingerprint=str(diagnosis.get("fingerprint") or ""),
        secondary=tuple(str(each) for each in diagnosis.get("secondary") or ()),
    )
