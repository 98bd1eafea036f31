"""Bounds are added so that the truth stays between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.planning.interval import Interval
from hwval.planning.interval import total

BOUNDS = st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**12)).map(
    lambda pair: Interval(pair[0], pair[0] + pair[1])
)


@given(BOUNDS, BOUNDS, st.floats(0, 1), st.floats(0, 1))
def test_sums_and_differences_enclose(a: Interval, b: Interval, x: float, y: float) -> None:
    """Whatever two quantities are within their bounds, so are sum and difference."""
    first = min(a.low + x * (a.high - a.low), a.high)
    second = min(b.low + y * (b.high - b.low), b.high)

    added, taken = a + b, a - b

    assert added.low <= first + second <= added.high
    assert taken.low <= first - second <= taken.high


def test_bounds_are_in_order_and_finite() -> None:
    """No interval goes from much to little, or to infinity."""
    for low, high in ((2, 1), (0, float("inf")), (float("nan"), 1)):
        with pytest.raises(ValueError, match="no interval"):
            Interval(low, high)


def test_total() -> None:
    """The sum of none is nothing."""
    assert total([]) == Interval(0, 0)
    assert total([Interval(1, 2), Interval(3, 5)]) == Interval(4, 7)
