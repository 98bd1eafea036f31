"""A bounded sample of many values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwval.performance.reservoir import Reservoir


@given(st.lists(st.lists(st.floats(0, 9), max_size=20), max_size=5), st.integers(1, 30))
def test_no_value_is_kept_twice_or_made_up(rounds: list[list[float]], most: int) -> None:
    """Few are kept as they are, of many as many as there may be."""
    kept = Reservoir(most)
    for values in rounds:
        kept.add(values)
    given_ = [value for values in rounds for value in values]

    assert len(kept.values) == min(most, len(given_))
    assert all(kept.values.count(value) <= given_.count(value) for value in kept.values)


def test_early_and_late_rounds_weigh_alike() -> None:
    """Of ten rounds of the same size each has its tenth, within five standard deviations."""
    kept = Reservoir(2000)
    for number in range(10):
        kept.add([float(number)] * 1000)
    counts = [kept.values.count(float(number)) for number in range(10)]

    assert all(abs(count - 200) < 5 * 12 for count in counts)
