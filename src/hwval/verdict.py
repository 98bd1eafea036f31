"""What one question about one cell came to, and what a cell's questions add up to.

Pure: takes findings, returns verdicts. The ledger's part is in ``hwval.ledger``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["NOT_APPLICABLE", "Outcome", "Verdict", "severity", "worst_outcome"]


NOT_APPLICABLE: Final = "not-applicable"
"""Cause of a NOT RUN that counts for nothing: the question has no meaning for the cell, as a
promised version has none for an image that names no version. It is shown, and changes nothing."""


class Outcome(StrEnum):
    """The words of the sign-off; a missing cell is never green."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    """The product is wrong, or a promise was not kept; the root cause is named."""
    KNOWN = "KNOWN"
    """It failed exactly as the ledger says."""
    FIXED = "FIXED"
    """The ledger says that it fails, and it works."""
    BLOCKED = "BLOCKED"
    """A prerequisite failed; the verdict names it."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Measured, but too noisy or too little to decide."""
    INFRA = "INFRA"
    """The lab failed, not the product."""
    IMPOSSIBLE = "IMPOSSIBLE"
    """The planner rules it out; not run unless asked."""
    NOT_RUN = "NOT RUN"
    """No such hardware here, deselected, excluded, or the run ended before."""

    @property
    def is_good(self) -> bool:
        """Whether the question was answered as hoped."""
        return self in {Outcome.PASS, Outcome.FIXED}

    @property
    def is_bad(self) -> bool:
        """Whether a run that holds this must not exit with 0."""
        return self in {Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.INFRA}


# From what a release manager must look at first to what needs no look.
_SEVERITY = (
    Outcome.FAIL,
    Outcome.INFRA,
    Outcome.INCONCLUSIVE,
    Outcome.KNOWN,
    Outcome.BLOCKED,
    Outcome.NOT_RUN,
    Outcome.IMPOSSIBLE,
    Outcome.FIXED,
    Outcome.PASS,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer, with its reason.

    Attributes:
        outcome: The word.
        reason: One sentence for people; empty for a plain PASS.
        cause: Id of the root cause for FAIL, KNOWN and INFRA; None where there is none.
        fingerprint: Identity of the failure, stable over runs and hosts; None without a failure.
        blocked_by: The question that failed before this one could be asked.
        link: Where the ledger points to, for KNOWN and FIXED.
    """

    outcome: Outcome
    reason: str = ""
    cause: str | None = None
    fingerprint: str | None = None
    blocked_by: str | None = None
    link: str | None = None


def severity(outcome: Outcome) -> int:
    """Return how many outcomes are worse: 0 is what a release manager must look at first."""
    return _SEVERITY.index(outcome)


def worst_outcome(outcomes: Iterable[Outcome]) -> Outcome:
    """Return what a cell (or a run) comes to: the outcome to look at first.

    No outcome at all is NOT RUN: where there is no evidence there is no pass. BLOCKED ranks below
    KNOWN, since a cell whose only trouble is known is KNOWN, with everything behind it blocked.

    Example:
        >>> worst_outcome([Outcome.KNOWN, Outcome.BLOCKED])
        <Outcome.KNOWN: 'KNOWN'>
        >>> worst_outcome([])
        <Outcome.NOT_RUN: 'NOT RUN'>
    """
    return min(outcomes, key=severity, default=Outcome.NOT_RUN)
