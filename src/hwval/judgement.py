"""From what happened to a question to its verdict, before the ledger has its say.

Pure, and told apart by type: a wrong answer is the product's, a dead daemon is the lab's, and what
nobody foresaw is hwval's own fault, which is never the product's.
"""

from __future__ import annotations

from collections.abc import Iterable

from hwval.diagnosis import Diagnosis
from hwval.diagnosis.finding import LAB_FAMILY
from hwval.diagnosis.finding import failure_fingerprint
from hwval.errors import EngineError
from hwval.errors import LabError
from hwval.errors import RequestRefused
from hwval.errors import ResponseError
from hwval.verdict import Outcome
from hwval.verdict import Verdict

__all__ = ["blocked", "promise_broken", "verdict_of_diagnosis", "verdict_of_error"]


def verdict_of_diagnosis(diagnosis: Diagnosis) -> Verdict:
    """Return the verdict on an engine that failed: INFRA if the cause is the lab's, else FAIL."""
    is_lab = diagnosis.family == LAB_FAMILY
    return Verdict(
        outcome=Outcome.INFRA if is_lab else Outcome.FAIL,
        reason=diagnosis.summary,
        cause=diagnosis.cause,
        fingerprint=diagnosis.fingerprint,
    )


def verdict_of_error(error: BaseException, *, question: str, text: str) -> Verdict:
    """Return the verdict on a question that ended with ``error`` while its engine lived on.

    Args:
        error: What the question raised.
        question: The question's name; part of the failure's identity.
        text: The error in one line.
    """
    cause, outcome = _cause_of(error)
    return Verdict(
        outcome=outcome,
        reason=text,
        cause=cause,
        fingerprint=failure_fingerprint(cause, f"{question} {type(error).__name__}"),
    )


def promise_broken(reason: str, *, question: str, metrics: Iterable[str]) -> Verdict:
    """Return the verdict on measurements that are surely worse than what was promised of them."""
    return Verdict(
        outcome=Outcome.FAIL,
        reason=reason,
        cause="promise-broken",
        fingerprint=failure_fingerprint(
            "promise-broken", f"{question} {' '.join(sorted(metrics))}"
        ),
    )


def blocked(*, by: str, why: str) -> Verdict:
    """Return the verdict on a question that could not be asked because another one failed."""
    return Verdict(outcome=Outcome.BLOCKED, reason=f"blocked by {by}: {why}", blocked_by=by)


def _cause_of(error: BaseException) -> tuple[str, Outcome]:
    if isinstance(error, LabError):
        return "lab-failure", Outcome.INFRA
    if isinstance(error, ResponseError) and error.status is not None:
        return "request-failed", Outcome.FAIL
    import openai  # takes a second, and most runs of the tests judge nothing

    if isinstance(error, openai.APIStatusError | RequestRefused):
        return "request-failed", Outcome.FAIL
    if isinstance(error, openai.APIConnectionError | EngineError):
        return "engine-unreachable", Outcome.FAIL
    if isinstance(error, AssertionError | ResponseError | openai.OpenAIError):
        return "wrong-answer", Outcome.FAIL
    return "harness-error", Outcome.INFRA
