"""Shares of right answers against published values, and against what the tests promise."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from hwval.stats import Decision
from hwval.stats import Reference
from hwval.stats import compare_with_reference
from hwval.stats import mcnemar_exact
from hwval.stats import wilson_interval

COUNTS = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, st.sampled_from([0.9, 0.95, 0.99]))
def test_wilson_is_what_scipy_has(counts: tuple[int, int], confidence: float) -> None:
    """At none and at all too."""
    right, n = counts
    expected = scipy_stats.binomtest(right, n).proportion_ci(confidence, method="wilson")
    interval = wilson_interval(right, n, confidence)

    assert interval.low == pytest.approx(expected.low, abs=1e-9)
    assert interval.high == pytest.approx(expected.high, abs=1e-9)
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1


@pytest.mark.parametrize(("right", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(right: int, n: int) -> None:
    """More right answers than questions are a mistake of the caller."""
    with pytest.raises(ValueError, match="right of"):
        wilson_interval(right, n)


def test_difference_is_as_newcombe_published() -> None:
    """Newcombe 1998, table II, example (a), method 10: 56/70 against 48/80."""
    loss = compare_with_reference(56, 70, Reference(48 / 80, n=80), 0.0, confidence=0.95)

    assert loss.change.mean == pytest.approx(0.2)
    assert loss.change.low == pytest.approx(0.0524, abs=1e-4)
    assert loss.change.high == pytest.approx(0.3339, abs=1e-4)


def test_too_few_questions_for_the_margin_do_not_pass() -> None:
    """The same score from 717 questions on either side does not exclude a loss of 3 points."""
    reference = Reference(450 / 717, n=717)
    loss = compare_with_reference(450, 717, reference, 0.03)

    assert loss.change.mean == 0
    assert loss.decision is Decision.OPEN
    assert loss.smallest_detectable == pytest.approx(0.0643, abs=1e-4)
    assert compare_with_reference(450, 717, reference, 0.08).decision is Decision.HOLDS


def test_garbage_breaks_a_reference() -> None:
    """10 % right where 63 % were promised."""
    loss = compare_with_reference(72, 717, Reference(0.6276, n=717), 0.03)

    assert loss.decision is Decision.BREAKS


def test_standard_error_stands_for_a_number_of_questions() -> None:
    """lm-eval's own: sqrt(p (1 - p) / (n - 1)), nearly the same as n."""
    one = compare_with_reference(440, 717, Reference(0.6276, standard_error=0.0181), 0.05)
    other = compare_with_reference(440, 717, Reference(0.6276, n=717), 0.05)

    assert one.change.low == pytest.approx(other.change.low, abs=1e-3)
    assert one.decision is other.decision


def test_exact_reference_leaves_only_the_own_error() -> None:
    """A bound of a specification is no measurement."""
    exact = compare_with_reference(450, 717, Reference(0.62), 0.05)
    measured = compare_with_reference(450, 717, Reference(0.62, n=717), 0.05)

    assert exact.change.low > measured.change.low
    assert exact.decision is Decision.HOLDS


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": 1.2},
        {"value": 62.0},
        {"value": 0.5, "n": 0},
        {"value": 0.5, "standard_error": 0.0},
    ],
)
def test_reference_that_is_none_is_refused(wrong: dict[str, float]) -> None:
    """62 is no share."""
    with pytest.raises(ValueError, match="expected"):
        Reference(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("truth", [0.57, 0.6276])
def test_one_sided_error_is_as_planned(truth: float) -> None:
    """At a loss of exactly the margin 5 % pass; at none, none fails at all. 4,000 runs of 717."""
    numbers, n, margin = random.Random(2), 717, 0.0576
    decisions = []
    for _ in range(4_000):
        base = sum(numbers.random() < 0.6276 for _ in range(n)) / n
        right = sum(numbers.random() < truth for _ in range(n))
        decisions.append(compare_with_reference(right, n, Reference(base, n=n), margin).decision)
    passed = decisions.count(Decision.HOLDS) / 4_000

    if truth == 0.57:
        assert 0.035 < passed < 0.065
    else:
        assert decisions.count(Decision.BREAKS) <= 2
        assert passed > 0.6


def test_mcnemar_by_hand() -> None:
    """One question of 717 is no difference; twelve to two is one."""
    assert mcnemar_exact(1, 0) == 1.0
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(5, 0) == pytest.approx(2 / 32)
    assert mcnemar_exact(12, 2) == pytest.approx(0.0129, abs=1e-4)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_exact_binomial_test(lost: int, won: int) -> None:
    """As SciPy computes it, and the same from either side."""
    p = mcnemar_exact(lost, won)

    assert p == mcnemar_exact(won, lost)
    if lost + won:
        assert p == pytest.approx(scipy_stats.binomtest(lost, lost + won, 0.5).pvalue)


def test_mcnemar_of_impossible_counts_is_refused() -> None:
    """A negative number of questions."""
    with pytest.raises(ValueError, match="0 or more"):
        mcnemar_exact(-1, 3)


@pytest.mark.parametrize(("base", "n"), [(0.8466, 717), (0.95, 717), (0.6276, 100), (0.2, 717)])
def test_the_smallest_detectable_loss_is_found_in_80_of_100_runs(base: float, n: int) -> None:
    """Both sides are measured anew each time; 3,000 runs."""
    numbers = np.random.default_rng(2)
    loss = compare_with_reference(0, n, Reference(base, n=717), 0.0).smallest_detectable
    found = 0
    for right, others in zip(
        numbers.binomial(n, base - loss, 3_000), numbers.binomial(717, base, 3_000), strict=True
    ):
        seen = compare_with_reference(int(right), n, Reference(others / 717, n=717), 0.0)
        found += seen.change.high < 0

    assert 0.77 < found / 3_000 < 0.83


@given(COUNTS, st.floats(0, 1))
def test_no_loss_is_larger_than_all_there_is(counts: tuple[int, int], base: float) -> None:
    """However few the questions."""
    right, n = counts

    assert 0 <= compare_with_reference(right, n, Reference(base, n=n), 0.1).smallest_detectable <= 1
