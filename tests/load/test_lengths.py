"""Lengths as people write them."""

from __future__ import annotations

from random import Random
from statistics import mean
from statistics import stdev

import pytest

from hwval.errors import UsageError
from hwval.load.lengths import parse_lengths


def draw(text: str, count: int = 4000) -> list[int]:
    random = Random(3)
    lengths = parse_lengths(text)
    return [lengths.draw(random) for _ in range(count)]


def test_fixed_length_is_always_the_same() -> None:
    """A plain number."""
    assert set(draw(" 128 ")) == {128}


def test_uniform_lengths_fill_their_range() -> None:
    """Both ends included."""
    assert set(draw("3 .. 7")) == {3, 4, 5, 6, 7}


def test_normal_lengths_keep_mean_and_deviation() -> None:
    """None is below 1 or beyond twice the mean, and none piles up there."""
    found = draw("100~20")

    assert mean(found) == pytest.approx(100, rel=0.02)
    assert stdev(found) == pytest.approx(20, rel=0.05)
    wide = draw("30~30")
    assert (min(wide), max(wide)) == (1, 59)
    assert mean(wide) == pytest.approx(30, rel=0.03)
    assert wide.count(1) < len(wide) / 40


@pytest.mark.parametrize(
    "text", ["", "x", "0", "-1", "1.5", "5..3", "0..4", "0~3", "1,2", "3~", "3~4"]
)
def test_other_texts_are_refused(text: str) -> None:
    """With the forms that there are."""
    with pytest.raises(UsageError, match="length"):
        parse_lengths(text)
