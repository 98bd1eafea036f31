"""A reason against a cell that is known before it starts."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Refusal"]


class Refusal(NamedTuple):
    """One reason.

    Attributes:
        rule: Short name, the same for every cell that the rule refuses: ``heads``, ``group-size``.
        text: What was asked for, what is allowed, and what to change; with numbers.
        is_certain: Whether the engine surely refuses; False where versions or kernels differ.
    """

    rule: str
    text: str
    is_certain: bool = True
