"""When a share of right answers decides, and how many questions that takes at least."""

from __future__ import annotations

from typing import Final

from hwval.stats import Decision
from hwval.stats import Reference
from hwval.stats import compare_with_reference
from hwval.stats.proportion import Loss

__all__ = ["CONFIDENCE", "can_pass", "decide_score", "fewest_questions", "with_power"]

CONFIDENCE: Final = 0.90
"""Two-sided; a loss is wrongly found, or wrongly not seen, in 5 of 100 cells at most."""
# More than any set of questions has.
_MOST_QUESTIONS: Final = 2**20


def decide_score(
    right: int, questions: int, reference: Reference, margin: float
) -> tuple[Decision, Loss]:
    """Return what a score decides of its promise, and the numbers behind it.

    Args:
        right: Right answers.
        questions: Questions that were asked, at least one.
        reference: What is promised.
        margin: Loss that is accepted, 0 to 1.
    """
    loss = compare_with_reference(right, questions, reference, margin, confidence=CONFIDENCE)
    return with_power(loss.decision, loss.smallest_detectable, margin), loss


def with_power(decision: Decision, smallest_detectable: float, margin: float) -> Decision:
    """Return OPEN for a pass of so few questions that a loss of the margin would not be seen."""
    if decision is Decision.HOLDS and smallest_detectable > margin:
        return Decision.OPEN
    return decision


def can_pass(questions: int, reference: Reference, margin: float) -> bool:
    """Return whether a promise is shown to be kept by so many questions, if all are right.

    Args:
        questions: Questions that are asked, at least one.
        reference: What is promised.
        margin: Loss that is accepted, 0 to 1.
    """
    return decide_score(questions, questions, reference, margin)[0] is Decision.HOLDS


def fewest_questions(reference: Reference, margin: float) -> int | None:
    """Return with how many questions a promise can be kept, if all answers are right.

    Args:
        reference: What is promised.
        margin: Loss that is accepted, 0 to 1.

    Returns:
        The smallest number; None if no number is enough, since the reference itself is not sure
        enough for the margin.

    Example:
        >>> fewest_questions(Reference(0.6276, 717), 0.1)
        193
        >>> fewest_questions(Reference(0.8, 12), 0.01) is None
        True
    """
    most = 1
    while not can_pass(most, reference, margin):
        most *= 2
        if most > _MOST_QUESTIONS:
            return None
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if can_pass(middle, reference, margin) else (middle, most)
    return most
