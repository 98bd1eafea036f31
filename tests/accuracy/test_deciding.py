"""What so many questions can decide at best."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.accuracy.deciding import can_pass
from hwval.accuracy.deciding import decide_score
from hwval.accuracy.deciding import fewest_questions
from hwval.accuracy.deciding import with_power
from hwval.stats import Decision
from hwval.stats import Reference

_MANY = 10**6


@given(st.floats(0.05, 0.99), st.sampled_from([0.02, 0.05, 0.1, 0.3]))
def test_one_question_less_is_too_few(reference: float, margin: float) -> None:
    """The number that is named is the smallest one."""
    known = Reference(reference, _MANY)
    least = fewest_questions(known, margin)

    assert least is not None
    assert can_pass(least, known, margin)
    assert least == 1 or not can_pass(least - 1, known, margin)


def test_a_reference_of_few_questions_is_never_sure_enough() -> None:
    """More questions make one side sure only."""
    assert fewest_questions(Reference(0.8, 12), 0.01) is None
    assert fewest_questions(Reference(0.8, None, 0.2), 0.1) is None


@pytest.mark.parametrize(("right", "decision"), [(12, Decision.OPEN), (0, Decision.BREAKS)])
def test_few_questions_can_fail_and_never_pass(right: int, decision: Decision) -> None:
    """What is surely below is so with few questions too."""
    assert decide_score(right, 12, Reference(0.8, 717), 0.1)[0] is decision


def test_only_a_pass_needs_power() -> None:
    """A loss that was found was large enough to be."""
    assert with_power(Decision.HOLDS, 0.2, 0.1) is Decision.OPEN
    assert with_power(Decision.HOLDS, 0.1, 0.1) is Decision.HOLDS
    assert with_power(Decision.BREAKS, 0.2, 0.1) is Decision.BREAKS
