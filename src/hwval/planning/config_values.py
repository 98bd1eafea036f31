"""Reading values of a config.json: each is checked, and an error says which one was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwval.errors import UsageError

__all__ = ["ShapeError", "first", "flag", "number", "optional", "section"]


class ShapeError(UsageError):
    """A config.json is broken, absurd, or of a kind that the planner does not know."""


def first(config: Mapping[str, Any], *names: str) -> Any:
    """Return the first of ``names`` that is set, None if none is."""
    return next((config[name] for name in names if config.get(name) is not None), None)


def number(config: Mapping[str, Any], *names: str, low: int = 1, high: int) -> int:
    """Return a whole number between ``low`` and ``high`` under the first of ``names`` that is set.

    Raises:
        ShapeError: None is set, or it is no such number.
    """
    value = optional(config, *names, low=low, high=high)
    if value is None:
        raise ShapeError(f"config.json has no {names[0]!r}")
    return value


def optional(config: Mapping[str, Any], *names: str, low: int = 1, high: int) -> int | None:
    """Return a whole number as ``number`` does, None if none of ``names`` is set.

    Raises:
        ShapeError: It is no whole number between ``low`` and ``high``.
    """
    name = next((name for name in names if config.get(name) is not None), None)
    if name is None:
        return None
    value = config[name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ShapeError(f"config.json: {name} is {value!r}; allowed: {low}..{high}")
    return value


def flag(config: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    """Return a truth value.

    Raises:
        ShapeError: It is something else.
    """
    value = config.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ShapeError(f"config.json: {name} is {value!r}; allowed: true, false")
    return value


def section(config: Mapping[str, Any], *names: str) -> Mapping[str, Any] | None:
    """Return the first of ``names`` that holds an object, None if none does.

    Raises:
        ShapeError: It holds something else.
    """
    value = first(config, *names)
    if value is None or isinstance(value, Mapping):
        return value
    raise ShapeError(f"config.json: {names[0]} is no object")
