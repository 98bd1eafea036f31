"""Runs a task in a process of its own and turns its end into a score or an error.

The process imports lm-evaluation-harness, which this one never does.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from tempfile import gettempdir
from typing import Final

from hwval.accuracy.job import DATA_ONLY
from hwval.accuracy.job import KEY_VARIABLE
from hwval.accuracy.job import WORK_PREFIX
from hwval.accuracy.job import Data
from hwval.accuracy.job import Job
from hwval.accuracy.job import News
from hwval.accuracy.job import Score
from hwval.accuracy.job import Setback
from hwval.accuracy.job import Trouble
from hwval.accuracy.job import read_message
from hwval.clock import utc_now
from hwval.errors import EngineUnreachable
from hwval.errors import HwvalError
from hwval.errors import LabError
from hwval.errors import RequestRefused
from hwval.errors import ResponseError
from hwval.errors import UsageError

__all__ = ["LOG_FILE", "look_at_data", "run_task", "work_folder"]

LOG_FILE: Final = "harness.log"
_JOB_FILE: Final = "job.json"
_CHUNK_BYTES: Final = 2**16
# A job writes far more often: an older folder is nobody's any more.
_FORGOTTEN_S: Final = 86_400.0
_ERRORS: Final[dict[Trouble, type[HwvalError]]] = {
    Trouble.MISSING: LabError,
    Trouble.TASK: UsageError,
    Trouble.DATASET: LabError,
    Trouble.UNREACHABLE: EngineUnreachable,
    Trouble.STATUS: RequestRefused,
    Trouble.REFUSED: ResponseError,
    Trouble.HARNESS: HwvalError,
}


@contextmanager
def work_folder() -> Iterator[Path]:
    """Give a folder for the files of a job, gone behind the block or the death of this process.

    The process that asks removes it then; if that was killed too, a job of another day does.
    """
    for left in Path(gettempdir()).glob(f"{WORK_PREFIX}*"):
        with suppress(OSError):  # of another user, or gone meanwhile
            times = [path.stat().st_mtime for path in (left, *left.iterdir())]
            if utc_now().timestamp() - max(times) > _FORGOTTEN_S:
                shutil.rmtree(left)
    with TemporaryDirectory(prefix=WORK_PREFIX) as folder:
        yield Path(folder)


def run_task(
    job: Job,
    *,
    api_key: str,
    tell: Callable[[News], None],
    python: str = sys.executable,
    patience_s: float = 1800.0,
    exit_s: float = 30.0,
) -> Score:
    """Ask a task's questions and return its score; what was answered is in the job's folder.

    Args:
        job: What to ask of whom; its folder must be there.
        api_key: Key of the server, passed by the environment; empty for none.
        tell: Told of every answer.
        python: Interpreter that has hwval and lm-evaluation-harness.
        patience_s: Longest silence beside the wait for an answer, seconds; data may come from the
            Hub meanwhile.
        exit_s: Longest time that the process may take to end after its last word, seconds; what it
            said counts all the same.

    Raises:
        LabError: lm-evaluation-harness or the data are missing, or the data are other ones.
        UsageError: The task is not what the matrix takes it for.
        EngineUnreachable: The server gave no answer.
        RequestRefused: The server answered with the status of an error.
        ResponseError: The server answered, but not in the agreed form.
        HwvalError: lm-evaluation-harness failed or hung.
    """
    folder = Path(job.out_dir)
    log_path, job_path = folder / LOG_FILE, folder / _JOB_FILE
    job_path.write_text(job.to_json(), "utf-8")
    with (
        log_path.open("wb") as log,
        subprocess.Popen(
            [python, "-P", "-m", "hwval.accuracy.harness", str(job_path)],
            stdin=subprocess.PIPE,  # nothing is written: its end tells that this process is dead
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | {KEY_VARIABLE: api_key},
            start_new_session=True,
        ) as process,
    ):
        try:
            end, last = _follow(process, tell, silence_s=job.answer_s + patience_s)
            with suppress(subprocess.TimeoutExpired):
                process.wait(exit_s)
        finally:
            _kill_family(process)
            job_path.unlink()
    if isinstance(end, Score):
        return end
    raise _error(job, end or _died(process.returncode, log_path, last))


def look_at_data(
    jobs: Sequence[Job],
    *,
    offline: bool,
    python: str = sys.executable,
    silence_s: float = 120.0,
) -> list[Data | Setback | None]:
    """Return what is known of the questions of jobs before any server is; asks nothing.

    Args:
        jobs: What would be asked; servers and files of results in them do not matter.
        offline: Whether only what this host has counts, and the Hub is left alone.
        python: Interpreter that has hwval and lm-evaluation-harness.
        silence_s: Longest wait for a job's data, seconds.

    Returns:
        For each job its data, or why they cannot be had; None where the process died or hung.
    """
    network = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} if offline else {}
    found: list[Data | Setback | None] = []
    with work_folder() as folder:
        job_path = folder / _JOB_FILE
        job_path.write_text("".join(job.to_json() + "\n" for job in jobs), "utf-8")
        with subprocess.Popen(
            [python, "-P", "-m", "hwval.accuracy.harness", str(job_path), DATA_ONLY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | network,
            start_new_session=True,
        ) as process:
            try:
                for line in _lines(process, silence_s):
                    if line is None or len(found) == len(jobs):
                        break
                    message = read_message(line)
                    found.append(message if isinstance(message, Data | Setback) else None)
            finally:
                _kill_family(process)
    return [*found, *[None] * (len(jobs) - len(found))]


def _follow(
    process: subprocess.Popen[bytes], tell: Callable[[News], None], *, silence_s: float
) -> tuple[Score | Setback | None, News | None]:
    """Return the last word of a process, and its last news.

    Where it died there is no last word; where it said nothing for too long, that is its last one.
    """
    last: News | None = None
    for line in _lines(process, silence_s):
        if line is None:
            text = f"its process said nothing for {silence_s:.0f} s and was ended"
            return _setback(text, last), last
        try:
            message = read_message(line)
        except ValueError:
            continue  # cut off by the death that the end of the stream will tell
        if isinstance(message, Score | Setback):
            return message, last
        if isinstance(message, News):
            last = message
            tell(message)
    return None, last


def _lines(process: subprocess.Popen[bytes], silence_s: float) -> Iterator[str | None]:
    """Yield what a process says, None once it is silent for too long."""
    assert process.stdout is not None  # noqa: S101 - for the type checker
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(silence_s):
                yield None
                return
            data = os.read(process.stdout.fileno(), _CHUNK_BYTES)
            if not data:
                return
            *lines, said = (said + data).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in lines)


def _kill_family(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started, which may hold its streams open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _died(exit_code: int, log_path: Path, last: News | None) -> Setback:
    lines = log_path.read_text("utf-8", "replace").splitlines()
    said = next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
    return _setback(f"its process ended with exit code {exit_code}: {said}", last)


def _setback(text: str, last: News | None) -> Setback:
    answered, questions = (last.answered, last.questions) if last is not None else (0, 0)
    return Setback(Trouble.HARNESS, text, answered, questions)


def _error(job: Job, end: Setback) -> HwvalError:
    kept = "; the answers are kept, and the next run asks the rest" if job.answers_file else ""
    so_far = f" ({end.answered} of {end.questions} questions answered{kept})"
    return _ERRORS[end.trouble](f"{job.name}: {end.text}{so_far if end.answered else ''}")
