"""How far a task is, for people."""

from __future__ import annotations

from hwval.accuracy.job import News
from hwval.clock import Stopwatch
from hwval.stats import wilson_interval
from hwval.units import format_duration_s

__all__ = ["Pace"]


class Pace:
    """Tells the news of a task in a line, with the time that is left at the pace so far.

    Args:
        label: Name of the task in the matrix.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._watch: Stopwatch | None = None

    def text(self, news: News) -> str:
        """Return questions done, accuracy so far with its 95 % interval, and time left."""
        parts = [f"{self._label}: {news.answered} of {news.questions} questions"]
        if news.answered:
            share = wilson_interval(news.right, news.answered)
            parts.append(f"{share.mean:.1%} right so far ({share.low:.1%} to {share.high:.1%})")
        if news.reused:
            parts.append(f"{news.reused} from an interrupted run")
        fresh = news.answered - news.reused
        if fresh and self._watch is None:
            self._watch = Stopwatch()  # the first answer also waited for imports and prompts
        elif fresh > 1 and self._watch is not None:
            left_s = self._watch.elapsed_s / (fresh - 1) * (news.questions - news.answered)
            parts.append(f"about {format_duration_s(left_s)} left")
        return " · ".join(parts)
