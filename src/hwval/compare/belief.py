"""Which differences are believed: among many comparisons some look sure by chance."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from hwval.compare.change import CellChange
from hwval.compare.change import Change
from hwval.compare.change import SpeedChange
from hwval.stats import discoveries
from hwval.threshold import METRICS

__all__ = ["believed"]

_FALSE_FINDINGS: Final = 0.05


def believed(cells: Collection[CellChange], least_change: float) -> Iterator[CellChange]:
    """Decide which differences to believe, over everything that was compared at once.

    Args:
        cells: All cells, their measurements not judged yet.
        least_change: Smallest change of speed that is called one, as a share, >= 0.
    """
    speed = [one for cell in cells for one in cell.speed]
    accuracy = [one for cell in cells for one in cell.accuracy]
    sure_speed = iter(discoveries([one.p_value for one in speed], _FALSE_FINDINGS))
    sure_accuracy = iter(discoveries([one.p_value for one in accuracy], _FALSE_FINDINGS))
    for cell in cells:
        yield replace(
            cell,
            speed=tuple(
                replace(one, change=_speed_word(one, least_change)) if next(sure_speed) else one
                for one in cell.speed
            ),
            accuracy=tuple(
                replace(one, change=Change.WORSE if one.lost > one.won else Change.BETTER)
                if next(sure_accuracy)
                else one
                for one in cell.accuracy
            ),
        )


def _speed_word(one: SpeedChange, least_change: float) -> Change:
    if max(one.ratio, 1 / one.ratio) < 1 + least_change:
        return Change.SAME
    is_better = (one.ratio > 1) == METRICS[one.metric].higher_is_better
    return Change.BETTER if is_better else Change.WORSE
