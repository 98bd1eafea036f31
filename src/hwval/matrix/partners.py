"""Which cells are held against each other, and therefore belong into one run."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

from hwval.matrix.asking import wanted_partners
from hwval.matrix.entry import MatrixEntry
from hwval.threshold import find_partner

__all__ = ["groups_of", "partners_among"]


def partners_among(entries: Iterable[MatrixEntry]) -> dict[str, tuple[str, ...]]:
    """Return cell id -> ids of the cells that it is held against, as far as they are among them."""
    by_id = {entry.cell.id: entry for entry in entries}
    return {
        cell_id: tuple(
            partner
            for name in wanted_partners(entry)
            if (partner := find_partner(cell_id, name, by_id)[0]) is not None
        )
        for cell_id, entry in by_id.items()
    }


def groups_of(
    cell_ids: Iterable[str], partners: Mapping[str, Sequence[str]]
) -> list[tuple[str, ...]]:
    """Return the cells in groups: those that are held against each other, directly or by others.

    Args:
        cell_ids: Cells, each once.
        partners: Cell id -> ids that it is held against; ids that are no cells here do not count.

    Returns:
        Every cell in just one group; groups by their first cell, cells in their own order.

    Example:
        >>> groups_of(["a", "b", "c"], {"c": ["a"]})
        [('a', 'c'), ('b',)]
    """
    group = {cell_id: [cell_id] for cell_id in cell_ids}
    ranks = {cell_id: rank for rank, cell_id in enumerate(group)}
    for cell_id, others in partners.items():
        for other in others:
            if cell_id not in group or other not in group or group[cell_id] is group[other]:
                continue
            fewer, more = sorted((group[cell_id], group[other]), key=len)
            more += fewer
            group.update(dict.fromkeys(fewer, more))
    found = {id(members): members for members in group.values()}
    return [tuple(sorted(members, key=ranks.__getitem__)) for members in found.values()]
