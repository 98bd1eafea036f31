"""Knees and break-downs of throughput curves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.performance.curve import find_knee
from hwval.performance.curve import worst_drop
from hwval.stats import Decision

STREAMS = [1, 2, 4, 8, 16]


@given(st.sampled_from([1, 2, 4, 8]), st.floats(1, 1e4), st.floats(0, 0.2))
def test_knee_is_where_growth_ends(knee: int, rate: float, slope: float) -> None:
    """Ideal growth up to the knee, next to none behind it."""
    rates = [rate * min(many, knee) * (1 + slope * max(0, many / knee - 1)) for many in STREAMS]

    assert find_knee(STREAMS, rates, 0.25) == (knee, True)


def test_curve_that_grows_to_its_end_was_not_bent() -> None:
    """Its last point stands for the knee, and the caller is told."""
    assert find_knee(STREAMS, [many * 9.0 for many in STREAMS], 0.25) == (16, False)


@given(st.floats(0.05, 0.6))
def test_break_down_is_found_against_the_best_point_before(drop: float) -> None:
    """Whether it breaks the shape depends on the tolerance."""
    curves = [
        [100.0, 101.0, 99.0],
        [200.0, 202.0, 198.0],
        [200 * (1 - drop), 202 * (1 - drop), 198 * (1 - drop)],
    ]
    found = worst_drop(curves, 0.3, 0.99)

    assert found is not None
    assert (found.at, found.best) == (2, 1)
    assert found.ratio.mean == pytest.approx(1 - drop)
    assert found.decision is (Decision.BREAKS if drop > 0.3 + 1e-9 else Decision.HOLDS)


def test_noisy_curve_stays_open() -> None:
    """A fall that could be noise is no break-down, and no sound shape either."""
    found = worst_drop([[100.0, 80.0, 120.0], [60.0, 110.0, 75.0]], 0.1, 0.99)

    assert found is not None
    assert found.decision is Decision.OPEN


def test_single_point_has_no_shape() -> None:
    """There is nothing to hold it against."""
    assert worst_drop([[1.0, 2.0]], 0.1, 0.99) is None
