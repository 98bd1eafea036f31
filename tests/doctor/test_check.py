"""What one check came to."""

from __future__ import annotations

from hwval.doctor.check import State
from hwval.doctor.check import joined
from hwval.doctor.check import problem


def test_check_is_json() -> None:
    """As `hwval doctor --json` prints it."""
    assert problem("disk", "full", "free some").to_json() == {
        "name": "disk",
        "state": State.PROBLEM,
        "text": "full",
        "remedy": "free some",
    }


def test_names_are_told_once_and_not_all() -> None:
    """64 partitions fit no line."""
    assert joined(range(64)) == "0, 1, 2, 3 and 60 more"
    assert joined(["a", "a"]) == "a"
    assert joined([]) == ""
