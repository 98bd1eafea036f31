"""Waits until an engine takes requests, or says why it never will.

Each look asks the process and the endpoint, so that a death is known at once and not when the
deadline is over. At the deadline the log and the processor time tell a hang from slow work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final
from typing import TypeVar

from hwval import clock
from hwval.client import probe_ready
from hwval.engine.base import Engine
from hwval.engine.base import EngineState
from hwval.engine.startup import current_phase
from hwval.engine.startup import split_lines
from hwval.errors import EngineExited
from hwval.errors import EngineStartTimeout
from hwval.units import format_duration_s

__all__ = ["WaitProgress", "wait_until_ready"]

WaitProgress = Callable[[str, float, float | None], None]
"""Called with what the engine is doing, the seconds since the start and the limit in seconds."""

_REPORT_EVERY_S: Final = 1.0
# Long enough that a slow disk or a swapped-out process shows some sign of life in it.
_ACTIVITY_WINDOW_S: Final = 30.0
# A waiting server wakes up now and then; measured on vLLM 0.32 (CPU): 0.5 to 2 % of a core.
_IDLE_CORES: Final = 0.05
_KEPT_LINES: Final = 200
_NOTED_LINES: Final = 20
_E = TypeVar("_E", bound=Exception)
_PORT_TAKEN: Final = ("address already in use", "errno 98")


def wait_until_ready(
    engine: Engine,
    *,
    cell_id: str,
    deadline_s: float,
    progress: WaitProgress | None = None,
    poll_s: float = 0.25,
) -> float:
    """Return the seconds that passed until the engine took requests.

    Args:
        engine: A started engine.
        cell_id: For messages.
        deadline_s: Seconds > 0 from now on in which it must be ready.
        progress: Told about once a second what the engine is doing.
        poll_s: Seconds > 0 between two looks.

    Raises:
        EngineExited: It died first; a note holds the end of its log.
        EngineStartTimeout: It lived and was not ready; the message tells a hang from slow work.
    """
    started_s = clock.monotonic_s()
    activity = _Activity(engine.log_path)
    reported_s = -_REPORT_EVERY_S
    while True:
        state = engine.state()
        elapsed_s = clock.monotonic_s() - started_s
        activity.update(elapsed_s, state)
        if not state.running:
            raise _exited(cell_id, state, activity, elapsed_s, deadline_s)
        if probe_ready(engine.endpoint()):
            return clock.monotonic_s() - started_s
        if elapsed_s >= deadline_s:
            raise _timed_out(cell_id, activity, elapsed_s, deadline_s)
        if progress and elapsed_s - reported_s >= _REPORT_EVERY_S:
            progress(activity.phase, elapsed_s, deadline_s)
            reported_s = elapsed_s
        clock.sleep(poll_s)


class _Activity:
    """What moves in a starting engine: its log and its processor time."""

    def __init__(self, log_path: Path | None) -> None:
        self.log_path = log_path
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.last_growth_s = 0.0
        self._offset = 0
        self._partial = b""
        self._cpu: deque[tuple[float, float]] = deque()

    def update(self, elapsed_s: float, state: EngineState) -> None:
        """Read what was logged since the last look, and note the processor time."""
        if self._read_log():
            self.last_growth_s = elapsed_s
        if state.cpu_s is not None and state.running:
            self._cpu.append((elapsed_s, state.cpu_s))
            # One sample from before the window stays, so that the window is covered in full.
            while len(self._cpu) > 2 and self._cpu[1][0] <= elapsed_s - _ACTIVITY_WINDOW_S:
                self._cpu.popleft()

    @property
    def phase(self) -> str:
        """What the log says that the engine is doing; empty log: ``starting``."""
        unfinished = split_lines(self._partial.decode("utf-8", "replace"))
        return current_phase([*self.lines, *unfinished])

    @property
    def cpu(self) -> tuple[float, float] | None:
        """Processor seconds used lately and the seconds they were used in; None if unknown."""
        if len(self._cpu) < 2:
            return None
        (first_s, first_cpu_s), (last_s, last_cpu_s) = self._cpu[0], self._cpu[-1]
        return max(0.0, last_cpu_s - first_cpu_s), last_s - first_s

    def _read_log(self) -> bool:
        if self.log_path is None:
            return False
        try:
            with self.log_path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return False  # whoever streams the log has not made it yet
        self._offset += len(new)
        *complete, self._partial = (self._partial + new).split(b"\n")
        for line in complete:
            self.lines.extend(split_lines(line.decode("utf-8", "replace")))
        return bool(new)


def _exited(
    cell_id: str, state: EngineState, activity: _Activity, elapsed_s: float, deadline_s: float
) -> EngineExited:
    code = "an unknown code" if state.exit_code is None else f"code {state.exit_code}"
    memory = ", killed by the kernel for memory" if state.oom_killed else ""
    taken = any(word in line.lower() for line in activity.lines for word in _PORT_TAKEN)
    port = "; its port is in use by another process" if taken else ""
    error = EngineExited(
        f"start the engine for {cell_id}: exited with {code}{memory} after "
        f"{format_duration_s(elapsed_s)} while {activity.phase}{port}, expected it ready within "
        f"{format_duration_s(deadline_s)}.{_see(activity.log_path)}",
        exit_code=state.exit_code,
        oom_killed=state.oom_killed,
    )
    return _with_tail(error, activity)


def _timed_out(
    cell_id: str, activity: _Activity, elapsed_s: float, deadline_s: float
) -> EngineStartTimeout:
    error = EngineStartTimeout(
        f"start the engine for {cell_id}: not ready after {format_duration_s(elapsed_s)} while "
        f"{activity.phase}, {_tell_hang(activity, elapsed_s)}, expected it ready within "
        f"{format_duration_s(deadline_s)}.{_see(activity.log_path)}"
    )
    return _with_tail(error, activity)


def _tell_hang(activity: _Activity, elapsed_s: float) -> str:
    silent_s = elapsed_s - activity.last_growth_s
    facts = []
    if activity.log_path is not None:
        facts.append(f"last log output {format_duration_s(silent_s)} ago")
    cpu = activity.cpu
    if cpu is not None:
        used_s, window_s = cpu
        facts.append(f"{used_s:.1f} CPU-s used in the last {format_duration_s(window_s)}")
    if not facts:
        return "with no log and no processor time to tell a hang from slow work"
    is_silent = activity.log_path is None or silent_s >= min(_ACTIVITY_WINDOW_S, elapsed_s / 2)
    is_idle = cpu is not None and cpu[0] <= _IDLE_CORES * cpu[1]
    if is_silent and is_idle:
        return f"hung ({', '.join(facts)})"
    if is_silent and cpu is None:
        return f"silent ({', '.join(facts)})"
    return f"still working ({', '.join(facts)})"


def _see(log_path: Path | None) -> str:
    return f" See {log_path}" if log_path else ""


def _with_tail(error: _E, activity: _Activity) -> _E:
    if activity.lines:
        tail = list(activity.lines)[-_NOTED_LINES:]
        error.add_note("\n".join(["end of the log:", *tail]))
    return error
