"""The difference of two shares over the same questions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from hwval.stats.paired import paired_interval
from hwval.stats.paired import smallest_paired_loss


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int, int]:
    lost, won = draw(st.integers(0, 60)), draw(st.integers(0, 60))
    return lost, won, draw(st.integers(max(1, lost + won), 800))


def score_by_search(lost: int, won: int, n: int, difference: float, ahead: int = 0) -> float:
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
    return (won - lost - n * difference + ahead) / math.sqrt(variance)


@pytest.mark.parametrize("case", [(0, 1, 50), (7, 1, 50), (20, 15, 717), (1, 0, 717), (3, 9, 12)])
def test_the_ends_are_where_the_score_test_turns(case: tuple[int, int, int]) -> None:
    """There the score is the quantile of the normal distribution; one question ahead at the top."""
    found = paired_interval(*case, 0.95)

    assert score_by_search(*case, found.low) == pytest.approx(1.95996, abs=1e-3)
    assert score_by_search(*case, found.high, ahead=1) == pytest.approx(-1.95996, abs=1e-3)


def test_without_a_difference_the_lower_end_has_a_closed_form() -> None:
    """z^2 / (n + z^2)."""
    assert paired_interval(0, 0, 50, 0.95).low == pytest.approx(-0.0713476, abs=1e-6)


@given(counts())
def test_the_interval_holds_the_estimate_and_a_loss_is_harder_to_find(
    case: tuple[int, int, int],
) -> None:
    """Swapping the two sides would change the sign alone, but for the step of one question."""
    lost, won, n = case
    found, mirrored = paired_interval(lost, won, n), paired_interval(won, lost, n)

    assert -1 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 0
    assert found.high >= -mirrored.low - 1e-9
    assert found.high + mirrored.low < 2 * 2.71 / n + 2 / n + 1e-9


@given(counts())
def test_more_questions_narrow_the_interval(case: tuple[int, int, int]) -> None:
    """Ten times the questions with ten times the differences exclude more."""
    lost, won, n = case
    found = paired_interval(lost, won, n)
    larger = paired_interval(10 * lost, 10 * won, 10 * n)

    assert larger.high - larger.low < found.high - found.low


@pytest.mark.parametrize("margin", [0.0, 0.01, 0.03, 0.1])
@pytest.mark.parametrize("n", [5, 12, 40, 100])
def test_a_loss_is_wrongly_found_in_5_of_100_at_most(n: int, margin: float) -> None:
    """Counted up over every outcome, where the loss is the margin; 6 % differ at 3 % among them.

    With as many questions as a PASS must have, the lower end errs in 6 at a hundred of them, and
    in 7 with fewer.
    """
    for extra in (0.0, 0.0003, 0.002, 0.007, 0.015, 0.03, 0.08, 0.2):
        breaks = holds = 0.0
        shares = np.array([margin + extra, extra, 1 - margin - 2 * extra])
        for (lost, won), chance in _outcomes(n, shares).items():
            found = paired_interval(lost, won, n)
            breaks += chance * (found.high < -margin)
            if smallest_paired_loss(lost, won, n) <= margin:
                holds += chance * (found.low >= -margin)

        assert breaks <= 0.05
        assert holds <= (0.06 if n >= 100 else 0.07)


def _outcomes(n: int, shares: np.ndarray) -> dict[tuple[int, int], float]:
    """Lost and won questions -> how likely, but for what does not happen once in a million."""
    most = [int(scipy_stats.binom.isf(1e-7, n, share)) + 1 for share in shares[:2]]
    found = {}
    for lost in range(most[0] + 1):
        for won in range(min(most[1], n - lost) + 1):
            chance = scipy_stats.multinomial.pmf([lost, won, n - lost - won], n, shares)
            if chance > 1e-7:
                found[lost, won] = float(chance)
    return found


@pytest.mark.parametrize("case", [(-1, 0, 5), (0, 0, 0), (3, 3, 5)])
def test_impossible_counts_are_refused(case: tuple[int, int, int]) -> None:
    """More differences than questions, or none to ask."""
    with pytest.raises(ValueError, match="lost and"):
        paired_interval(*case)


def test_the_smallest_loss_shrinks_with_agreement() -> None:
    """Cells that answer alike are told apart by less; without any difference one is taken."""
    assert smallest_paired_loss(1, 1, 717) < smallest_paired_loss(30, 30, 717)
    assert smallest_paired_loss(0, 0, 717) == smallest_paired_loss(1, 0, 717) > 0
