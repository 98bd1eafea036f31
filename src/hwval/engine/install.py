"""Runs the commands of an installation: tells what they do, and says why they failed.

Separate from ``hwval.engine.environment``, which decides what is installed and when it counts.
"""

from __future__ import annotations

import re
import subprocess
from collections import deque
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from queue import SimpleQueue
from threading import Thread
from typing import IO
from typing import Final

from hwval.clock import Stopwatch
from hwval.errors import HostError

__all__ = ["InstallStep", "Progress", "install_failure", "run_step"]

# pip names 150 packages in a few seconds; more than one line in this time reads as noise.
_REPORT_EVERY_S: Final = 2.0
# A download of 200 MB prints nothing while it runs.
_HEARTBEAT_S: Final = 10.0
_KEPT_LINES: Final = 25
_ACTIVITY: Final = re.compile(
    r"\s*((?:Collecting|Downloading|Downloaded|Using cached|Building|Installing|Installed|"
    r"Resolved|Prepared|Successfully installed)\b.{0,60})"
)
_DISK_FULL: Final = ("No space left on device", "os error 28", "Disk quota exceeded")
_NO_TORCH: Final = re.compile(r"No matching distribution found for (torch==\S+)")
_NO_LIBRARY: Final = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file")
_DEBIAN_PACKAGES: Final = {"libnuma.so.1": "libnuma1", "libgomp.so.1": "libgomp1"}

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class InstallStep:
    """One command of the installation.

    Attributes:
        label: What it does, for progress and errors.
        argv: The command.
        required: Whether the environment is useless if it fails.
        otherwise: Command to try when ``argv`` fails, None if there is none.
    """

    label: str
    argv: tuple[str, ...]
    required: bool = True
    otherwise: tuple[str, ...] | None = None


def run_step(step: InstallStep, title: str, env: Path, progress: Progress) -> None:
    """Run a step, telling what it does at most every two and at least every ten seconds.

    Args:
        step: What to run.
        title: Begins each progress line.
        env: The environment being made, for the error.
        progress: Called with each line.

    Raises:
        HostError: The step is required and failed; the note holds the last lines of its output.
    """
    progress(title)
    returncode, tail = _run_command(step.argv, title, progress)
    if returncode and step.otherwise:
        progress(f"{title}: {Path(step.argv[0]).name} failed, trying another way")
        returncode, tail = _run_command(step.otherwise, title, progress)
    if returncode and step.required:
        raise _step_error(step, env, returncode, tail)


def install_failure(
    env: Path, observed: str, *, disk_full: bool, needed_bytes: int | None = None
) -> HostError:
    """Build the error for an environment that could not be made.

    Args:
        env: The environment.
        observed: What was seen.
        disk_full: Whether the disk is what lacks.
        needed_bytes: Free space that an installation takes, None if that is not the point.
    """
    expected = f", expected at least {needed_bytes / 1e9:.1f} GB" if needed_bytes else ""
    remedy = (
        f"Free space on the disk of {env.parent} or choose another cache folder"
        if disk_full
        else f"Check that {env.parent} can be written and try again"
    )
    return HostError(f"make the vLLM environment {env.name}: {observed}{expected}. {remedy}.")


def _step_error(step: InstallStep, env: Path, returncode: int, tail: Sequence[str]) -> HostError:
    text = "\n".join(tail)
    missing = _NO_TORCH.search(text)
    library = _NO_LIBRARY.search(text)
    if any(sign in text for sign in _DISK_FULL):
        error = install_failure(env, f"the disk became full ({step.label})", disk_full=True)
    elif missing:
        error = HostError(
            f"make the vLLM environment {env.name}: pip finds no {missing[1]}, expected PyTorch's "
            f"CPU build. Point pip at PyTorch's CPU index with PIP_EXTRA_INDEX_URL "
            f"(see pytorch.org, Start Locally)."
        )
    elif library:
        package = _DEBIAN_PACKAGES.get(library[1], "the package that holds it")
        error = HostError(
            f"make the vLLM environment {env.name}: this host has no {library[1]}, which vLLM "
            f"links to. Install {package}, on Debian with apt-get."
        )
    else:
        error = HostError(
            f"make the vLLM environment {env.name}: {step.label!r} ended with exit code "
            f"{returncode}, expected 0. Its last lines follow; check network and pip settings."
        )
    error.add_note(text)
    return error


def _run_command(argv: Sequence[str], title: str, progress: Progress) -> tuple[int, list[str]]:
    """Run a command, tell what it does, and return its exit code and last lines."""
    tail = deque[str](maxlen=_KEPT_LINES)
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except FileNotFoundError as error:
        return 127, [str(error)]
    with process:
        try:
            _follow(_lines(process.stdout), tail, title, progress)
        except BaseException:
            process.kill()  # Ctrl-C shall not leave an installer at work
            raise
    return process.returncode, list(tail)


def _follow(lines: Iterator[str | None], tail: deque[str], title: str, progress: Progress) -> None:
    watch, activity, told_s = Stopwatch(), "working", 0.0
    for line in lines:
        found = _ACTIVITY.match(line or "")
        if found:
            activity = found[1].partition(" (from ")[0].strip()
        if line and line.strip():
            tail.append(line.rstrip())
        elapsed_s = watch.elapsed_s
        if elapsed_s - told_s >= (_REPORT_EVERY_S if found else _HEARTBEAT_S):
            progress(f"{title}: {activity} ({elapsed_s:.0f} s)")
            told_s = elapsed_s


def _lines(stream: IO[bytes] | None) -> Iterator[str | None]:
    """Yield each line as it comes, None whenever a heartbeat passes without one."""
    queue: SimpleQueue[bytes | None] = SimpleQueue()
    Thread(target=_pump, args=(stream, queue), daemon=True).start()
    while True:
        try:
            line = queue.get(timeout=_HEARTBEAT_S)
        except Empty:
            yield None
            continue
        if line is None:
            return
        yield line.decode(errors="replace")


def _pump(stream: IO[bytes] | None, queue: SimpleQueue[bytes | None]) -> None:
    for line in stream or ():
        queue.put(line)
    queue.put(None)
