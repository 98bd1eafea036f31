"""Watches the load generator itself: was it the limit of what it measured?

Three signs, each of which makes arrival times later than the arrivals: a full core, a loop that
comes late to its own timers, and a core that the kernel gave to somebody else.
"""

from __future__ import annotations

import asyncio
import re
import resource
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hwval.load.wire import monotonic_ns

__all__ = ["Health", "HealthWatch"]

_TICK_S: Final = 0.01
_SCHEDSTAT: Final = Path("/proc/self/schedstat")
_STATUS: Final = Path("/proc/self/status")
_PEAK: Final = re.compile(rb"^VmHWM:\s*(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Health:
    """How one process of the generator fared during the measured time.

    Attributes:
        wall_s: Length of that time.
        cpu_s: Processor time that it used.
        starved_s: Time that it was ready to run but had no core; None where the kernel does not
            tell.
        lags_ns: How late the loop came to timers, one every 10 ms.
        peak_memory_bytes: Most memory that the process has had so far; 0 if that is not told.
        late_connections: Connections that were opened while the clock ran.
        resent_requests: Requests that met a connection which the server had just closed, and went
            over another one.
    """

    wall_s: float
    cpu_s: float
    starved_s: float | None
    lags_ns: array[int]
    peak_memory_bytes: int = 0
    late_connections: int = 0
    resent_requests: int = 0


class HealthWatch:
    """Takes the signs from its creation until it is stopped; needs a running loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lags_ns = array("q")
        self._started_ns = monotonic_ns()
        self._cpu_s = _cpu_s()
        self._starved_s = _starved_s()
        self._arm()

    def stop(self, *, late_connections: int, resent_requests: int) -> Health:
        """Return what was seen."""
        self._timer.cancel()
        starved_s = _starved_s()
        return Health(
            wall_s=(monotonic_ns() - self._started_ns) / 1e9,
            cpu_s=_cpu_s() - self._cpu_s,
            starved_s=(
                None
                if starved_s is None or self._starved_s is None
                else starved_s - self._starved_s
            ),
            lags_ns=self._lags_ns,
            peak_memory_bytes=_peak_memory_bytes(),
            late_connections=late_connections,
            resent_requests=resent_requests,
        )

    def _arm(self) -> None:
        self._due_ns = monotonic_ns() + int(_TICK_S * 1e9)
        self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        self._lags_ns.append(max(0, monotonic_ns() - self._due_ns))
        self._arm()


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_memory_bytes() -> int:
    """Return the most memory that this process has had.

    The kernel's ``ru_maxrss`` would do, but a process begins with that of the one that started it,
    however large (getrusage(2) and exec in the Linux kernel).

    Source: proc_pid_status(5), VmHWM.
    """
    peak = _PEAK.search(_STATUS.read_bytes())
    return int(peak[1]) * 1024 if peak else 0


def _starved_s() -> float | None:
    """Return the time spent waiting for a core.

    Source: Documentation/scheduler/sched-stats.rst of the Linux kernel, /proc/<pid>/schedstat.
    """
    try:
        return int(_SCHEDSTAT.read_text("ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
