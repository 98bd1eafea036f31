"""Intervals against known values, against SciPy, and against what they promise."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from hwval.stats import mean_interval

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
