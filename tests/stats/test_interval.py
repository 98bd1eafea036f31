"""Intervals against known values, against SciPy, and against what they promise."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from hwval.stats import bootstrap_interval
from hwval.stats import mean_interval
from hwval.stats import percentile_interval
from hwval.stats import ratio_interval
from hwval.stats import ratio_p_value

VALUES = st.floats(min_value=0.01, max_value=1e6)


@given(st.lists(VALUES, min_size=2, max_size=30), st.sampled_from([0.9, 0.95, 0.996]))
def test_mean_is_what_scipy_has(values: list[float], confidence: float) -> None:
    """Student's interval, as the reference implementation computes it."""
    interval = mean_interval(values, confidence)
    error = statistics.stdev(values) / math.sqrt(len(values))
    if error < 1e-9 * interval.mean:
        assert interval.low == pytest.approx(interval.high)
        return
    low, high = scipy_stats.t.interval(
        confidence, len(values) - 1, loc=statistics.fmean(values), scale=error
    )

    assert interval.low == pytest.approx(low)
    assert interval.high == pytest.approx(high)
    assert interval.n == len(values)


def test_single_round_excludes_nothing() -> None:
    """One value tells nothing of its noise."""
    interval = mean_interval([12.0])

    assert (interval.mean, interval.low, interval.high) == (12.0, -math.inf, math.inf)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf, 1.0]])
def test_what_is_no_measurement_is_refused(values: list[float]) -> None:
    """Nothing, NaN and infinity are errors, not numbers."""
    with pytest.raises(ValueError, match=r"values|finite"):
        mean_interval(values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, 95.0])
def test_confidence_is_a_share(confidence: float) -> None:
    """95 is no confidence."""
    with pytest.raises(ValueError, match="confidence"):
        mean_interval([1.0, 2.0], confidence)


def test_bootstrap_of_the_mean_agrees_with_students() -> None:
    """With many values both say the same."""
    numbers = random.Random(7)
    values = [numbers.gauss(100, 10) for _ in range(200)]
    one, other = bootstrap_interval(values), mean_interval(values)

    assert one.low == pytest.approx(other.low, abs=0.3)
    assert one.high == pytest.approx(other.high, abs=0.3)
    assert one == bootstrap_interval(values), "the same values, the same interval"


def test_bootstrap_of_equal_values_is_a_point() -> None:
    """No noise, no interval, and no division by zero."""
    interval = bootstrap_interval([5.0, 5.0, 5.0], statistics.median)

    assert (interval.low, interval.high) == (5.0, 5.0)


def test_percentile_by_hand() -> None:
    """Median of ten: the second to the ninth, 97.9 % sure (Hahn and Meeker, table A.15a)."""
    interval = percentile_interval([float(value) for value in range(1, 11)], 0.5, 0.95)

    assert (interval.low, interval.high) == (2.0, 9.0)
    assert interval.mean == 5.5


def test_percentile_beyond_the_data_is_not_bounded() -> None:
    """A hundred requests do not bound their p99 from above."""
    interval = percentile_interval([float(value) for value in range(100)], 0.99)

    assert interval.high == math.inf
    assert interval.low < 99


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_percentile_holds_the_truth_as_often_as_promised(share: float) -> None:
    """Of a skewed distribution too: 2,000 series of 60."""
    numbers = random.Random(3)
    truth = -math.log(1 - share)
    held = 0
    for _ in range(2_000):
        interval = percentile_interval(
            [numbers.expovariate(1.0) for _ in range(60)], share, confidence=0.9
        )
        held += interval.low <= truth <= interval.high

    assert held / 2_000 > 0.88


@given(st.lists(VALUES, min_size=2, max_size=10), st.lists(VALUES, min_size=2, max_size=10))
def test_ratio_reads_the_same_from_either_side(above: list[float], below: list[float]) -> None:
    """A is 2 times B where B is half of A, with the same interval turned over."""
    one, other = ratio_interval(above, below), ratio_interval(below, above)

    assert one.mean == pytest.approx(1 / other.mean)
    if one.low > 0 and math.isfinite(one.high) and math.isfinite(other.high):
        assert one.low == pytest.approx(1 / other.high, rel=1e-6)


def test_pairs_cancel_what_disturbs_both() -> None:
    """A machine that slows down by half slows both sides."""
    base = [100.0, 80.0, 60.0, 50.0, 90.0]
    faster = [
        value * factor for value, factor in zip(base, (1.49, 1.5, 1.51, 1.5, 1.5), strict=True)
    ]

    paired = ratio_interval(faster, base, paired=True)
    apart = ratio_interval(faster, base)

    assert paired.low > 1.45
    assert apart.low < 1.0


def test_ratio_holds_the_truth_as_often_as_promised() -> None:
    """Unequal noise and unequal numbers of rounds: 2,000 pairs of series."""
    numbers = random.Random(11)
    held = 0
    for _ in range(2_000):
        above = [1.5 * numbers.lognormvariate(0, 0.1) for _ in range(8)]
        below = [numbers.lognormvariate(0, 0.02) for _ in range(5)]
        interval = ratio_interval(above, below, 0.9)
        held += interval.low <= 1.5 <= interval.high

    assert 0.88 < held / 2_000 < 0.92


def test_ratio_of_what_is_not_positive_is_refused() -> None:
    """No logarithm, no ratio."""
    with pytest.raises(ValueError, match="above 0"):
        ratio_interval([1.0, 2.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="paired"):
        ratio_interval([1.0, 2.0], [1.0], paired=True)


def test_p_value_is_what_scipy_has() -> None:
    """Welch's test on logarithms; Student's on pairs."""
    above, below = [13.1, 12.7, 13.4, 12.9], [12.0, 12.4, 12.2, 12.3]
    tops, bottoms = ([math.log(value) for value in values] for values in (above, below))

    assert ratio_p_value(above, below) == pytest.approx(
        scipy_stats.ttest_ind(tops, bottoms, equal_var=False).pvalue
    )
    assert ratio_p_value(above, below, paired=True) == pytest.approx(
        scipy_stats.ttest_rel(tops, bottoms).pvalue
    )


@pytest.mark.parametrize(
    ("above", "below", "p"),
    [([2.0], [1.0, 1.1], 1.0), ([2.0, 2.0], [1.0, 1.0], 0.0), ([2.0, 2.0], [2.0, 2.0], 1.0)],
)
def test_p_value_without_noise(above: list[float], below: list[float], p: float) -> None:
    """One value tells nothing; equal values tell all."""
    assert ratio_p_value(above, below) == p
