"""A whole run: its cells, counted."""

from __future__ import annotations

from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import TypeVar

from hwval.result import EngineRecord
from hwval.result import Run
from hwval.result import VerdictRecord
from hwval.summary.cell import CellSummary
from hwval.summary.cell import summarise_cell
from hwval.summary.cell import unanswered
from hwval.summary.problem import Problem
from hwval.summary.problem import problems_of
from hwval.verdict import Outcome

__all__ = ["Summary", "format_counts", "summarise"]

_Record = TypeVar("_Record", EngineRecord, VerdictRecord)


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
        """What did not pass, see ``problems_of``."""
        return problems_of(self.asked)

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
        summarise_cell(
            record,
            verdicts.get(record.cell, ()),
            _starts(engines.get(record.cell, ())),
            unanswered(record, verdicts.get(record.cell, ()), titles, ending=run.ending),
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


def _starts(records: Iterable[EngineRecord]) -> tuple[EngineRecord, ...]:
    """Return a record for each start: that of an engine which died later stands for both."""
    starts: list[EngineRecord] = []
    for record in records:
        if starts and replace(record, diagnosis=None, autopsy=None) == starts[-1]:
            starts.pop()
        starts.append(record)
    return tuple(starts)


def _by_cell(records: Iterable[_Record]) -> dict[str, tuple[_Record, ...]]:
    lists: defaultdict[str, list[_Record]] = defaultdict(list)
    for record in records:
        lists[record.cell].append(record)
    return {cell: tuple(found) for cell, found in lists.items()}
