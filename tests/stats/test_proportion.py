"""Shares of right answers against published values, and against what the tests promise."""

from __future__ import annotations

import itertools
import math
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
from hwval.stats.proportion import exact_interval

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


@given(COUNTS, st.sampled_from([0.9, 0.95, 0.99]))
def test_exact_is_what_scipy_has(counts: tuple[int, int], confidence: float) -> None:
    """At none and at all too."""
    right, n = counts
    expected = scipy_stats.binomtest(right, n).proportion_ci(confidence, method="exact")
    interval = exact_interval(right, n, confidence)

    assert interval.low == pytest.approx(expected.low, abs=1e-9)
    assert interval.high == pytest.approx(expected.high, abs=1e-9)
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1


def test_difference_joins_exact_intervals_as_newcombe_does() -> None:
    """Newcombe 1998, table II, example (a), 56/70 against 48/80: method 10 has 0.0524 to 0.3339."""
    loss = compare_with_reference(56, 70, Reference(48 / 80, n=80), 0.0, confidence=0.95)
    own, other = exact_interval(56, 70, 0.95), exact_interval(48, 80, 0.95)

    assert loss.change.mean == pytest.approx(0.2)
    assert loss.change.low == pytest.approx(0.2 - math.hypot(0.8 - own.low, other.high - 0.6))
    assert loss.change.high == pytest.approx(0.2 + math.hypot(own.high - 0.8, 0.6 - other.low))
    assert 0.03 < loss.change.low < 0.0524
    assert 0.3339 < loss.change.high < 0.35


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


@pytest.mark.parametrize("sizes", [None, 12, 717])
@pytest.mark.parametrize("n", [1, 3, 12, 50, 100])
def test_both_errors_are_at_most_5_of_100(n: int, sizes: int | None) -> None:
    """Counted up over every outcome of both sides, where the loss is exactly the margin."""
    for base, margin in itertools.product(
        (0.25, 0.6276, 0.8466, 0.95, 0.99, 1.0), (0.0, 0.02, 0.05, 0.1, 0.2)
    ):
        rights = scipy_stats.binom.pmf(range(n + 1), n, base - margin)
        breaks = holds = 0.0
        for reference, chance in _references(base, sizes):
            for right in np.flatnonzero(rights > 1e-6):
                loss = compare_with_reference(int(right), n, reference, margin)
                breaks += chance * rights[right] * (loss.decision is Decision.BREAKS)
                if loss.smallest_detectable <= margin:  # as a PASS must have
                    holds += chance * rights[right] * (loss.decision is Decision.HOLDS)

        assert breaks <= 0.05 + 1e-9, (base, margin)
        assert holds <= 0.053, (base, margin)


def _references(base: float, size: int | None) -> list[tuple[Reference, float]]:
    """References that would be measured -> how likely; of a large one every tenth quantile."""
    if size is None:
        return [(Reference(base), 1.0)]
    if size > 100:
        counts = scipy_stats.binom.ppf(np.linspace(0.05, 0.95, 10), size, base)
        return [(Reference(count / size, n=size), 0.1) for count in counts]
    chances = scipy_stats.binom.pmf(range(size + 1), size, base)
    return [
        (Reference(int(count) / size, n=size), chances[count])
        for count in np.flatnonzero(chances > 1e-4)
    ]


@pytest.mark.parametrize("questions", [1, 3])
def test_few_questions_break_no_high_reference(questions: int) -> None:
    """None right of one happens in 20 of 100 runs that keep the promise; of three, in one."""
    loss = compare_with_reference(0, questions, Reference(0.8466, n=717), 0.05)

    assert loss.decision is (Decision.OPEN if questions == 1 else Decision.BREAKS)
    assert (loss.change.high < -0.05) == (questions > 1)


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
