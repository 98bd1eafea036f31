"""Asks a server the questions of a task, each answer kept and scored as it comes.

It stands in for the way lm-evaluation-harness asks, which drops finish reasons and latencies, asks
on when the server is dead, retries, and keeps answers by their prompt, whoever gave them. Prompts,
tokens, bodies and scores stay the harness's own: its objects come in, and nothing of it is
imported.
"""

from __future__ import annotations

import asyncio
import copy
import json
import math
from collections import Counter
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from functools import partial
from typing import Any
from typing import Final

from hwval.accuracy.answers import Answer
from hwval.accuracy.answers import AnswerFile
from hwval.accuracy.answers import request_key
from hwval.accuracy.grading import UNPARSED
from hwval.accuracy.grading import Grade
from hwval.accuracy.grading import Grader
from hwval.accuracy.grading import check_answerable
from hwval.accuracy.grading import digest
from hwval.accuracy.grading import other_data
from hwval.accuracy.grading import question_hash
from hwval.accuracy.grading import sha256
from hwval.accuracy.job import Job
from hwval.accuracy.job import News
from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble
from hwval.accuracy.replies import parse_reply
from hwval.accuracy.replies import read_bounded
from hwval.accuracy.replies import read_text
from hwval.accuracy.replies import refusal
from hwval.accuracy.replies import shorten
from hwval.accuracy.samples import Sample
from hwval.clock import Stopwatch

__all__ = ["Asking", "Question", "Request"]

_HTTP_OK: Final = 200
# Of a body what is asked, and of whom; the rest says how it is to be answered.
_NOT_SETTINGS: Final = frozenset({"model", "prompt", "messages"})
# Shorter than the 5 s after which a server of vLLM hangs up: no request may meet its goodbye.
_IDLE_S: Final = 2.0


@dataclass(slots=True)
class Request:
    """One request on its way.

    Attributes:
        instance: What the harness asks.
        key: Its identity, by which an answer is found again.
        body: What is sent; None for what needs the server's tokenizer first.
        answer: What came of it, None so far.
        reused: Whether that is from an interrupted run.
    """

    instance: Any
    key: str
    body: Mapping[str, Any] | None = None
    answer: Answer | None = None
    reused: bool = False


@dataclass(slots=True)
class Question:
    """One question: a request for a text, or one for each of its choices.

    Attributes:
        index: Its position in the whole task, from 0.
        requests: What it takes, at least one.
        grade: What its answer is worth, once all requests are answered.
    """

    index: int
    requests: list[Request] = field(default_factory=list)
    grade: Grade | None = None

    @property
    def document(self) -> Mapping[str, Any]:
        """Its row of the dataset."""
        document: Mapping[str, Any] = self.requests[0].instance.doc
        return document

    @property
    def answers(self) -> list[Answer]:
        """What came of its requests so far."""
        return [one.answer for one in self.requests if one.answer is not None]

    @property
    def reused(self) -> bool:
        """Whether something of its answer is from an interrupted run."""
        return any(one.reused for one in self.requests)


class Asking:
    """Asks a server the questions of a task; stands in for the harness's own way to ask.

    Args:
        model: The harness's model of an OpenAI-compatible server, which writes and reads bodies.
        task: The task.
        job: What to ask.
        answers: Where answers are kept.
        tell: Told of every question that is answered.
        keep: Given every answered question at once.
    """

    def __init__(
        self,
        model: Any,
        task: Any,
        job: Job,
        answers: AnswerFile,
        tell: Callable[[News], None],
        *,
        keep: Callable[[Sample], object] = lambda _: None,
    ) -> None:
        self.grader = Grader(task, job.metric)
        self.questions: list[Question] = []
        self.duration_s = 0.0
        self._model, self._task, self._job = model, task, job
        self._answers, self._tell, self._keep = answers, tell, keep
        self._setback: SetbackError | None = None
        self._done = self._right = self._reused = 0
        self._settings: Mapping[str, Any] = {}

    def generate_until(self, instances: list[Any], disable_tqdm: bool = False) -> list[str]:  # noqa: FBT001 - the harness's own signature
        """Have every instance answered with a text, as the harness asks it of a model."""
        del disable_tqdm
        requests = self._requests(instances, self._text_body)
        settings = _settings(requests[0].body or {}) if requests else {}
        return [answer.text for answer in self._answer(requests, settings)]

    def loglikelihood(
        self,
        instances: list[Any],
        disable_tqdm: bool = False,  # noqa: FBT001 - the harness's own signature
    ) -> list[tuple[float, bool]]:
        """Have every choice's log-likelihood told, as the harness asks it of a model."""
        del disable_tqdm
        requests = self._requests(instances, None)
        return [
            _likelihood(answer) for answer in self._answer(requests, _settings(self._choice_body()))
        ]

    @property
    def answered(self) -> list[Question]:
        """The questions that have an answer."""
        return [one for one in self.questions if one.grade is not None]

    def samples_sha256(self) -> str:
        """Return the hash over all questions with their right answers, in order."""
        return digest(question_hash(self._task, one.document) for one in self.questions)

    def sample(self, question: Question) -> Sample:
        """Return an answered question as it is kept."""
        grade, answers = question.grade, question.answers
        if grade is None:
            raise ValueError(f"question {question.index} has no answer")
        is_text = question.requests[0].body is not None
        text = answers[0].text if is_text else json.dumps([_likelihood(one)[0] for one in answers])
        return Sample(
            task=self._job.task,
            task_version=str(self._task.VERSION),
            api=self._job.api,
            metric=self.grader.metric,
            index=question.index,
            question_id=str(question.document.get("question_id", question.document.get("id", ""))),
            question_hash=question_hash(self._task, question.document),
            prompt_hash=sha256(_prompt(question.requests[0].instance)),
            expected=str(self._task.doc_to_target(question.document)),
            extracted=grade.extracted,
            correct=grade.value == 1,
            unparsed=grade.extracted == UNPARSED,
            finish_reason=answers[0].finish_reason,
            answer=text,
            latency_s=sum(one.latency_s for one in answers),
            output_tokens=answers[0].output_tokens,
            reused=question.reused,
            settings=self._settings,
        )

    def _answer(self, requests: Sequence[Request], settings: Mapping[str, Any]) -> list[Answer]:
        """Return the answer to every request, in their order."""
        self.questions, self._settings = self._questions(requests), settings
        self._check_data()
        watch = Stopwatch()
        all_of_them = [(one, request) for one in self.questions for request in one.requests]
        for question, request in all_of_them:
            kept = self._answers.get(request.key)
            if kept is not None:
                request.reused = True
                self._take(question, request, kept)
        asyncio.run(self._ask([pair for pair in all_of_them if pair[1].answer is None]))
        self.duration_s = watch.elapsed_s
        if self._setback is not None:
            raise self._setback
        return [one.answer for one in requests if one.answer is not None]

    def _requests(
        self, instances: Sequence[Any], make_body: Callable[[Any], Mapping[str, Any]] | None
    ) -> list[Request]:
        seen: Counter[str] = Counter()
        requests = []
        for instance in instances:
            body = make_body(instance) if make_body is not None else None
            known_by = body or {**self._choice_body(), "compared": list(instance.args)}
            plain = request_key(known_by)
            requests.append(Request(instance, request_key(known_by, seen[plain]), body))
            seen[plain] += 1
        return requests

    def _questions(self, requests: Sequence[Request]) -> list[Question]:
        questions: dict[int, Question] = {}
        for request in requests:
            number = request.instance.doc_id
            question = questions.setdefault(number, Question(self._position(number)))
            question.requests.append(request)
        return list(questions.values())

    def _position(self, number: int) -> int:
        """Return where the n-th question that is asked stands in the whole task."""
        return number if self._job.subset is None else sorted(self._job.subset)[number]

    def _text_body(self, instance: Any) -> Mapping[str, Any]:
        context, options = instance.args
        body: Mapping[str, Any] = self._model._create_payload(  # noqa: SLF001 - the body is to be the harness's own
            self._model.create_message([context]),
            generate=True,
            gen_kwargs=copy.deepcopy(options),
            seed=self._model._seed,  # noqa: SLF001 - likewise
        )
        return body

    def _check_data(self) -> None:
        check_answerable(self._task, (question.document for question in self.questions))
        problem = other_data(self._job.samples_sha256, self.samples_sha256(), len(self.questions))
        if problem:
            raise SetbackError(Trouble.DATASET, problem)

    async def _ask(self, requests: list[tuple[Question, Request]]) -> None:
        import aiohttp

        waiting = iter(requests)
        limit = aiohttp.ClientTimeout(total=self._job.answer_s)
        connector = aiohttp.TCPConnector(limit=self._job.concurrency, keepalive_timeout=_IDLE_S)
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:

            async def work() -> None:
                for question, request in waiting:
                    if self._setback is not None:
                        return  # the score is lost; what is under way may still come in
                    try:
                        answer = await self._request(session, f"question {question.index}", request)
                        self._take(question, request, answer)
                    except SetbackError as setback:
                        self._setback = self._setback or setback

            workers = min(self._job.concurrency, len(requests))
            await asyncio.gather(*(work() for _ in range(workers)))

    async def _request(self, session: Any, where: str, request: Request) -> Answer:
        import aiohttp

        body: Mapping[str, Any] | None = request.body
        read: Callable[[str, bytes, float], Answer] = partial(read_text, self._job.api)
        if body is None:  # the server's tokenizer is asked first, and waited for
            choice = asyncio.to_thread(self._choice, where, request.instance)
            body, read = await choice
        watch = Stopwatch()
        try:
            async with session.post(
                self._model.base_url, json=body, headers=self._model.header
            ) as response:
                data = await read_bounded(where, response.content)
                status = response.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            seen = f"{type(error).__name__}: {error}".rstrip(": ")
            raise SetbackError(
                Trouble.UNREACHABLE, f"{where}: {seen} after {watch.elapsed_s:.1f} s"
            ) from error
        if status != _HTTP_OK:
            raise SetbackError(Trouble.STATUS, f"{where}: status {status}: {refusal(data)}")
        return read(where, data, watch.elapsed_s)

    def _choice(
        self, where: str, instance: Any
    ) -> tuple[Mapping[str, Any], Callable[[str, bytes, float], Answer]]:
        """Return the request for a choice's log-likelihood, and what reads its answer."""
        try:
            tokens = self._tokens(instance)
        except (RuntimeError, OSError, ValueError, LookupError, AttributeError, TypeError) as error:
            text = (
                f"{where}: the server's tokenizer: {shorten(str(error).encode('utf-8', 'replace'))}"
            )
            raise SetbackError(Trouble.UNREACHABLE, text) from error
        inputs, lengths, _ = self._model.batch_loglikelihood_requests([[tokens]])

        def read(where: str, data: bytes, latency_s: float) -> Answer:
            def read(body: Any) -> Answer:
                told = body["choices"][0]["logprobs"]
                # Of each token that was sent and one that came: of fewer, as a server tells that
                # does not echo, the harness would add up the wrong ones, or none.
                if {len(told["token_logprobs"]), len(told["top_logprobs"])} != {len(inputs[0]) + 1}:
                    raise ValueError(f"not {len(inputs[0]) + 1} log-probabilities")
                found = self._model.parse_logprobs(outputs=body, tokens=inputs, ctxlens=lengths)
                likelihood, is_greedy = found[0]
                if not math.isfinite(likelihood):
                    raise ValueError(f"log-likelihood {likelihood}")
                return Answer(json.dumps([likelihood, bool(is_greedy)]), "", latency_s)

            return parse_reply(f"{where}: no log-probabilities", data, read)

        return self._choice_body(self._model.create_message(inputs)), read

    def _choice_body(self, prompt: Any = None) -> Mapping[str, Any]:
        body: Mapping[str, Any] = self._model._create_payload(  # noqa: SLF001 - as of a text
            prompt,
            generate=False,
            seed=self._model._seed,  # noqa: SLF001 - likewise
        )
        return body

    def _tokens(self, instance: Any) -> Any:
        """Return context and choice as tokens, as the harness would send them."""
        (tokens,) = type(self._model).loglikelihood(
            _TokensOnly(self._model), [instance], disable_tqdm=True
        )
        return tokens

    def _take(self, question: Question, request: Request, answer: Answer) -> None:
        request.answer = answer
        if not request.reused:
            self._answers.put(request.key, answer)
        if len(question.answers) < len(question.requests):
            return
        is_text = request.body is not None
        question.grade = self.grader.grade(
            [one.instance for one in question.requests],
            [one.text if is_text else _likelihood(one) for one in question.answers],
        )
        self._keep(self.sample(question))
        self._done += 1
        self._right += question.grade.value == 1
        self._reused += question.reused
        self._tell(News(self._done, len(self.questions), self._right, self._reused))


class _TokensOnly:
    """The harness's model, which stops where it would ask and returns what it would ask with."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def _loglikelihood_tokens(self, requests: list[Any], **_: Any) -> list[Any]:
        return requests


def _likelihood(answer: Answer) -> tuple[float, bool]:
    value, is_greedy = json.loads(answer.text)
    return float(value), bool(is_greedy)


def _settings(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in body.items() if name not in _NOT_SETTINGS}


def _prompt(instance: Any) -> str:
    return str(getattr(instance.args[0], "prompt", instance.args[0]))
