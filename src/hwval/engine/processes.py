"""Knows which processes belong to an engine, counts what they use, and ends them all.

An engine splits off workers that may outlive it. They are found by the session that they were
started in, by descent, and by a token in their environment; a worker that leaves one of the three
is still found by the others. A record on disk lets the next start find what ``kill -9`` left.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from hwval import clock

__all__ = [
    "TOKEN_VARIABLE",
    "EngineProcesses",
    "cpu_seconds",
    "end_processes",
    "find_processes",
    "reap_processes",
]

TOKEN_VARIABLE: Final = "HWVAL_ENGINE"  # noqa: S105 - a name, and what it holds is no secret
_FOLDER: Final = "processes"
# The kernel counts start times in ticks of 10 ms, psutil turns them into seconds.
_SAME_START_S: Final = 0.05
_POLL_S: Final = 0.05
# A process that the kernel cannot end (waiting for a device) must not hold up the others for ever.
_KILL_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class EngineProcesses:
    """What is needed to find all processes of one engine again.

    Attributes:
        name: For messages, for example the cell id.
        leader: Process id of the first process, which is its session id too.
        leader_started_s: When it was started, as psutil tells.
        owner: Process id of the run that started it.
        owner_started_s: When that was started.
        token: Value of ``TOKEN_VARIABLE`` in the environment of the engine.
    """

    name: str
    leader: int
    leader_started_s: float
    owner: int
    owner_started_s: float
    token: str

    @classmethod
    def of_child(cls, name: str, pid: int, token: str) -> EngineProcesses:
        """Return the processes of an engine that this process has just started as ``pid``."""
        owner = psutil.Process()
        return cls(
            name, pid, psutil.Process(pid).create_time(), owner.pid, owner.create_time(), token
        )

    def save(self, cache_dir: Path) -> None:
        """Write the record that ``reap_processes`` reads."""
        path = self._path(cache_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")
        partial.replace(path)

    def forget(self, cache_dir: Path) -> None:
        """Remove the record."""
        self._path(cache_dir).unlink(missing_ok=True)

    def _path(self, cache_dir: Path) -> Path:
        return cache_dir / _FOLDER / f"{self.leader}-{self.token}.json"


def find_processes(engine: EngineProcesses) -> list[psutil.Process]:
    """Return the living processes of an engine; those that only wait to be collected are dead."""
    leader = _process(engine.leader, engine.leader_started_s)
    found = {process.pid: process for process in _members(engine)}
    if leader is not None:
        with suppress(psutil.Error):
            family = (leader, *leader.children(recursive=True))
            found.update((process.pid, process) for process in family)
    return [process for process in found.values() if _lives(process)]


def cpu_seconds(engine: EngineProcesses) -> float:
    """Return the processor seconds of an engine's living processes and their dead children."""
    total_s = 0.0
    for process in find_processes(engine):
        with suppress(psutil.Error):  # it ended between the two looks
            times = process.cpu_times()
            total_s += times.user + times.system + times.children_user + times.children_system
    return total_s


def end_processes(engine: EngineProcesses, *, grace_s: float) -> bool:
    """End all processes of an engine: SIGTERM to all, SIGKILL to what is left after ``grace_s``.

    Args:
        engine: The engine.
        grace_s: Seconds >= 0 between the two; 0 kills at once.

    Returns:
        Whether all of them are gone.
    """
    if grace_s and _signal_all(engine, signal.SIGTERM) and _gone_within(engine, grace_s):
        return True
    watch = clock.Stopwatch()
    while _signal_all(engine, signal.SIGKILL):
        if watch.elapsed_s > _KILL_TIMEOUT_S:
            return False
        clock.sleep(_POLL_S)
    return True


def reap_processes(cache_dir: Path) -> list[str]:
    """End the engines of runs on this machine that died, and nothing else.

    Args:
        cache_dir: Folder that the records are kept in.

    Returns:
        A line for each engine of which something still lived.
    """
    removed = []
    for path in sorted((cache_dir / _FOLDER).glob("*.json")):
        engine = _read(path)
        if engine is None or _process(engine.owner, engine.owner_started_s) is not None:
            continue
        count = len(find_processes(engine))
        if count:
            end_processes(engine, grace_s=5.0)
            removed.append(f"{engine.name} (pid {engine.leader}, {count} processes)")
        engine.forget(cache_dir)
    return removed


def _read(path: Path) -> EngineProcesses | None:
    try:
        return EngineProcesses(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # removed by another run meanwhile, or of another version: not ours to judge


def _members(engine: EngineProcesses) -> Iterator[psutil.Process]:
    """Yield what runs in the engine's session or carries its token."""
    # The number may have been given out again, and with it the session.
    is_reused = psutil.pid_exists(engine.leader) and not _process(
        engine.leader, engine.leader_started_s
    )
    for pid in psutil.pids():
        with suppress(psutil.Error, OSError):
            if (not is_reused and os.getsid(pid) == engine.leader) or _has_token(pid, engine.token):
                yield psutil.Process(pid)


def _has_token(pid: int, token: str) -> bool:
    try:
        return f"{TOKEN_VARIABLE}={token}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False  # it ended, or belongs to another user


def _process(pid: int, started_s: float) -> psutil.Process | None:
    """Return the process ``pid`` if it is the one that was started then."""
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - started_s) <= _SAME_START_S
        return process if is_same and _lives(process) else None
    except psutil.Error:
        return None


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _signal_all(engine: EngineProcesses, number: signal.Signals) -> bool:
    """Send a signal to every process of an engine; return whether there was one."""
    processes = find_processes(engine)
    for process in processes:
        with suppress(psutil.Error):  # it ended meanwhile
            process.send_signal(number)
    return bool(processes)


def _gone_within(engine: EngineProcesses, timeout_s: float) -> bool:
    watch = clock.Stopwatch()
    while find_processes(engine):
        if watch.elapsed_s > timeout_s:
            return False
        clock.sleep(_POLL_S)
    return True
