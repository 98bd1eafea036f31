"""How far apart two answers are by their log probabilities: whether a model noticed a change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

__all__ = ["UNLIKE", "Told", "unlikeness"]

Told = Sequence[tuple[str, float]]
"""Tokens of an answer with their log probabilities."""
UNLIKE: Final = math.inf
"""How far apart answers of other tokens are."""


def unlikeness(one: Told, other: Told) -> float:
    """Return how far apart two answers are: the widest gap of log probabilities, in nats.

    Args:
        one: Tokens with their log probabilities.
        other: Those of another answer.

    Returns:
        0 and more; `UNLIKE` where the tokens are others.
    """
    if [token for token, _ in one] != [token for token, _ in other]:
        return UNLIKE
    return max((abs(a - b) for (_, a), (_, b) in zip(one, other, strict=True)), default=0.0)
