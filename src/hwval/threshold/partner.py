"""Which other cell a promise means: ``relative_to: {cell: aiter-off}``."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Final

from hwval.spelling import near_names

__all__ = ["find_partner"]

_SEPARATOR: Final = "__"
_AXES: Final = 4
_MOST_NAMED: Final = 3


def find_partner(cell: str, pattern: str, cells: Collection[str]) -> tuple[str | None, str]:
    """Return the id of the cell that a pattern means, seen from ``cell``.

    A variant's name means that variant of the same hardware, image, model and dtype, or else of
    others. Anything else is a pattern over ids. Of several matches it is the one that shares most
    of the four axes.

    Args:
        cell: Id of the cell whose promise it is.
        pattern: Name of a variant, an id, or a pattern with ``*``.
        cells: Ids of all cells.

    Returns:
        The id and nothing, or None and why there is none.

    Example:
        >>> find_partner("a__i__m__fp8__on", "off", ["a__i__m__fp8__on", "a__i__m__fp8__off"])
        ('a__i__m__fp8__off', '')
    """
    axes = cell.split(_SEPARATOR)[:_AXES]
    sibling = _SEPARATOR.join([*axes, pattern])
    if sibling in cells and sibling != cell:
        return sibling, ""
    shared = {
        other: sum(a == b for a, b in zip(axes, other.split(_SEPARATOR), strict=False))
        for other in cells
        if other != cell and _means(pattern, other)
    }
    most = max(shared.values(), default=0)
    best = sorted(other for other, count in shared.items() if count == most)
    if len(best) == 1:
        return best[0], ""
    if best:
        named = ", ".join(best[:_MOST_NAMED])
        return None, f"{pattern!r} means {len(best)} cells alike: {named}"
    if _means(pattern, cell):
        return None, f"{pattern!r} is this cell itself, and no other is meant by it"
    return None, f"no cell of this run is {pattern!r}; {near_names(pattern, _names(cell, cells))}"


def _means(pattern: str, cell: str) -> bool:
    return fnmatchcase(cell, pattern) or _variant(cell) == pattern


def _variant(cell: str) -> str:
    return _SEPARATOR.join(cell.split(_SEPARATOR)[_AXES:])


def _names(cell: str, cells: Collection[str]) -> list[str]:
    """Return the other variants of the same axes, or all ids where there are none."""
    start = _SEPARATOR.join([*cell.split(_SEPARATOR)[:_AXES], ""])
    variants = [other.removeprefix(start) for other in cells if other.startswith(start)]
    own = cell.removeprefix(start)
    return [name for name in variants if name != own] or [one for one in cells if one != cell]
