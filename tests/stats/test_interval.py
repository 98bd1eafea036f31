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
