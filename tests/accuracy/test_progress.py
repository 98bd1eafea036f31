"""How far a task is, in words."""

from __future__ import annotations

import pytest

from hwval import clock
from hwval.accuracy.job import News
from hwval.accuracy.progress import Pace


def test_progress_tells_questions_accuracy_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace is that of the answers after the first, reused ones left out."""
    now_s = 100.0
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    pace = Pace("mmlu")
    lines = []
    for answered, right in ((5, 3), (6, 4), (16, 10)):
        lines.append(pace.text(News(answered, 36, right, 4)))
        now_s += 10.0

    assert lines[0] == (
        "mmlu: 5 of 36 questions · 60.0% right so far (23.1% to 88.2%) · 4 from an interrupted run"
    )
    assert lines[1].endswith("about 5 min 00 s left")
    assert lines[2].endswith("about 36.4 s left")
