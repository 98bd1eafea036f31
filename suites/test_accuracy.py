"""Are the answers right, and as good as promised?

The tasks are lm-evaluation-harness's; the first question asks them, the others judge what came.
"""

from __future__ import annotations

import pytest

from fixtures.accuracy import Accuracy
from fixtures.record import Record

pytestmark = pytest.mark.accuracy


def test_answered(accuracy: Accuracy) -> None:
    """Every question of the promised tasks is answered."""
    scores = accuracy.scores()

    assert all(score.questions > 0 for score in scores.values())


def test_score(accuracy: Accuracy, record: Record) -> None:
    """Each task is answered as well as its reference, less the accepted loss."""
    record.judge(accuracy.score_checks())


def test_parsed(accuracy: Accuracy, record: Record) -> None:
    """The answers have the form that was asked for, so that wrong and unreadable stay apart."""
    record.judge(accuracy.unparsed_checks())


def test_ended(accuracy: Accuracy, record: Record) -> None:
    """The answers end by themselves and are not cut off at the longest length."""
    record.judge(accuracy.cut_off_checks())


def test_paired(accuracy: Accuracy, record: Record) -> None:
    """Each task is answered as well as by the paired cell, question by question."""
    record.judge(accuracy.pair_checks())
