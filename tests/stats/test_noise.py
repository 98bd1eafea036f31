"""Noise of a metric over rounds."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.stats import noise_of
from tests.stats.series import series


@given(st.lists(st.floats(0.1, 1e6), min_size=2, max_size=40))
def test_noise_is_within_its_ranges(values: list[float]) -> None:
    """Correlation between -1 and 1, nothing negative, never narrower than independent rounds."""
    noise = noise_of(values)

    assert (noise.share or 0) * abs(noise.mean) == pytest.approx(statistics.stdev(values), abs=1e-9)
    assert noise.autocorrelation is None or -1 <= noise.autocorrelation <= 1
    assert 1 <= noise.widening <= math.sqrt(19) + 1e-9


def test_noise_is_a_share_of_the_mean() -> None:
    """10 tokens/s of 100 are 10 %."""
    noise = noise_of([90.0, 100.0, 110.0])

    assert noise.share == pytest.approx(0.1)
    assert noise.autocorrelation is None


@pytest.mark.parametrize("values", [[5.0], [5.0] * 6])
def test_noise_that_is_not_there(values: list[float]) -> None:
    """One round has none to tell, equal rounds have none at all."""
    noise = noise_of(values)

    assert not noise.share
    assert noise.autocorrelation is None
    assert noise.widening == 1.0


def test_autocorrelation_by_hand() -> None:
    """1, 2, 3, 4: (0.75 - 0.25 + 0.75) / 5."""
    assert noise_of([1.0, 2.0, 3.0, 4.0]).autocorrelation == pytest.approx(0.25)


def test_rounds_that_follow_one_another_are_seen() -> None:
    """Most long series that depend are told, most that do not are not."""
    seen = [
        sum(noise_of(row).is_dependent for row in series(name, 0.1, 30, 500, seed=1).tolist())
        for name in ("normal", "AR 0.5")
    ]

    assert seen[0] < 60
    assert seen[1] > 400
