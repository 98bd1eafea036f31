"""The way questions are asked, without lm-evaluation-harness: stand-ins for its objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hwval.accuracy.answers import AnswerFile
from hwval.accuracy.asking import Asking
from hwval.accuracy.job import Job
from hwval.accuracy.job import News
from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble
from tests.accuracy import served
from tests.accuracy.standins import Task
from tests.accuracy.standins import questions
from tests.fakes.process import FakeEngineProcess


class Model:
    """Writes and reads the bodies of completions."""

    _seed = 1

    def __init__(self, engine: FakeEngineProcess, key: str = served.KEY) -> None:
        self.base_url = f"{engine.base_url}/v1/completions"
        self.header = {"Authorization": f"Bearer {key}"}
        self._name = engine.model

    def create_message(self, contexts: list[str]) -> str:
        return contexts[0]

    def _create_payload(self, prompt: str, **_: Any) -> dict[str, Any]:
        return {"model": self._name, "prompt": prompt, "max_tokens": 4, "temperature": 0}


def asking_of(engine: FakeEngineProcess, told: list[News], **fields: Any) -> Asking:
    known: dict[str, Any] = {"task": "t", "api": "completions", "out_dir": "", "concurrency": 1}
    job = Job(base_url=engine.base_url, model=engine.model, **known | fields)
    return Asking(Model(engine), Task(), job, AnswerFile(None), told.append)


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    """An engine that answers anything."""
    with FakeEngineProcess(scenario={"itl_s": 0.0}, api_key=served.KEY) as engine:
        yield engine


def test_every_question_is_answered_in_the_order_of_the_task(engine: FakeEngineProcess) -> None:
    """Whatever the concurrency; each answer is told as it comes."""
    texts = [f" ba {word}" for word in ("be", "bi", "bo", "bu", "da")]
    told: list[News] = []
    one_by_one = asking_of(engine, []).generate_until(questions(texts))
    together = asking_of(engine, told, concurrency=16).generate_until(questions(texts))

    assert together == one_by_one
    assert len(set(together)) == len(texts)
    assert [news.answered for news in told] == [1, 2, 3, 4, 5]


def test_equal_questions_are_asked_each(engine: FakeEngineProcess) -> None:
    """A task that wants several answers to a question gets as many."""
    asking = asking_of(engine, [])
    answers = asking.generate_until(questions([" ba", " ba"]))

    assert len(answers) == 2
    assert len({one.requests[0].key for one in asking.questions}) == 2


def test_a_sample_says_what_was_made_of_an_answer(engine: FakeEngineProcess) -> None:
    """An answer at the limit was cut off; the dataset's own name of a question is kept."""
    asking = asking_of(engine, [])
    (text,) = asking.generate_until(questions([" ba be"]))
    sample = asking.sample(asking.questions[0])

    assert (sample.answer, sample.extracted) == (text, text.split()[-1])
    assert (sample.question_id, sample.expected, sample.correct) == ("id-0", "x", False)
    assert sample.is_cut_off
    assert sample.output_tokens == 4
    assert sample.metric == "match,last-word"
    assert sample.settings == {"max_tokens": 4, "temperature": 0}


@pytest.mark.parametrize(
    ("scenario", "trouble", "problem"),
    [
        ({"error_every": 3}, Trouble.STATUS, "question 2: status 500: fault injected"),
        ({"cut_after_tokens": 3}, Trouble.UNREACHABLE, "question 0: ServerDisconnectedError"),
        ({"stall_after_tokens": 3}, Trouble.UNREACHABLE, "question 0: TimeoutError after "),
        ({"served_name": "other"}, Trouble.STATUS, "status 404: The model .*does not exist"),
        ({"die_after_requests": 2}, Trouble.UNREACHABLE, "question 2: "),
    ],
    ids=["refuses", "hangs up", "stalls", "other model", "dies"],
)
def test_a_server_that_fails_is_asked_no_further(
    scenario: dict[str, Any], trouble: Trouble, problem: str
) -> None:
    """No retry: the first failure ends it, in the server's own words, and answers stay."""
    scenario = {"itl_s": 0.0, **scenario}
    with FakeEngineProcess(scenario=scenario, api_key=served.KEY) as engine:
        asking = asking_of(engine, [], answer_s=0.5)
        with pytest.raises(SetbackError, match=problem) as caught:
            asking.generate_until(questions([" ba", " be", " bi", " bo", " bu"]))

    assert caught.value.trouble is trouble
    has_answers = not {"error_every", "die_after_requests"}.isdisjoint(scenario)
    assert len(asking.answered) == (2 if has_answers else 0)


class Comparing(Model):
    """Asks for the log-likelihood of one token after two, and adds up what comes as the harness."""

    def loglikelihood(self, instances: list[Any], **_: Any) -> Any:
        return self._loglikelihood_tokens([(one.args, [1, 2], [3]) for one in instances])

    def _loglikelihood_tokens(self, _: list[Any]) -> Any:
        raise AssertionError("the harness asks by itself")

    def batch_loglikelihood_requests(self, chunks: list[list[Any]]) -> tuple[Any, ...]:
        (((_, context, choice),),) = chunks
        return [context + choice], [len(context)], None

    def parse_logprobs(self, outputs: Mapping[str, Any], **_: Any) -> list[tuple[float, bool]]:
        return [(sum(outputs["choices"][0]["logprobs"]["token_logprobs"][2:-1]), True)]


@pytest.mark.parametrize("told", [[None, -1.0, -2.0, -4.0], [-4.0], [None, -1.0, -2.0]])
def test_a_server_that_does_not_echo_has_told_no_log_likelihood(
    engine: FakeEngineProcess, told: list[float | None]
) -> None:
    """The sum over none is 0, which no choice could beat."""
    job = Job(task="t", api="completions", base_url="", model="fake", out_dir="")
    asking = Asking(Comparing(engine), Task(), job, AnswerFile(None), lambda _: None)
    body, read = asking._choice("question 0", questions(["ba"])[0])
    logprobs = {"token_logprobs": told, "top_logprobs": [{}] * len(told)}
    data = json.dumps({"choices": [{"logprobs": logprobs}]}).encode()

    assert body["prompt"] == [1, 2, 3]
    if len(told) == 4:
        assert read("question 0", data, 1.0).text == "[-2.0, true]"
    else:
        with pytest.raises(SetbackError, match="question 0: no log-probabilities in") as caught:
            read("question 0", data, 1.0)
        assert caught.value.trouble is Trouble.REFUSED


def test_a_wrong_key_is_refused(engine: FakeEngineProcess) -> None:
    """The server's words tell."""
    job = Job(task="t", api="completions", base_url="", model="fake", out_dir="")
    asking = Asking(Model(engine, "wrong"), Task(), job, AnswerFile(None), lambda _: None)

    with pytest.raises(SetbackError, match=r"status 401: .*Unauthorized"):
        asking.generate_until(questions([" ba"]))


def test_other_data_are_refused_before_anything_is_asked(engine: FakeEngineProcess) -> None:
    """The hash covers questions and right answers, in order."""
    first, second = asking_of(engine, []), asking_of(engine, [])
    first.generate_until(questions([" ba", " be"]))
    second.generate_until(questions([" be", " ba"]))
    pinned = asking_of(engine, [], samples_sha256=first.samples_sha256())
    other = asking_of(engine, [], samples_sha256=second.samples_sha256())

    assert len(pinned.generate_until(questions([" ba", " be"]))) == 2
    with pytest.raises(SetbackError, match="the 2 questions have the hash") as caught:
        other.generate_until(questions([" ba", " be"]))
    assert caught.value.trouble is Trouble.DATASET
    assert other.answered == []


def test_answers_of_an_interrupted_run_are_taken_first(
    engine: FakeEngineProcess, tmp_path: Path
) -> None:
    """They are told as such, and no question is asked twice."""
    path = tmp_path / "x.jsonl"
    job = Job(task="t", api="completions", base_url="", model="fake", out_dir="", concurrency=1)
    told: list[News] = []
    with AnswerFile(path) as answers:
        Asking(Model(engine), Task(), job, answers, told.append).generate_until(questions([" ba"]))
    with AnswerFile(path) as answers:
        asking = Asking(Model(engine), Task(), job, answers, told.append)
        asking.generate_until(questions([" ba", " be"]))

    assert [(news.answered, news.reused) for news in told] == [(1, 0), (1, 1), (2, 1)]
    assert [one.reused for one in asking.questions] == [True, False]
