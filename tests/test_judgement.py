"""What happened to a question decides, by its type, whose failure it is."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from hwval.diagnosis import Circumstances
from hwval.diagnosis import diagnose
from hwval.errors import DaemonError
from hwval.errors import EngineExited
from hwval.errors import EngineUnreachable
from hwval.errors import HostError
from hwval.errors import ImageError
from hwval.errors import ModelSourceError
from hwval.errors import RequestRefused
from hwval.errors import ResponseError
from hwval.judgement import blocked
from hwval.judgement import promise_broken
from hwval.judgement import verdict_of_diagnosis
from hwval.judgement import verdict_of_error
from hwval.verdict import Outcome

REQUEST: Any = httpx.Request("POST", "http://127.0.0.1:1/v1/completions")


def status_error(status: int) -> openai.APIStatusError:
    response: Any = httpx.Response(status, request=REQUEST)
    return openai.APIStatusError(f"Error code: {status}", response=response, body=None)


@pytest.mark.parametrize(
    ("error", "outcome", "cause"),
    [
        (DaemonError("no daemon"), Outcome.INFRA, "lab-failure"),
        (ImageError("no image"), Outcome.INFRA, "lab-failure"),
        (HostError("no disk"), Outcome.INFRA, "lab-failure"),
        (ModelSourceError("no model"), Outcome.INFRA, "lab-failure"),
        (status_error(500), Outcome.FAIL, "request-failed"),
        (status_error(400), Outcome.FAIL, "request-failed"),
        (openai.APIConnectionError(request=REQUEST), Outcome.FAIL, "engine-unreachable"),
        (openai.APITimeoutError(request=REQUEST), Outcome.FAIL, "engine-unreachable"),
        (EngineUnreachable("refused"), Outcome.FAIL, "engine-unreachable"),
        (EngineExited("gone"), Outcome.FAIL, "engine-unreachable"),
        (AssertionError("a != b"), Outcome.FAIL, "wrong-answer"),
        (RequestRefused("status 429"), Outcome.FAIL, "request-failed"),
        (ResponseError("no list"), Outcome.FAIL, "wrong-answer"),
        (ResponseError("too many", status=429), Outcome.FAIL, "request-failed"),
        (openai.OpenAIError("no form"), Outcome.FAIL, "wrong-answer"),
        (KeyError("x"), Outcome.INFRA, "harness-error"),
        (ZeroDivisionError(), Outcome.INFRA, "harness-error"),
        (RecursionError(), Outcome.INFRA, "harness-error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_type_decides(error: Exception, outcome: Outcome, cause: str) -> None:
    """A wrong answer is the product's, a dead daemon the lab's; our own bug is never the former."""
    verdict = verdict_of_error(error, question="generate/chat", text="what was seen")

    assert (verdict.outcome, verdict.cause, verdict.reason) == (outcome, cause, "what was seen")
    assert (verdict.fingerprint or "").startswith(f"{cause}:")


def test_failures_of_two_questions_are_two() -> None:
    """A ledger entry for one question does not cover another that fails in the same way."""
    verdicts = [
        verdict_of_error(AssertionError(text), question=question, text=text)
        for question, text in (("a/b", "1 != 2"), ("a/b", "3 != 4"), ("a/c", "1 != 2"))
    ]
    first, same, other = (verdict.fingerprint for verdict in verdicts)

    assert first == same
    assert first != other


def test_cause_of_the_lab_is_infra() -> None:
    """A port that is taken says nothing about the product."""
    diagnosis = diagnose(["OSError: [Errno 98] Address already in use"])
    verdict = verdict_of_diagnosis(diagnosis)

    assert (diagnosis.family, verdict.outcome) == ("lab", Outcome.INFRA)
    assert (verdict.cause, verdict.reason) == ("port-in-use", diagnosis.summary)


def test_cause_of_the_product_is_fail() -> None:
    """Everything else is a failure with its cause and identity."""
    diagnosis = diagnose([], Circumstances(exit_code=137, oom_killed=True))
    verdict = verdict_of_diagnosis(diagnosis)

    assert (verdict.outcome, verdict.cause) == (Outcome.FAIL, "host-oom-killed")
    assert verdict.fingerprint == diagnosis.fingerprint


def test_blocked_names_who_blocks() -> None:
    """A question that could not be asked says which one failed, and why."""
    verdict = blocked(by="load/healthy", why="The disk is full.")

    assert (verdict.outcome, verdict.blocked_by) == (Outcome.BLOCKED, "load/healthy")
    assert verdict.reason == "blocked by load/healthy: The disk is full."


def test_broken_promise_is_known_by_its_question_and_metrics() -> None:
    """How far a promise is missed does not change what is missed."""
    verdict = promise_broken("7 of 12", question="performance/serving", metrics=["b", "a"])
    same = promise_broken("8 of 12", question="performance/serving", metrics=["a", "b"])
    other = promise_broken("7 of 12", question="performance/serving", metrics=["a"])

    assert (verdict.outcome, verdict.cause) == (Outcome.FAIL, "promise-broken")
    assert verdict.fingerprint == same.fingerprint != other.fingerprint
