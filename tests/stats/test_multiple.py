"""Which of many findings to believe."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from hwval.stats import discoveries


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.sampled_from([0.01, 0.05, 0.2]))
def test_as_scipy_adjusts(p_values: list[float], rate: float) -> None:
    """The same findings as the reference implementation."""
    adjusted = scipy_stats.false_discovery_control(p_values)
    expected = [float(p) <= rate for p in adjusted]
    near = [abs(float(p) - rate) < 1e-9 for p in adjusted]

    for found, wanted, is_close in zip(discoveries(p_values, rate), expected, near, strict=True):
        assert found == wanted or is_close


def test_nothing_is_found_in_nothing() -> None:
    """No tests, no findings."""
    assert discoveries([]) == []


def test_noise_is_rarely_a_finding() -> None:
    """200 comparisons without a difference: any finding at all in 5 % of the runs."""
    numbers = random.Random(1)
    runs = [any(discoveries([numbers.random() for _ in range(200)])) for _ in range(2_000)]

    assert sum(runs) / 2_000 == pytest.approx(0.05, abs=0.02)
