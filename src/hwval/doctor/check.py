"""What one check of a host came to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hwval.placement import PlacedCell

__all__ = ["Check", "State", "joined", "not_checkable", "ok", "problem", "runnable", "warning"]


class State(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    """Runs all the same, but slower, or not surely."""
    PROBLEM = "problem"
    """Something cannot run until it is put right."""
    NOT_CHECKABLE = "not-checkable"
    """Nobody could look, which is no good news."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: Which; see docs/hosts.md.
        state: How it is.
        text: What was seen, or why nothing was.
        remedy: What to do; empty where nothing is to be done.
    """

    name: str
    state: State
    text: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``hwval doctor --json`` prints."""
        return asdict(self)


def ok(name: str, text: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name, State.OK, text)


def warning(name: str, text: str, remedy: str) -> Check:
    """Return a check that found what slows or may break."""
    return Check(name, State.WARNING, text, remedy)


def problem(name: str, text: str, remedy: str) -> Check:
    """Return a check that found what keeps something from running."""
    return Check(name, State.PROBLEM, text, remedy)


def not_checkable(name: str, text: str) -> Check:
    """Return a check that could not be made."""
    return Check(name, State.NOT_CHECKABLE, text)


def runnable(cells: Iterable[PlacedCell]) -> list[PlacedCell]:
    """Return the cells that a run on their host would start."""
    return [placed for placed in cells if not placed.why_not and not placed.ruled_out]


def joined(names: Iterable[object], *, most: int = 4) -> str:
    """Return each name once, and how many more there are.

    Example:
        >>> joined(["a", "b", "a", "c"], most=2)
        'a, b and 1 more'
    """
    once = list(dict.fromkeys(map(str, names)))
    more = f" and {len(once) - most} more" if len(once) > most else ""
    return ", ".join(once[:most]) + more
