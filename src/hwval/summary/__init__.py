"""What a run adds up to: each cell with all its answers, the missing ones included.

    explanation  why an engine died
    cell         one cell: its answers, its engines, what it comes to
    problem      what went wrong, in however many cells
    whole        the run: cells and answers counted

Pure, and shared by everything that tells of a run (page, terminal, Allure), so that none of them
can count another way. A question that was planned and has no answer is NOT RUN here; it cannot be
forgotten further on.
"""

from __future__ import annotations

from hwval.summary.cell import CellSummary
from hwval.summary.cell import Prediction
from hwval.summary.explanation import Explanation
from hwval.summary.problem import NOT_DECIDED
from hwval.summary.problem import Problem
from hwval.summary.whole import Summary
from hwval.summary.whole import format_counts
from hwval.summary.whole import summarise

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
