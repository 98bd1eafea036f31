"""Runs a task in a process of its own and turns its end into a score or an error.

The process imports lm-evaluation-harness, which this one never does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hwval.accuracy.job import KEY_VARIABLE
from hwval.accuracy.job import Job
from hwval.accuracy.job import News
from hwval.accuracy.job import Score
from hwval.accuracy.job import Setback
from hwval.accuracy.job import Trouble
from hwval.accuracy.job import read_message
from hwval.errors import EngineUnreachable
from hwval.errors import HwvalError
from hwval.errors import LabError
from hwval.errors import ResponseError
from hwval.errors import UsageError

__all__ = ["LOG_FILE", "run_task"]

LOG_FILE: Final = "harness.log"
_ERRORS: Final[dict[Trouble, type[HwvalError]]] = {
    Trouble.MISSING: LabError,
    Trouble.TASK: UsageError,
    Trouble.DATASET: LabError,
    Trouble.UNREACHABLE: EngineUnreachable,
    Trouble.REFUSED: ResponseError,
    Trouble.HARNESS: HwvalError,
}


def run_task(
    job: Job, *, api_key: str, tell: Callable[[News], None], python: str = sys.executable
) -> Score:
    """Ask a task's questions and return its score; what was answered is in the job's folder.

    Args:
        job: What to ask of whom; its folder must be there.
        api_key: Key of the server, passed by the environment; empty for none.
        tell: Told of every answer.
        python: Interpreter that has hwval and lm-evaluation-harness.

    Raises:
        LabError: lm-evaluation-harness or the data are missing, or the data are other ones.
        UsageError: The task is not what the matrix takes it for.
        EngineUnreachable: The server gave no answer.
        ResponseError: The server answered with an error.
        HwvalError: lm-evaluation-harness failed.
    """
    log_path = Path(job.out_dir) / LOG_FILE
    with (
        log_path.open("wb") as log,
        subprocess.Popen(
            [python, "-P", "-m", "hwval.accuracy.harness"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            env=os.environ | {KEY_VARIABLE: api_key},
        ) as process,
    ):
        try:
            end = _follow(process, job, tell)
        finally:
            process.kill()
    if isinstance(end, Score):
        return end
    raise _error(job, end or _died(process.returncode, log_path))


def _follow(
    process: subprocess.Popen[str], job: Job, tell: Callable[[News], None]
) -> Score | Setback | None:
    """Return the last word of the process, None if it died without one."""
    assert process.stdin is not None  # noqa: S101 - for the type checker
    try:
        process.stdin.write(job.to_json())
        process.stdin.close()
    except BrokenPipeError:
        return None  # its log says why
    for message in _messages(process):
        if not isinstance(message, News):
            process.wait()
            return message
        tell(message)
    process.wait()
    return None


def _messages(process: subprocess.Popen[str]) -> Iterator[News | Score | Setback]:
    assert process.stdout is not None  # noqa: S101 - for the type checker
    for line in process.stdout:
        try:
            yield read_message(line)
        except ValueError:
            continue  # cut off by the death that the end of the stream will tell


def _died(exit_code: int, log_path: Path) -> Setback:
    lines = log_path.read_text("utf-8", "replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
    return Setback(Trouble.HARNESS, f"its process ended with exit code {exit_code}: {last}")


def _error(job: Job, end: Setback) -> HwvalError:
    so_far = f" ({end.answered} of {end.questions} questions answered)" if end.answered else ""
    return _ERRORS[end.trouble](f"task {job.task}: {end.text}{so_far}")
