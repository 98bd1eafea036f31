"""Asks a server the questions of a task, each answer kept and scored as it comes.

It stands in for the way lm-evaluation-harness asks, which drops finish reasons and latencies, asks
on when the server is dead, retries, and keeps answers by their prompt, whoever gave them. Prompts,
bodies and scores stay the harness's own: its objects come in, and nothing of it is imported.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from hwval.accuracy.answers import Answer
from hwval.accuracy.answers import AnswerFile
from hwval.accuracy.answers import request_key
from hwval.accuracy.job import Job
from hwval.accuracy.job import News
from hwval.accuracy.job import Trouble
from hwval.accuracy.samples import Sample
from hwval.clock import Stopwatch
from hwval.inert import one_line

__all__ = [
    "Asking",
    "Grade",
    "Grader",
    "Question",
    "SetbackError",
    "digest",
    "question_hash",
    "sha256",
]

# What the harness's regular expressions give where they find nothing.
_UNPARSED: Final = "[invalid]"
_HTTP_OK: Final = 200
_SHOWN_CHARACTERS: Final = 300


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
class Grade:
    """What one answer is worth.

    Attributes:
        extracted: What the filter took for the answer.
        value: 1 for a right one, 0 for a wrong one.
    """

    extracted: str
    value: float


class Grader:
    """Scores one answer the way the harness scores all of them at the end.

    Attributes:
        metric: ``METRIC,FILTER`` that decides.
        tells_unparsed: Whether the filter tells an answer that it does not find from a wrong one.
    """

    def __init__(self, task: Any, metric: str | None) -> None:
        names = {
            f"{name},{ensemble.name}": (name, ensemble)
            for ensemble in task._filters  # noqa: SLF001 - the harness scores only all at once
            for name in task._metric_fn_list  # noqa: SLF001 - likewise
        }
        if metric is not None and metric not in names:
            raise SetbackError(
                Trouble.TASK, f"it has no metric {metric!r}, but {', '.join(names) or 'none'}"
            )
        self.metric = metric or next(iter(names))
        self._task = task
        self._name, self._filter = names[self.metric]
        # Only filters that look for a form put something in the place of what they do not find.
        makers = getattr(self._filter, "filters", ())
        self.tells_unparsed = any(getattr(make(), "fallback", None) == _UNPARSED for make in makers)

    def grade(self, instance: Any, text: str) -> Grade:
        """Return what the filter takes for the answer, and whether it is right (1) or not (0)."""
        probe = dataclasses.replace(instance, resps=[text], filtered_resps={})
        self._filter.apply([probe])
        extracted = probe.filtered_resps[self._filter.name]
        value = self._task.process_results(instance.doc, [extracted])[self._name]
        if isinstance(value, bool | int | float) and value in {0, 1}:
            return Grade(str(extracted), float(value))
        raise SetbackError(
            Trouble.TASK,
            f"{self.metric} of one answer is {value!r}; only answers that are right (1) or wrong "
            "(0) can be held against a reference",
        )


@dataclass(slots=True)
class Question:
    """One question on its way."""

    index: int
    instance: Any
    body: Mapping[str, Any]
    key: str
    answer: Answer | None = None
    grade: Grade | None = None
    reused: bool = False


class Asking:
    """Asks a server the questions of a task; stands in for the harness's own way to ask.

    Args:
        model: The harness's model of an OpenAI-compatible server, which writes and reads bodies.
        task: The task.
        job: What to ask.
        answers: Where answers are kept.
        tell: Told of every answer.
    """

    def __init__(
        self, model: Any, task: Any, job: Job, answers: AnswerFile, tell: Callable[[News], None]
    ) -> None:
        self.grader = Grader(task, job.metric)
        self.questions: list[Question] = []
        self.duration_s = 0.0
        self._model, self._task, self._job = model, task, job
        self._answers, self._tell = answers, tell
        self._setback: SetbackError | None = None
        self._done = self._right = self._reused = 0

    def generate_until(self, instances: list[Any], disable_tqdm: bool = False) -> list[str]:  # noqa: FBT001 - the harness's own signature
        """Answer every instance, as the harness asks it of a model."""
        del disable_tqdm
        self.questions = self._questions(instances)
        self._check_data()
        watch = Stopwatch()
        for question in self.questions:
            kept = self._answers.get(question.key)
            if kept is not None:
                self._take(question, kept, reused=True)
        asyncio.run(self._ask([one for one in self.questions if one.answer is None]))
        self.duration_s = watch.elapsed_s
        if self._setback is not None:
            raise self._setback
        return [one.answer.text for one in self.questions if one.answer is not None]

    @property
    def answered(self) -> list[Question]:
        """The questions that have an answer."""
        return [one for one in self.questions if one.answer is not None]

    def samples_sha256(self) -> str:
        """Return the hash over all questions with their right answers, in order."""
        return digest(question_hash(self._task, one.instance.doc) for one in self.questions)

    def sample(self, question: Question) -> Sample:
        """Return an answered question as it is kept."""
        answer, grade = question.answer, question.grade
        if answer is None or grade is None:
            raise ValueError(f"question {question.index} has no answer")
        document = question.instance.doc
        return Sample(
            task=self._job.task,
            task_version=str(self._task.VERSION),
            api=self._job.api,
            metric=self.grader.metric,
            index=question.index,
            question_id=str(document.get("question_id", document.get("id", ""))),
            question_hash=question_hash(self._task, document),
            prompt_hash=sha256(_prompt(question)),
            expected=str(self._task.doc_to_target(document)),
            extracted=grade.extracted,
            correct=grade.value == 1,
            unparsed=grade.extracted == _UNPARSED,
            finish_reason=answer.finish_reason,
            answer=answer.text,
            latency_s=answer.latency_s,
            output_tokens=answer.output_tokens,
            reused=question.reused,
        )

    def _questions(self, instances: Sequence[Any]) -> list[Question]:
        seen: Counter[str] = Counter()
        questions = []
        for instance in instances:
            context, options = instance.args
            body = self._model._create_payload(  # noqa: SLF001 - the body is to be the harness's own
                self._model.create_message([context]),
                generate=True,
                gen_kwargs=copy.deepcopy(options),
                seed=self._model._seed,  # noqa: SLF001 - likewise
            )
            plain = request_key(body)
            key = request_key(body, seen[plain])
            questions.append(Question(self._position(instance.doc_id), instance, body, key))
            seen[plain] += 1
        return questions

    def _position(self, number: int) -> int:
        """Return where the n-th question that is asked stands in the whole task."""
        return number if self._job.subset is None else sorted(self._job.subset)[number]

    def _check_data(self) -> None:
        wanted, found = self._job.samples_sha256, self.samples_sha256()
        if wanted is not None and wanted != found:
            raise SetbackError(
                Trouble.DATASET,
                f"the {len(self.questions)} questions have the hash {found}, and the "
                f"matrix pins {wanted}: the data are not those that were meant",
            )

    async def _ask(self, questions: list[Question]) -> None:
        import aiohttp

        waiting = iter(questions)
        limit = aiohttp.ClientTimeout(total=self._job.answer_s)
        connector = aiohttp.TCPConnector(limit=self._job.concurrency)
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:

            async def work() -> None:
                for question in waiting:
                    if self._setback is not None:
                        return  # the score is lost; what is under way may still come in
                    try:
                        self._take(question, await self._request(session, question))
                    except SetbackError as setback:
                        self._setback = self._setback or setback

            await asyncio.gather(*(work() for _ in range(self._job.concurrency)))

    async def _request(self, session: Any, question: Question) -> Answer:
        import aiohttp

        watch = Stopwatch()
        where = f"question {question.index}"
        try:
            async with session.post(
                self._model.base_url, json=question.body, headers=self._model.header
            ) as response:
                data = await response.read()
                status = response.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            seen = f"{type(error).__name__}: {error}".rstrip(": ")
            raise SetbackError(
                Trouble.UNREACHABLE, f"{where}: {seen} after {watch.elapsed_s:.1f} s"
            ) from error
        if status != _HTTP_OK:
            raise SetbackError(Trouble.REFUSED, f"{where}: status {status}: {_shorten(data)}")
        return self._read(where, data, watch.elapsed_s)

    def _read(self, where: str, data: bytes, latency_s: float) -> Answer:
        try:
            body = json.loads(data)
            choice = body["choices"][0]
            # The harness takes a chat answer without a message for an empty one.
            said = choice["message"].get("content") if self._job.api == "chat" else choice["text"]
            if not isinstance(said, str | None):
                raise TypeError(f"no text but {type(said).__name__}")  # noqa: TRY301 - as all else
            # A reasoning model that was cut off has no content; the harness scores it as empty.
            generated = self._model.parse_generations(outputs=body)[0] or ""
            tokens = (body.get("usage") or {}).get("completion_tokens")
            return Answer(generated, str(choice.get("finish_reason") or ""), latency_s, tokens)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise SetbackError(
                Trouble.REFUSED, f"{where}: no completion in '{_shorten(data)}'"
            ) from error

    def _take(self, question: Question, answer: Answer, *, reused: bool = False) -> None:
        question.grade = self.grader.grade(question.instance, answer.text)
        question.answer, question.reused = answer, reused
        if not reused:
            self._answers.put(question.key, answer)
        self._done += 1
        self._right += question.grade.value == 1
        self._reused += reused
        self._tell(News(self._done, len(self.questions), self._right, self._reused))


def _shorten(data: bytes) -> str:
    """Return the beginning of what a server said, as one line that does nothing to a terminal."""
    return one_line(data[: 4 * _SHOWN_CHARACTERS].decode("utf-8", "replace"))[:_SHOWN_CHARACTERS]


def _prompt(question: Question) -> str:
    return str(getattr(question.instance.args[0], "prompt", question.instance.args[0]))


def sha256(text: str) -> str:
    """Return the hash of a text, as lm-evaluation-harness makes it too."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest(hashes: Iterable[str]) -> str:
    """Return the hash over hashes, in their order."""
    return sha256("\n".join(hashes))


def question_hash(task: Any, document: Mapping[str, Any]) -> str:
    """Return the hash over a question, its choices and its right answer.

    Shots, template and columns that nobody reads are not in it: the same question has the same
    hash by completions and by chat, from the Hub and from a file.
    """
    parts = [str(task.doc_to_text(document)), str(task.doc_to_target(document))]
    if task.config.doc_to_choice is not None:
        parts.append(str(task.doc_to_choice(document)))
    return sha256("\0".join(parts))
