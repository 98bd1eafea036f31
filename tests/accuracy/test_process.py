"""The process that asks, played by small scripts: its news, its end, its death."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil
import pytest

from hwval.accuracy.job import KEY_VARIABLE
from hwval.accuracy.job import Job
from hwval.accuracy.job import News
from hwval.accuracy.job import Setback
from hwval.accuracy.job import Trouble
from hwval.accuracy.job import write_message
from hwval.accuracy.process import LOG_FILE
from hwval.accuracy.process import run_task
from hwval.accuracy.process import work_folder
from hwval.errors import EngineUnreachable
from hwval.errors import HwvalError
from hwval.errors import LabError
from hwval.errors import RequestRefused
from hwval.errors import ResponseError
from hwval.errors import UsageError
from tests.accuracy import served
from tests.accuracy.test_job import SCORE
from tests.engine.containers import poll_until


def script(folder: Path, code: str) -> str:
    """Return an interpreter that runs ``code`` whatever it is asked to run."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\nimport os, sys\n{code}\n", "utf-8")
    path.chmod(0o755)
    return str(path)


def is_gone(pid: int) -> bool:
    """Return whether a process has ended; one whose parent is dead may wait to be collected."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def job_in(folder: Path) -> Job:
    return Job(task="t", api="chat", base_url="http://x", model="m", out_dir=str(folder))


def test_a_folder_is_gone_behind_the_block_and_old_ones_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What killed runs left goes a day later; what is written to, and what is not ours, stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    day_s = 86_400
    ages_s = {"hwval-accuracy-dead": 2 * day_s, "hwval-accuracy-busy": 60, "others": 9 * day_s}
    for name, age_s in ages_s.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "partial.jsonl").write_text("{}\n", "utf-8")
        for path in (tmp_path / name / "partial.jsonl", tmp_path / name):
            os.utime(path, (time.time() - age_s,) * 2)
    with work_folder() as folder:
        (folder / "job.json").write_text("{}", "utf-8")
        during = {path.name for path in tmp_path.iterdir()}

    assert during == {"hwval-accuracy-busy", "others", folder.name}
    assert {path.name for path in tmp_path.iterdir()} == {"hwval-accuracy-busy", "others"}


def test_news_are_told_and_the_score_is_returned(tmp_path: Path) -> None:
    """The job comes as a file, the key in the environment and nowhere else."""
    news = News(1, 2, 1, 0)
    told: list[News] = []
    code = (
        "job = open(sys.argv[-1]).read()\n"
        f"assert '\"task\": \"t\"' in job and 'a-key' not in job + ' '.join(sys.argv)\n"
        f"assert os.environ[{KEY_VARIABLE!r}] == 'a-key'\n"
        "print('a library says hello')\n"
        f"print({write_message(news)!r})\nprint({write_message(SCORE)!r})"
    )
    found = run_task(
        job_in(tmp_path), api_key="a-key", tell=told.append, python=script(tmp_path, code)
    )

    assert found == SCORE
    assert told == [news]


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble.MISSING, LabError),
        (Trouble.DATASET, LabError),
        (Trouble.TASK, UsageError),
        (Trouble.UNREACHABLE, EngineUnreachable),
        (Trouble.STATUS, RequestRefused),
        (Trouble.REFUSED, ResponseError),
        (Trouble.HARNESS, HwvalError),
    ],
)
def test_a_setback_is_the_error_of_who_is_to_blame(
    tmp_path: Path, trouble: Trouble, kind: type[HwvalError]
) -> None:
    """With the task and what was answered before."""
    end = write_message(Setback(trouble, "it went wrong", 3, 12))
    python = script(tmp_path, f"print({end!r})")
    with pytest.raises(kind) as caught:
        run_task(job_in(tmp_path), api_key="", tell=lambda _: None, python=python)

    assert type(caught.value) is kind
    assert str(caught.value) == "task t: it went wrong (3 of 12 questions answered)"


def test_a_setback_tells_that_answers_are_kept(tmp_path: Path) -> None:
    """Where they are: whoever reads it need not fear for them."""
    python = script(tmp_path, f"print({write_message(Setback(Trouble.STATUS, 'no', 136, 500))!r})")
    job = dataclasses.replace(job_in(tmp_path), answers_file=str(tmp_path / "answers"))
    with pytest.raises(RequestRefused) as caught:
        run_task(job, api_key="", tell=lambda _: None, python=python)

    assert str(caught.value) == (
        "task t: no (136 of 500 questions answered; the answers are kept, and the next run asks "
        "the rest)"
    )


def test_a_task_under_another_name_is_told_by_both(tmp_path: Path) -> None:
    """One task may stand in a matrix several times."""
    python = script(tmp_path, f"print({write_message(Setback(Trouble.TASK, 'no'))!r})")
    job = dataclasses.replace(job_in(tmp_path), label="few")
    with pytest.raises(UsageError, match=r"^few \(t\): no$"):
        run_task(job, api_key="", tell=lambda _: None, python=python)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("print('boom', file=sys.stderr); sys.exit(3)", "exit code 3: boom"),
        ("os.kill(os.getpid(), 9)", "exit code -9: its log is empty"),
        (f"print({write_message(News(1, 2, 1, 0))[:20]!r})", "exit code 0"),
    ],
    ids=["exit", "kill", "cut"],
)
def test_a_death_without_a_word_is_told_by_its_log(tmp_path: Path, code: str, problem: str) -> None:
    """The last line of the log says most."""
    with pytest.raises(HwvalError, match=f"task t: its process ended with {problem}"):
        run_task(job_in(tmp_path), api_key="", tell=lambda _: None, python=script(tmp_path, code))

    assert (tmp_path / LOG_FILE).exists()


def test_an_end_that_hangs_is_cut_short(tmp_path: Path) -> None:
    """The last word counts; what still holds the streams open is ended too."""
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        f"print({write_message(SCORE)!r}, flush=True)\ntime.sleep(60)"
    )
    python = script(tmp_path, code)
    found = run_task(job_in(tmp_path), api_key="", tell=lambda _: None, python=python, exit_s=0.1)

    assert found == SCORE
    poll_until(lambda: is_gone(int(pid_file.read_text())), bool)


def test_a_silence_that_lasts_is_a_hang(tmp_path: Path) -> None:
    """It is ended, with the answers so far told."""
    job = dataclasses.replace(job_in(tmp_path), answer_s=0.2)
    code = f"print({write_message(News(3, 12, 1, 0))!r}, flush=True)\nimport time; time.sleep(60)"
    python = script(tmp_path, code)
    with pytest.raises(HwvalError) as caught:
        run_task(job, api_key="", tell=lambda _: None, python=python, patience_s=1.8, exit_s=0.1)

    assert type(caught.value) is HwvalError
    assert str(caught.value) == (
        "task t: its process said nothing for 2 s and was ended (3 of 12 questions answered)"
    )


def test_the_process_ends_with_a_caller_that_is_killed(tmp_path: Path) -> None:
    """Also where it waits for an answer that never comes: kill -9 leaves nobody behind."""
    with served.serving(served.own_answers(tmp_path), stall_after_tokens=1) as engine:
        job = served.job_for(engine, tmp_path / "out", concurrency=2)
        (tmp_path / "job.json").write_text(job.to_json(), "utf-8")
        code = (
            "import pathlib\n"
            "from hwval.accuracy.job import Job\n"
            "from hwval.accuracy.process import run_task\n"
            f"job = Job.from_json(pathlib.Path({str(tmp_path / 'job.json')!r}).read_text())\n"
            f"run_task(job, api_key={served.KEY!r}, tell=lambda _: None)\n"
        )
        caller = subprocess.Popen([sys.executable, "-c", code])
        while len(asked := httpx.get(f"{engine.base_url}/fake/requests").json()) < 2:
            assert caller.poll() is None
        (child,) = psutil.Process(caller.pid).children()
        caller.kill()
        caller.wait()
        psutil.wait_procs([child], timeout=20)

    assert len(asked) == 2
    assert is_gone(child.pid)


def test_an_interruption_ends_the_process(tmp_path: Path) -> None:
    """Whoever is told of news may stop it all; no process is left behind."""
    pid_file = tmp_path / "pid"
    code = (
        f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
        f"print({write_message(News(1, 2, 1, 0))!r}, flush=True)\nimport time; time.sleep(60)"
    )

    def stop(_: News) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_task(job_in(tmp_path), api_key="", tell=stop, python=script(tmp_path, code))
    assert not Path(f"/proc/{pid_file.read_text()}").exists()
