"""Where a result stands: in the tree, among its labels, and by which parameters it is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from typing import Final

from hwval.inert import one_line
from hwval.result import Run
from hwval.result import VerdictRecord
from hwval.summary import CellSummary

__all__ = ["LEVELS", "hierarchy_of", "labels_of", "parameters_of"]

LEVELS: Final = ("parentSuite", "suite", "subSuite", "configuration")
"""Labels that make the tree; readers that know only the first three still show each result."""


def hierarchy_of(cell: CellSummary) -> tuple[str, str, str, str]:
    """Return hardware, image, model, and dtype with variant: one for each of ``LEVELS``."""
    row = cell.record
    return row.hardware, row.image, row.model, ", ".join(filter(None, (row.dtype, row.variant)))


def labels_of(run: Run, cell: CellSummary, answer: VerdictRecord) -> Iterator[dict[str, str]]:
    """Yield what results are grouped and filtered by."""
    suite = answer.question.partition("/")[0]
    for name, value in (
        *zip(LEVELS, hierarchy_of(cell), strict=True),
        ("epic", suite),
        ("feature", answer.question),
        ("story", cell.record.hardware),
        ("tag", suite),
        ("tag", answer.outcome.value),
        ("tag", answer.cause or ""),
        ("framework", "hwval"),
        ("host", run.host_of(cell.record)),
    ):
        if value:
            yield {"name": name, "value": one_line(value)}


def parameters_of(cell: CellSummary, answer: VerdictRecord) -> list[dict[str, Any]]:
    """Return what tells one result from another, and what is shown beside it."""
    row = cell.record
    axes = {"hardware": row.hardware, "dtype": row.dtype, "variant": row.variant or "none"}
    facts = {"cell": row.cell, "question": answer.question, "source": row.source}
    return [  # what is excluded is shown, but is no part of a test's identity over runs
        {"name": name, "value": one_line(value), "excluded": name in facts}
        for name, value in (axes | facts).items()
    ]
