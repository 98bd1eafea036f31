"""The clock: differences on one that never goes back, wall-clock time in UTC."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hwval import clock


def test_stopwatch_measures_from_its_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference of two readings of the monotonic clock."""
    readings = iter([100.0, 107.5])
    monkeypatch.setattr("time.monotonic", lambda: next(readings))

    assert clock.Stopwatch(clock.monotonic_s()).elapsed_s == 7.5


def test_stopwatch_starts_by_itself() -> None:
    """Without an argument it starts now, and never runs backwards."""
    watch = clock.Stopwatch()

    assert 0 <= watch.elapsed_s <= watch.elapsed_s


def test_sleep_waits_at_least_as_long() -> None:
    """Who waits for a deadline does not come back before it."""
    watch = clock.Stopwatch()
    clock.sleep(0.01)

    assert watch.elapsed_s >= 0.01


def test_wall_clock_time_is_in_utc() -> None:
    """A record of one host can be set beside that of another."""
    assert clock.utc_now().utcoffset() == timedelta(0)
