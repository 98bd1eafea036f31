"""Lengths of prompts and answers: fixed, or drawn from a distribution that a person wrote down."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Final

from hwval.errors import UsageError

__all__ = ["Lengths", "parse_lengths"]

_FIXED: Final = re.compile(r"(\d+)")
_UNIFORM: Final = re.compile(r"(\d+)\.\.(\d+)")
_NORMAL: Final = re.compile(r"(\d+)~(\d+)")


@dataclass(frozen=True, slots=True)
class Lengths:
    """A distribution of lengths in tokens.

    Attributes:
        low_tokens: Shortest, >= 1.
        high_tokens: Longest, >= ``low_tokens``.
        spread_tokens: Standard deviation of a normal distribution around the middle, which has
            nothing beyond the ends; None for all lengths being equally likely.
    """

    low_tokens: int
    high_tokens: int
    spread_tokens: int | None = None

    def draw(self, random: Random) -> int:
        """Return one length."""
        if self.spread_tokens is None:
            return random.randint(self.low_tokens, self.high_tokens)
        middle = (self.low_tokens + self.high_tokens) / 2
        while True:  # drawn anew beyond the ends, where lengths would pile up
            drawn = round(random.gauss(middle, self.spread_tokens))
            if self.low_tokens <= drawn <= self.high_tokens:
                return drawn


def parse_lengths(text: str) -> Lengths:
    """Return the lengths that a person wrote.

    Args:
        text: ``N``; ``A..B``, each length as likely as another; ``N~S``, a normal distribution
            with standard deviation S <= N, from 1 to twice the mean.

    Raises:
        UsageError: None of these forms, a length of 0, or a deviation that leaves nothing of a
            normal distribution.

    Example:
        >>> parse_lengths("64..256")
        Lengths(low_tokens=64, high_tokens=256, spread_tokens=None)
    """
    compact = text.replace(" ", "")
    if fixed := _FIXED.fullmatch(compact):
        found = Lengths(int(fixed[1]), int(fixed[1]))
    elif uniform := _UNIFORM.fullmatch(compact):
        found = Lengths(int(uniform[1]), int(uniform[2]))
    elif normal := _NORMAL.fullmatch(compact):
        mean, spread = int(normal[1]), int(normal[2])
        if spread > mean > 0:
            raise UsageError(f"length {text!r}: expected a deviation of {mean:,} tokens at most")
        found = Lengths(min(1, mean), 2 * mean - 1, spread)
    else:
        raise UsageError(f"length {text!r}: expected tokens as in '128', '64..256' or '128~32'")
    if not 1 <= found.low_tokens <= found.high_tokens:
        raise UsageError(f"length {text!r}: expected 1 token or more, the shorter length first")
    return found
