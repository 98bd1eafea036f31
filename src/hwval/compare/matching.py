"""Which cell of one run is which of the other."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping

from hwval.result import CellRecord
from hwval.summary import CellSummary

__all__ = ["match_cells", "without_tag"]


def match_cells(
    befores: Mapping[str, CellSummary], nows: Mapping[str, CellSummary]
) -> dict[str, str]:
    """Return new id -> base id of the cells that are the same but for the image's tag.

    Args:
        befores: Cells of the base by id.
        nows: Cells of the new run by id, whose order is kept.
    """
    pairs = {cell: cell for cell in nows if cell in befores}
    left_before = _by_all_but_tag(
        cell.record for cell in befores.values() if cell.record.cell not in pairs
    )
    left_now = _by_all_but_tag(
        cell.record for cell in nows.values() if cell.record.cell not in pairs
    )
    for key, cells in left_now.items():
        others = left_before.get(key, [])
        if len(cells) == 1 and len(others) == 1:
            pairs[cells[0]] = others[0]
    return {cell: pairs[cell] for cell in nows if cell in pairs}


def _by_all_but_tag(cells: Iterable[CellRecord]) -> dict[tuple[str, ...], list[str]]:
    found: dict[tuple[str, ...], list[str]] = {}
    for cell in cells:
        image = without_tag(cell.image)
        key = (cell.hardware, image, cell.model, cell.dtype, cell.variant)
        found.setdefault(key, []).append(cell.cell)
    return found


def without_tag(image: str) -> str:
    """Return an image's name without tag, digest and version.

    Example:
        >>> without_tag("host:5000/org/vllm:v0.32.0")
        'host:5000/org/vllm'
    """
    repository = image.partition("@")[0].partition("==")[0]
    head, colon, tail = repository.rpartition(":")
    # A colon before a slash is a registry's port, and venv: and external: are kinds.
    return head if colon and "/" not in tail and head not in {"venv", "external"} else repository
