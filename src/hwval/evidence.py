"""What a run measured, as the pages tell it: speed, accuracy, relations between cells, skills.

Pure but for reading the measurements that pictures are made of; takes what ``hwval.summary``
counted, and counts nothing itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from typing import NamedTuple

from hwval.measured import Measured
from hwval.measured import measured_of
from hwval.pictures import Gallery
from hwval.pictures import Series
from hwval.result import VerdictRecord
from hwval.signoff_words import number_of
from hwval.summary import CellSummary
from hwval.summary import Summary
from hwval.verdict import Outcome
from hwval.verdict import severity

__all__ = [
    "Evidence",
    "Points",
    "Row",
    "Section",
    "Skills",
    "Uncounted",
    "evidence_of",
    "points_of",
]

_SUITES: Final = {"performance": "Performance", "accuracy": "Accuracy"}
_OTHERS: Final = "Other measurements"
_SKILLS: Final = "capabilities"
_COLUMNS: Final = (
    *("output_tokens_per_s", "request_per_s", "decode_tokens_per_s", "latency_mean_s"),
    *("ttft_p50_s", "ttft_p99_s", "tpot_p50_s", "itl_p99_s", "e2el_p50_s", "e2el_p99_s"),
    *("queue_mean_s", "preemptions", "kv_cache_used_share_max", "prefix_cache_hit_rate"),
    *("acceptance_rate", "power_mean_w", "energy_j_per_token", "device_memory_peak_bytes"),
)
"""Metrics that tell most of a point; its file has all."""
_SHOWN_REASONS: Final = 3
"""Of one point: rounds often fail for the same reason with other numbers."""
_SHOWN: Final = 300
"""Answers that a section shows; every cell has all of its own."""


class Row(NamedTuple):
    """One answer that measured something.

    Attributes:
        cell: Whose it is.
        answer: The answer.
        checks: What was held against a limit; empty where nothing was promised.
    """

    cell: CellSummary
    answer: VerdictRecord
    checks: Sequence[Measured]


@dataclass(frozen=True, slots=True)
class Section:
    """Measurements of one suite.

    Attributes:
        title: Heading.
        rows: Answers in the order of cells; if they are too many the worst ones.
        relations: Answers whose checks compare two cells, with those checks alone.
        left_out: Answers that are not among ``rows``.
    """

    title: str
    rows: list[Row]
    relations: list[Row]
    left_out: int

    @property
    def words(self) -> list[tuple[CellSummary, str]]:
        """What its checks say in whole sentences, each with its cell."""
        rows = self.rows + self.relations
        return [(row.cell, check.text) for row in rows for check in row.checks if check.text]

    @property
    def has_ceilings(self) -> bool:
        """Whether anything has a part of a ceiling or a band to show."""
        return any(one.share_of_ceiling or one.band for row in self.rows for one in row.checks)


class Skills(NamedTuple):
    """What a cell was asked to be able to do.

    Attributes:
        cell: The cell.
        works: Questions that it answered as promised.
        fails: Other answers that count.
        not_asked: Questions that do not apply, each with its reason.
    """

    cell: CellSummary
    works: Sequence[VerdictRecord]
    fails: Sequence[VerdictRecord]
    not_asked: Sequence[VerdictRecord]


class Uncounted(NamedTuple):
    """A point of a measurement that does not count, or counts with a word of warning.

    Attributes:
        cell: Cell id.
        question: Question's name.
        point: Where it was measured; empty for the measurement as a whole.
        why: Why, in words.
        counts: Whether it counts all the same.
    """

    cell: str
    question: str
    point: str
    why: str
    counts: bool


class Evidence(NamedTuple):
    """Everything measured in a run.

    Attributes:
        sections: One for each suite that measured something.
        skills: Cells that were asked what they can do.
        uncounted: Points that do not count, and notes of those that do.
    """

    sections: Sequence[Section]
    skills: Sequence[Skills]
    uncounted: Sequence[Uncounted]


class Points(NamedTuple):
    """The points of a measurement as a table.

    Attributes:
        metrics: Name of each column's metric.
        columns: What the columns are called.
        rows: Point, whether it counts, and a text for each column; empty where it has no number.
    """

    metrics: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[tuple[str, bool, Sequence[str]]]


def points_of(series: Series) -> Points:
    """Return what was measured at each point; a column is of one side at all of them."""
    points = series.measurement.points
    told = [series.measurement.numbers_at(point) for point in points]
    columns = [name for name in _COLUMNS if any(name in numbers for numbers in told)]
    rows = [
        (
            point.name,
            point.valid,
            [number_of(name, found[name]).text if name in found else "" for name in columns],
        )
        for point, found in zip(points, told, strict=True)
    ]
    return Points(columns, [number_of(name, 0.0).label for name in columns], rows)


def evidence_of(summary: Summary, gallery: Gallery) -> Evidence:
    """Return what a run measured.

    Args:
        summary: The run.
        gallery: Its measurements and pictures.
    """
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for cell in summary.asked:
        for answer in cell.answers:
            if not answer.checks and not answer.numbers:
                continue
            suite = answer.question.partition("/")[0]
            checks = measured_of(answer)
            if checks or suite in _SUITES:
                found[_SUITES.get(suite, _OTHERS)].append(Row(cell, answer, checks))
    titles = [title for title in (*_SUITES.values(), _OTHERS) if title in found]
    return Evidence(
        sections=[_section(title, found[title]) for title in titles],
        skills=list(_skills(summary.asked)),
        uncounted=list(_uncounted(gallery)),
    )


def _section(title: str, rows: Sequence[Row]) -> Section:
    relations = [
        row._replace(checks=related)
        for row in rows
        if (related := [check for check in row.checks if check.is_relation])
    ]
    own = [
        row._replace(checks=[check for check in row.checks if not check.is_relation])
        for row in rows
        if not row.checks or any(not check.is_relation for check in row.checks)
    ]
    left_out = max(0, len(own) - _SHOWN) + max(0, len(relations) - _SHOWN)
    return Section(title, _worst(own), _worst(relations), left_out)


def _worst(rows: list[Row]) -> list[Row]:
    """Return as many as are shown; those that did not pass are never left out for others."""
    if len(rows) <= _SHOWN:
        return rows
    return sorted(rows, key=lambda row: severity(row.answer.outcome))[:_SHOWN]


def _skills(cells: Iterable[CellSummary]) -> Iterator[Skills]:
    for cell in cells:
        asked = [one for one in cell.answers if one.question.partition("/")[0] == _SKILLS]
        groups: defaultdict[str, list[VerdictRecord]] = defaultdict(list)
        for answer in asked:
            if answer.outcome.is_good:
                groups["works"].append(answer)
            elif answer.outcome is Outcome.NOT_RUN:
                groups["not asked"].append(answer)
            else:
                groups["fails"].append(answer)
        if groups["works"] or groups["fails"]:
            yield Skills(cell, groups["works"], groups["fails"], groups["not asked"])


def _uncounted(gallery: Gallery) -> Iterator[Uncounted]:
    for series in gallery.series:
        cell, measurement = series.record.cell, series.measurement
        question = measurement.question
        for note in measurement.notes:
            yield Uncounted(cell, question, "", note, counts=True)
        for point in measurement.points:
            reasons = list(point.why_invalid)
            hidden = len(reasons) - _SHOWN_REASONS
            more = f"; and {hidden} more" if hidden > 0 else ""
            if reasons:
                why = "; ".join(reasons[:_SHOWN_REASONS]) + more
                yield Uncounted(cell, question, point.name, why, counts=point.valid)
