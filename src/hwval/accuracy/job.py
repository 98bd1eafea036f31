"""What passes between a run and the process that asks a task: the job, its news, its end.

The process speaks JSON lines: each is one `News`, the last one a `Score` or a `Setback`. The key
of the server is in neither; it travels by the environment. Asked for the data of jobs alone, it
says for each job a line of `Data` or a `Setback`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from typing import Final
from typing import Self

__all__ = [
    "DATA_ONLY",
    "KEY_VARIABLE",
    "PARTIAL_FILE",
    "RESULTS_FILE",
    "SAMPLES_FILE",
    "TABLE_FILE",
    "WORK_PREFIX",
    "Data",
    "Job",
    "News",
    "Score",
    "Setback",
    "SetbackError",
    "Trouble",
    "read_message",
    "write_message",
]

# Where lm-evaluation-harness itself looks for the key of an OpenAI-compatible server.
KEY_VARIABLE: Final = "OPENAI_API_KEY"
# Flag of the process: nothing is asked, the data are only looked at.
DATA_ONLY: Final = "--data-only"
SAMPLES_FILE: Final = "samples.jsonl"
PARTIAL_FILE: Final = "partial.jsonl"
TABLE_FILE: Final = "table.md"
RESULTS_FILE: Final = "results.json"
# Begins the name of a job's folder, which the process removes where nobody else will any more.
WORK_PREFIX: Final = "hwval-accuracy-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One task to ask of one server.

    Attributes:
        task: Its name in lm-evaluation-harness.
        api: ``completions`` or ``chat``.
        base_url: The server, without ``/v1``.
        model: Name under which it serves the model.
        out_dir: Folder for the files of the result.
        answers_file: Where answers are kept as they come, and are found again after an
            interruption; None keeps none.
        concurrency: Questions asked at the same time, >= 1.
        answer_s: Longest wait for one answer, seconds > 0.
        dataset: Folder with the data, or a file for each split; None for the task's own dataset
            of the Hub.
        revision: Commit of that dataset; None for whatever its main branch holds.
        samples_sha256: Hash that the data must have; None takes any.
        metric: ``METRIC,FILTER`` that decides; None for the task's first one.
        shots: Solved examples before each question; None as the task says.
        max_tokens: Longest answer; None as the task says.
        limit: Only so many questions; None for all.
        subset: Only the questions at these positions; None for all.
        label: Name of the task in the matrix; empty where it is the task's own.
    """

    task: str
    api: str
    base_url: str
    model: str
    out_dir: str
    answers_file: str | None = None
    concurrency: int = 16
    answer_s: float = 300.0
    dataset: str | Mapping[str, str] | None = None
    revision: str | None = None
    samples_sha256: str | None = None
    metric: str | None = None
    shots: int | None = None
    max_tokens: int | None = None
    limit: int | None = None
    subset: tuple[int, ...] | None = None
    label: str = ""

    @property
    def name(self) -> str:
        """Label and task for people, who may have one task under several labels."""
        if self.label in {"", self.task}:
            return f"task {self.task}"
        return f"{self.label} ({self.task})"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the job that `to_json` wrote."""
        fields = json.loads(text)
        if fields.get("subset") is not None:
            fields["subset"] = tuple(fields["subset"])
        return cls(**fields)

    def to_json(self) -> str:
        """Return the job as one line."""
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, slots=True)
class News:
    """How far a task is.

    Attributes:
        answered: Questions answered so far, those of an interrupted run with them.
        questions: Questions that are asked in all.
        right: Right ones of the answered.
        reused: Answers that are from an interrupted run.
    """

    answered: int
    questions: int
    right: int
    reused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a task came to, over every question that was to be asked.

    Attributes:
        task: Its name in lm-evaluation-harness.
        task_version: Its version there.
        harness_version: Version of lm-evaluation-harness.
        api: ``completions`` or ``chat``.
        metric: ``METRIC,FILTER`` that decided.
        shots: Solved examples before each question.
        dataset: Where the questions came from, with the revision.
        questions: Questions asked, all of which were answered.
        of_questions: Questions that the task has.
        right: Right answers.
        value: Share of right answers, as lm-evaluation-harness tells it.
        stderr: Its standard error, as lm-evaluation-harness tells it; None where it tells none.
        unparsed: Answers without an answer in the form that was asked for; None where the task's
            filter takes any text for an answer.
        cut_off: Answers that ended at the longest length.
        reused: Answers from an interrupted run.
        samples_sha256: Hash over the questions with their right answers.
        prompts_sha256: Hash over the whole prompts.
        task_hash: Hash over questions, prompts and targets as lm-evaluation-harness makes it.
        max_tokens: Longest answer that was allowed; None where choices are compared.
        duration_s: Seconds from the first request to the last answer.
        repeated: Questions that stand before another one that is the same, so that they say
            nothing more.
        thinking: Answers that hold the thoughts of a reasoning model, between ``<think>`` and
            ``</think>``, where the filter finds answers that were not meant.
    """

    task: str
    task_version: str
    harness_version: str
    api: str
    metric: str
    shots: int
    dataset: str
    questions: int
    of_questions: int
    right: int
    value: float
    stderr: float | None
    unparsed: int | None
    cut_off: int
    reused: int
    samples_sha256: str
    prompts_sha256: str
    task_hash: str
    max_tokens: int | None
    duration_s: float
    repeated: int = 0
    thinking: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether every question of the task was asked."""
        return self.questions == self.of_questions


@dataclass(frozen=True, slots=True)
class Data:
    """What would be asked, as it is known before any server is.

    Attributes:
        questions: How many.
        samples_sha256: Hash over them with their right answers.
    """

    questions: int
    samples_sha256: str


class Trouble(StrEnum):
    """Why a task has no score."""

    MISSING = "missing"
    """lm-evaluation-harness is not installed."""
    TASK = "task"
    """The task is not what the matrix takes it for."""
    DATASET = "dataset"
    """The data cannot be had, or are not what the matrix says."""
    UNREACHABLE = "unreachable"
    """The server gave no answer."""
    STATUS = "status"
    """The server answered with the status of an error."""
    REFUSED = "refused"
    """The server answered, but not in the agreed form."""
    HARNESS = "harness"
    """lm-evaluation-harness failed, or hwval did."""


class SetbackError(Exception):
    """A task gets no score.

    Args:
        trouble: Whose fault it is.
        text: What happened, in one line.
    """

    def __init__(self, trouble: Trouble, text: str) -> None:
        super().__init__(text)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Setback:
    """The end of a task without a score.

    Attributes:
        trouble: Whose fault it is.
        text: What happened, in one line.
        answered: Questions that were answered before.
        questions: Questions that were to be asked; 0 where it did not come to that.
    """

    trouble: Trouble
    text: str
    answered: int = 0
    questions: int = 0


_KINDS: Final[Mapping[str, type[News | Data | Score | Setback]]] = {
    "data": Data,
    "news": News,
    "score": Score,
    "setback": Setback,
}


def write_message(message: News | Data | Score | Setback) -> str:
    """Return a message as one line, without its end."""
    kind = type(message).__name__.lower()
    return json.dumps({"kind": kind, **dataclasses.asdict(message)})


def read_message(line: str) -> News | Data | Score | Setback:
    """Return the message of a line.

    Raises:
        ValueError: It is none.
    """
    fields: Any = json.loads(line)
    try:
        kind = _KINDS[fields.pop("kind")]
        if kind is Setback:
            fields["trouble"] = Trouble(fields["trouble"])
        return kind(**fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no message of a task: {line[:80]!r}") from error
