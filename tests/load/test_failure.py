"""Kinds of failure."""

from __future__ import annotations

from hwval.load.failure import Failure
from hwval.load.failure import FailureKind


def test_status_is_part_of_the_name() -> None:
    """429 and 503 are counted apart; other kinds go by their name."""
    assert Failure(FailureKind.STATUS, "busy", 429).name == "status 429"
    assert Failure(FailureKind.STALLED, "nothing came").name == "stalled"
