"""The difference of two shares over the same questions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.stats.paired import paired_interval
from hwval.stats.paired import smallest_paired_loss


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int, int]:
    lost, won = draw(st.integers(0, 60)), draw(st.integers(0, 60))
    return lost, won, draw(st.integers(max(1, lost + won), 800))


def score_by_search(lost: int, won: int, n: int, difference: float) -> float:
    """Tango's statistic with the nuisance share found by search rather than by formula."""

    def log_likelihood(only_other: float) -> float:
        shares = (only_other + difference, only_other, 1 - 2 * only_other - difference)
        return sum(
            count * math.log(max(share, 1e-300))
            for count, share in zip((won, lost, n - won - lost), shares, strict=True)
        )

    low, high = max(0.0, -difference), (1 - difference) / 2
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if log_likelihood(left) < log_likelihood(right):
            low = left
        else:
            high = right
    variance = n * (2 * low + difference * (1 - difference))
    return (won - lost - n * difference) / math.sqrt(variance)


@pytest.mark.parametrize("case", [(0, 1, 50), (7, 1, 50), (20, 15, 717), (1, 0, 717), (3, 9, 12)])
def test_the_ends_are_where_the_score_test_turns(case: tuple[int, int, int]) -> None:
    """At both ends the score statistic is the quantile of the normal distribution."""
    found = paired_interval(*case, 0.95)

    assert score_by_search(*case, found.low) == pytest.approx(1.95996, abs=1e-3)
    assert score_by_search(*case, found.high) == pytest.approx(-1.95996, abs=1e-3)


def test_without_a_difference_the_interval_has_a_closed_form() -> None:
    """z^2 / (n + z^2) on either side."""
    found = paired_interval(0, 0, 50, 0.95)

    assert (found.low, found.high) == pytest.approx((-0.0713476, 0.0713476), abs=1e-6)


@given(counts())
def test_the_interval_holds_the_estimate_and_mirrors(case: tuple[int, int, int]) -> None:
    """Swapping the two sides changes the sign alone."""
    lost, won, n = case
    found, mirrored = paired_interval(lost, won, n), paired_interval(won, lost, n)

    assert -1 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 0
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), abs=1e-9)


@given(counts())
def test_more_questions_narrow_the_interval(case: tuple[int, int, int]) -> None:
    """Ten times the questions with ten times the differences exclude more."""
    lost, won, n = case
    found = paired_interval(lost, won, n)
    larger = paired_interval(10 * lost, 10 * won, 10 * n)

    assert larger.high - larger.low < found.high - found.low


@pytest.mark.parametrize("case", [(-1, 0, 5), (0, 0, 0), (3, 3, 5)])
def test_impossible_counts_are_refused(case: tuple[int, int, int]) -> None:
    """More differences than questions, or none to ask."""
    with pytest.raises(ValueError, match="lost and"):
        paired_interval(*case)


def test_the_smallest_loss_shrinks_with_agreement() -> None:
    """Cells that answer alike are told apart by less; without any difference one is taken."""
    assert smallest_paired_loss(1, 1, 717) < smallest_paired_loss(30, 30, 717)
    assert smallest_paired_loss(0, 0, 717) == smallest_paired_loss(1, 0, 717) > 0
