"""How far apart two answers are."""

from __future__ import annotations

import math

import pytest

from hwval.capability.likeness import unlikeness


@pytest.mark.parametrize(
    ("other", "nats"),
    [
        pytest.param([("a", -0.5), ("b", -1.0)], 0.0, id="same"),
        pytest.param([("a", -0.4), ("b", -1.5)], 0.5, id="widest-gap"),
        pytest.param([("a", -0.5), ("c", -1.0)], math.inf, id="other-token"),
        pytest.param([("a", -0.5)], math.inf, id="shorter"),
    ],
)
def test_unlikeness_of_answers(other: list[tuple[str, float]], nats: float) -> None:
    """In nats; nothing is nearer than itself."""
    assert unlikeness([("a", -0.5), ("b", -1.0)], other) == pytest.approx(nats)
