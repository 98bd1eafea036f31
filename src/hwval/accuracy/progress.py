"""How far a task is, for people."""

from __future__ import annotations

from typing import Final

from hwval.accuracy.job import News
from hwval.clock import Stopwatch
from hwval.stats import wilson_interval
from hwval.units import format_duration_s

__all__ = ["Pace"]

# Of a usual terminal, whose last column stays free.
_WIDTH: Final = 79
_LEAST_NAME: Final = 8


class Pace:
    """Tells the news of a task in a line, with the time that is left at the pace so far.

    Args:
        label: Name of the task in the matrix.

    Attributes:
        last: The last news, None so far.
    """

    def __init__(self, label: str) -> None:
        self.last: News | None = None
        self._label = label
        self._watch: Stopwatch | None = None

    def text(self, news: News) -> str:
        """Return questions done, accuracy so far with its 95 % interval, and time left.

        What a terminal of 80 columns has no room for is taken out of the name.
        """
        self.last = news
        parts = [f" {news.answered}/{news.questions}"]
        if news.answered:
            share = wilson_interval(news.right, news.answered)
            low, high = round(100 * share.low), round(100 * share.high)
            parts.append(f"{share.mean:.0%} right ({low}-{high} %)".replace("%", " %", 1))
        fresh = news.answered - news.reused
        if fresh and self._watch is None:
            self._watch = Stopwatch()  # the first answer also waited for imports and prompts
        elif fresh > 1 and self._watch is not None:
            left_s = self._watch.elapsed_s / (fresh - 1) * (news.questions - news.answered)
            parts.append(f"{format_duration_s(left_s)} left")
        if news.reused:
            parts.append(f"{news.reused} kept")
        rest = " · ".join(parts)
        return _shortened(self._label, max(_WIDTH - len(rest), _LEAST_NAME)) + rest


def _shortened(name: str, room: int) -> str:
    """Return a name without its middle where it does not fit: tasks differ at both ends."""
    if len(name) <= room:
        return name
    return f"{name[: room // 2]}…{name[len(name) - (room - 1 - room // 2) :]}"
