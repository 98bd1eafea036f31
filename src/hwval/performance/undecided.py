"""What becomes of checks if the measurement as a whole decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hwval.stats import LEAST_ROUNDS
from hwval.threshold import Check
from hwval.verdict import Outcome

__all__ = ["undecided"]


def undecided(checks: Iterable[Check], why: str) -> list[Check]:
    """Return checks with their numbers, as INCONCLUSIVE; what is surely broken stays a FAIL.

    Args:
        checks: As they were judged.
        why: Why nothing is decided, in words.
    """
    return [
        one
        if one.outcome is Outcome.FAIL and one.n >= LEAST_ROUNDS
        else replace(one, outcome=Outcome.INCONCLUSIVE, text=f"{one.text}; undecided: {why}")
        for one in checks
    ]
