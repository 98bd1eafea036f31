"""What passes between a run and the process that asks."""

from __future__ import annotations

import pytest

from hwval.accuracy.job import Job
from hwval.accuracy.job import News
from hwval.accuracy.job import Score
from hwval.accuracy.job import Setback
from hwval.accuracy.job import Trouble
from hwval.accuracy.job import read_message
from hwval.accuracy.job import write_message

SCORE = Score(
    task="t",
    task_version="3.1",
    harness_version="0.4.13",
    api="chat",
    metric="exact_match,custom-extract",
    shots=5,
    dataset="/data",
    questions=10,
    of_questions=12,
    right=4,
    value=0.4,
    stderr=None,
    unparsed=1,
    cut_off=2,
    reused=3,
    samples_sha256="a",
    prompts_sha256="b",
    task_hash="c",
    max_tokens=None,
    duration_s=1.5,
)


@pytest.mark.parametrize(
    "message",
    [News(1, 2, 1, 0), SCORE, Setback(Trouble.DATASET, "two\nlines \u2028 of it", 3, 4)],
    ids=["news", "score", "setback"],
)
def test_a_message_is_one_line_and_comes_back(message: News | Score | Setback) -> None:
    """Kinds, words and None survive."""
    line = write_message(message)

    assert len(line.splitlines()) == 1
    assert read_message(line) == message


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"kind": "news"}', '{"kind": "song"}', "3"])
def test_what_is_no_message_is_refused(line: str) -> None:
    """A line that a death cut off, for one."""
    with pytest.raises(ValueError, match=r"message|Expecting"):
        read_message(line)


def test_a_job_comes_back_and_holds_no_key() -> None:
    """The subset stays a tuple, files stay a mapping."""
    job = Job(
        task="t",
        api="chat",
        base_url="http://127.0.0.1:1",
        model="m",
        out_dir="/tmp/x",
        subset=(3, 5),
        dataset={"test": "/a.jsonl"},
    )

    assert Job.from_json(job.to_json()) == job
    assert "key" not in job.to_json()


def test_a_score_knows_whether_it_is_of_the_whole_task() -> None:
    """A limit leaves questions out."""
    assert not SCORE.is_whole
