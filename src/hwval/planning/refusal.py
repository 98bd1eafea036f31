"""What is to be said of a cell before it starts: reasons against it, and notes."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Note", "Refusal"]


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


class Note(NamedTuple):
    """Something to know of a cell that decides nothing.

    Attributes:
        rule: Short name of what it is about, as of a refusal.
        text: The note, with numbers and with what to change.
    """

    rule: str
    text: str
