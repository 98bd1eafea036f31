"""Ratios against SciPy, against what they promise, and what more rounds of one side can do."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from hwval.stats import more_rounds_can_decide
from hwval.stats import ratio_interval
from hwval.stats import ratio_p_value
from hwval.stats import smallest_detectable_ratio

VALUES = st.floats(min_value=0.01, max_value=1e6)
STEADY = [1.0, 1.001, 0.999, 1.0005, 0.9995]
NOISY = [0.7, 1.4, 0.9, 1.3, 0.8]


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


def test_rounds_that_follow_one_another_widen_a_ratio() -> None:
    """Of either side, as of a single cell."""
    drifting = [100.0 - place for place in range(12)]
    mixed = [drifting[place * 5 % 12] for place in range(12)]
    steady = [value * 2 for value in mixed]

    wide, narrow = (ratio_interval(steady, below) for below in (drifting, mixed))

    assert math.log(wide.high / wide.low) > 1.5 * math.log(narrow.high / narrow.low)


def test_smallest_detectable_ratio_is_found_in_80_of_100_runs() -> None:
    """A limit that many times below is passed by four of five pairs with so many rounds."""
    numbers, confidence, runs = random.Random(5), 0.98, 1_000

    def rounds(level: float) -> list[float]:
        return [level * numbers.lognormvariate(0, 0.1) for _ in range(8)]

    pairs = [(rounds(1.0), rounds(1.0)) for _ in range(runs)]
    times = [smallest_detectable_ratio(*pair, confidence) or math.nan for pair in pairs]
    limit = 1 / (sum(times) / runs)
    found = sum(ratio_interval(*pair, confidence).low >= limit for pair in pairs)

    assert found / runs == pytest.approx(0.8, abs=0.05)
    assert smallest_detectable_ratio([1.0], STEADY, confidence) is None


@pytest.mark.parametrize(
    ("above", "below", "limit", "can"),
    [
        (STEADY, NOISY, 1.05, False),
        (NOISY, STEADY, 1.05, True),
        (STEADY, NOISY, 10.0, True),
        (STEADY, STEADY, 1.0001, True),
        (STEADY, [1.0], 5.0, False),
        ([1.0], NOISY, 5.0, True),
    ],
)
def test_more_rounds_of_one_side_do_not_mend_the_noise_of_the_other(
    above: list[float], below: list[float], limit: float, *, can: bool
) -> None:
    """They help as long as that noise alone is less than the distance from the limit."""
    assert more_rounds_can_decide(above, below, limit, 0.996) is can


@given(st.lists(VALUES, min_size=3, max_size=8), st.lists(VALUES, min_size=3, max_size=8), VALUES)
def test_what_more_rounds_cannot_decide_is_not_decided(
    above: list[float], below: list[float], limit: float
) -> None:
    """Nobody gives up what the interval excludes."""
    interval = ratio_interval(above, below, 0.99)
    if interval.high < limit * (1 - 1e-9) or interval.low > limit * (1 + 1e-9):
        assert more_rounds_can_decide(above, below, limit, 0.99)
