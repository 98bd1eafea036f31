"""Which other cell a promise means: ``relative_to: {cell: aiter-off}``."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Final

from hwval.spelling import near_names

__all__ = ["find_partner"]

_SEPARATOR: Final = "__"
_AXES: Final = ("hardware", "image", "model", "dtype")
_MOST_NAMED: Final = 3


def find_partner(
    cell: str, pattern: str, cells: Collection[str], *, among: str = "this run"
) -> tuple[str | None, str]:
    """Return the id of the cell that a pattern means, seen from ``cell``.

    A variant's name means that variant of the same hardware, image, model and dtype. Anything else
    is a pattern over ids; of several matches it is the one that shares most of the four axes. In
    which axis the other cell differs, the pattern has to say: one that would match the same id with
    this cell's own model as well does not mean another model's cell, which just happens to be the
    only one. So nobody is held against what he did not think of.

    Args:
        cell: Id of the cell whose promise it is.
        pattern: Name of a variant, an id, or a pattern with ``*``.
        cells: Ids of all cells.
        among: What they are the cells of.

    Returns:
        The id and nothing, or None and why there is none.

    Example:
        >>> find_partner("a__i__m__fp8__on", "off", ["a__i__m__fp8__on", "a__i__m__fp8__off"])
        ('a__i__m__fp8__off', '')
        >>> find_partner("a__i__m__fp8__on", "off", ["a__i__m__fp8__on", "a__i__n__fp8__off"])[1]
        "of this cell's model there is no 'off'; write a__i__n__fp8__off if that one is meant"
    """
    sibling = _SEPARATOR.join([*_axes(cell), pattern])
    if sibling in cells and sibling != cell:
        return sibling, ""
    unnamed = {
        other: _unnamed_axes(cell, pattern, other)
        for other in cells
        if other != cell and _means(pattern, other)
    }
    shared = {other: _shared(cell, other) for other, axes in unnamed.items() if not axes}
    most = max(shared.values(), default=0)
    best = sorted(other for other, count in shared.items() if count == most)
    if len(best) == 1:
        return best[0], ""
    if best:
        named = ", ".join(best[:_MOST_NAMED])
        return None, f"{pattern!r} means {len(best)} cells alike: {named}; write the id of one"
    if unnamed:
        nearest = max(sorted(unnamed), key=lambda other: _shared(cell, other))
        axes = " and ".join(unnamed[nearest])
        return None, (
            f"of this cell's {axes} there is no {pattern!r}; write {nearest} if that one is meant"
        )
    if _means(pattern, cell):
        return None, f"{pattern!r} is this cell itself, and no other is meant by it"
    return None, f"no cell of {among} is {pattern!r}; {near_names(pattern, _names(cell, cells))}"


def _unnamed_axes(cell: str, pattern: str, other: str) -> list[str]:
    """Return the axes in which another cell differs although the pattern does not say so."""
    own, parts = _axes(cell), other.split(_SEPARATOR)
    return [
        name
        for place, name in enumerate(_AXES)
        if parts[place] != own[place]
        and _means(pattern, _SEPARATOR.join([*parts[:place], own[place], *parts[place + 1 :]]))
    ]


def _shared(cell: str, other: str) -> int:
    return sum(a == b for a, b in zip(_axes(cell), _axes(other), strict=True))


def _means(pattern: str, cell: str) -> bool:
    return fnmatchcase(cell, pattern) or _variant(cell) == pattern


def _axes(cell: str) -> list[str]:
    return cell.split(_SEPARATOR)[: len(_AXES)]


def _variant(cell: str) -> str:
    return _SEPARATOR.join(cell.split(_SEPARATOR)[len(_AXES) :])


def _names(cell: str, cells: Collection[str]) -> list[str]:
    """Return the other variants of the same axes, or all ids where there are none."""
    start = _SEPARATOR.join([*_axes(cell), ""])
    variants = [other.removeprefix(start) for other in cells if other.startswith(start)]
    own = cell.removeprefix(start)
    return [name for name in variants if name != own] or [one for one in cells if one != cell]
