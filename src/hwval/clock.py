"""The one place that asks what time it is, so that tests can hold the clock.

Durations and deadlines are measured on the monotonic clock; wall-clock time is only for people
and file names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from dataclasses import field
from datetime import UTC
from datetime import datetime

__all__ = ["Stopwatch", "monotonic_s", "sleep", "utc_now"]


def monotonic_s() -> float:
    """Return seconds on a clock that never goes back; only differences have a meaning."""
    return time.monotonic()


def sleep(duration_s: float) -> None:
    """Wait for ``duration_s`` seconds (>= 0)."""
    time.sleep(duration_s)


def utc_now() -> datetime:
    """Return the wall-clock time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Measures from its creation on."""

    started_s: float = field(default_factory=lambda: monotonic_s())  # noqa: PLW0108 - found anew, so tests can hold it

    @property
    def elapsed_s(self) -> float:
        """Seconds since creation."""
        return monotonic_s() - self.started_s
