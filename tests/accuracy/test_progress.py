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

    assert lines == [
        "mmlu 5/36 · 60 % right (23-88 %) · 4 kept",
        "mmlu 6/36 · 67 % right (30-90 %) · 5 min 00 s left · 4 kept",
        "mmlu 16/36 · 62 % right (39-82 %) · 36.4 s left · 4 kept",
    ]


def test_the_time_left_stands_on_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long name the middle goes; nothing is cut from the end of the line."""
    now_s = 100.0
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    pace = Pace("mmlu_pro_computer_science_by_chat_with_a_long_name")
    pace.text(News(2001, 12032, 1900, 2000))
    now_s += 1.0
    line = pace.text(News(2002, 12032, 1901, 2000))

    assert len(line) == 79
    assert line.startswith("mmlu_pr…")
    assert line.endswith("left · 2000 kept")
    assert pace.last == News(2002, 12032, 1901, 2000)
