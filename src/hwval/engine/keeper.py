"""Runs one command and sees to it that nothing of it outlives the process that asked for it.

A script of its own, with the standard library alone, because ``kill -9`` leaves no time to clean
up: this process notices that its parent is gone by the end of a pipe that nobody writes to. It
adopts processes that the command splits off, so that they cannot get away either.

    python -I -S keeper.py LIFELINE CPUS COMMAND [ARGUMENT...]

LIFELINE is the descriptor of the pipe's reading end; CPUS is a list such as ``0,1``, ``-`` for
any. The exit status is the command's, 128 + N if signal N ended it.

Source: prctl(2) PR_SET_CHILD_SUBREAPER (Linux 3.4); proc_pid_stat(5), field 4 (parent).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time  # noqa: TID251 - runs alone, without hwval
from pathlib import Path
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
# What a server gets to remove its shared memory and sockets after its user is gone.
_GRACE_S: Final = 5.0
_POLL_S: Final = 0.05
_EXIT_NO_COMMAND: Final = 127


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    lifeline, cpus, *command = arguments
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if cpus != "-":
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    # Signals to the group are for the command. A handler, unlike SIG_IGN, is not inherited.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return _EXIT_NO_COMMAND
    is_ending = threading.Event()
    guard = threading.Thread(target=_guard, args=(int(lifeline), child, is_ending), daemon=True)
    guard.start()
    status = child.wait()
    if is_ending.is_set():
        guard.join()  # others may live on; the guard ends this process after them
    return 128 - status if status < 0 else status


def _guard(lifeline: int, child: subprocess.Popen[bytes], is_ending: threading.Event) -> None:
    """Wait for the end of the pipe, then end everything, this process last."""
    with contextlib.suppress(OSError):
        os.read(lifeline, 1)
    is_ending.set()
    child.send_signal(signal.SIGTERM)
    deadline_s = time.monotonic() + _GRACE_S
    while time.monotonic() < deadline_s and _descendants(os.getpid()):
        time.sleep(_POLL_S)
    while pids := _descendants(os.getpid()):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_S)
    os._exit(1)


def _descendants(root: int) -> list[int]:
    """Return the living processes below ``root``; those that only wait to be collected are dead."""
    parents = dict(filter(None, (_parent(path) for path in Path("/proc").glob("[0-9]*"))))
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _parent(folder: Path) -> tuple[int, int] | None:
    try:
        text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, parent = text.rpartition(")")[2].split()[:2]
    return None if state in "ZX" else (int(folder.name), int(parent))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
