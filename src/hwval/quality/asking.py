"""Asks an engine for what the detectors look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hwval.clock import utc_now
from hwval.generate import Answer
from hwval.generate import Generation
from hwval.quality.agreement import compare
from hwval.quality.logprobs import passage
from hwval.quality.reference import Reference

__all__ = [
    "NO_TOKENS",
    "PROMPTS",
    "can_be_told",
    "differences",
    "passage_logprobs",
    "record_reference",
    "write_texts",
]

NO_TOKENS: Final = "answers differ, and a server that tells no tokens leaves open why"
"""Reason of a question that cannot tell a near tie from a wrong answer."""

PROMPTS: Final = (
    "The harbour was quiet that morning. Two fishermen",
    "To make a simple vegetable soup, first",
    "Question: Why does ice float on water?\nAnswer:",
    "Dear neighbours,\n\nI am writing to tell you that",
    "The history of the printing press begins",
    "Three good reasons to ride a bicycle to work are",
)
"""Beginnings that any language model can go on with, written for this project."""
_TEXT_TOKENS: Final = 96
_REFERENCE_TOKENS: Final = 24


def write_texts(ask: Generation) -> list[str]:
    """Return what the engine writes behind each of the prompts, greedily."""
    answers = ask.complete_together(PROMPTS, max_tokens=_TEXT_TOKENS)
    return [answer.text for answer in answers]


def passage_logprobs(ask: Generation) -> tuple[str, tuple[float, ...] | None]:
    """Return the fixed text, cut to the context, and how the engine foresees its tokens."""
    text = ask.fitting(passage())
    return text, ask.score(text)


def record_reference(ask: Generation, *, cell: str, model: str, version: str | None) -> Reference:
    """Ask one prompt after the other, so that each answer is alone in its batch.

    Args:
        ask: The engine.
        cell: Its cell's id.
        model: Its cell's model.
        version: Of its vLLM, None if it does not tell.
    """
    answers = [ask.speak(prompt, tokens=_REFERENCE_TOKENS) for prompt in PROMPTS]
    _, logprobs = passage_logprobs(ask)
    return Reference(
        cell=cell,
        model=model,
        vllm=version,
        recorded_at=utc_now().isoformat(timespec="seconds"),
        prompts=PROMPTS,
        answers=tuple(answers),
        passage_logprobs=logprobs or (),
    )


def can_be_told(alone: Sequence[Answer], together: Sequence[Answer]) -> bool:
    """Tell whether answers are the same, or come with the tokens that tell how they differ."""
    has_tokens = all(answer.tokens for answer in (*alone, *together) if answer.text)
    return has_tokens or [one.text for one in alone] == [other.text for other in together]


def differences(
    alone: Sequence[Answer], together: Sequence[Answer], *, limit_nats: float
) -> list[str]:
    """Return what rounding does not explain of answers to the same prompts, as text for people.

    Args:
        alone: Each answer alone in its batch.
        together: The answers in a busy one.
        limit_nats: How far apart two tokens may be for rounding to swap them; 0 allows nothing.
    """
    told = []
    for expected, found in zip(alone, together, strict=True):
        agreement = compare(expected, found)
        if not agreement.is_close(limit_nats):
            drift = f"log probabilities drift by {agreement.drift_nats:.3g} nats"
            told.append(str(agreement.difference or drift))
    return told
