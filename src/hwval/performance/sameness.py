"""Are answers the same with and without speculative decoding?

Rejection sampling keeps the target model's distribution, and greedy answers are then the same up
to the arithmetic: a step of several tokens adds numbers in another order than a step of one, so
that two tokens that the model likes equally may change places. From there on both answers go their
own way, so the first difference alone is judged.

Source: docs/features/speculative_decoding of vLLM, "Lossless guarantees".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from hwval.errors import UsageError
from hwval.generate import Generation

__all__ = [
    "Greedy",
    "greedy_answers",
    "read_answers",
    "surely_changed",
    "why_not_comparable",
    "write_answers",
]

# bfloat16 has 8 bits of significand: logits of 16 to 32 are 1/8 apart, and two of them may each be
# rounded the other way.
_TIE_NATS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Greedy:
    """One greedy answer.

    Attributes:
        prompt: What was asked.
        tokens: Text of each token.
        alternatives: Of each token the likeliest ones in its place: text -> log probability.
    """

    prompt: str
    tokens: tuple[str, ...]
    alternatives: tuple[Mapping[str, float], ...]


def greedy_answers(generation: Generation, count: int, tokens: int) -> list[Greedy]:
    """Ask the engine for greedy answers.

    Args:
        generation: Speaks with it.
        count: How many prompts, the same for every cell.
        tokens: Length of each answer at most.
    """
    prompts = generation.prompts(count)
    answers = [generation.speak(prompt, tokens=tokens) for prompt in prompts]
    return [
        Greedy(prompt, one.tokens, one.alternatives)
        for prompt, one in zip(prompts, answers, strict=True)
    ]


def why_not_comparable(own: Sequence[Greedy], other: Sequence[Greedy], tokens: int) -> str:
    """Return why answers decide nothing, empty if they can be compared.

    Args:
        own: Answers with speculation.
        other: Answers without.
        tokens: Length that was asked for.
    """
    if [one.prompt for one in own] != [one.prompt for one in other]:
        return "answers with and without speculation are to different prompts"
    if not all(one.tokens and len(one.alternatives) == len(one.tokens) for one in (*own, *other)):
        return "a server tells no log probabilities of some tokens: answers cannot be compared"
    if short := next((one for one in other if len(one.tokens) != tokens), None):
        found = len(short.tokens)
        return f"without speculation, {short.prompt!r} has {found} tokens, asked for {tokens}"
    return ""


def surely_changed(own: Sequence[Greedy], other: Sequence[Greedy]) -> list[str]:
    """Return how answers differ where the model surely preferred another token, in words.

    Args:
        own: Answers with speculation.
        other: Answers to the same prompts without; their log probabilities are the model's word.
    """
    pairs = zip(own, other, strict=True)
    return [text for one, two in pairs if (text := _change(one, two)) is not None]


def _change(own: Greedy, other: Greedy) -> str | None:
    steps = zip(own.tokens, other.tokens, other.alternatives, strict=False)
    for place, (ours, theirs, known) in enumerate(steps):
        if ours == theirs:
            continue
        lost = known.get(theirs, 0.0) - known[ours] if ours in known else None
        if lost is not None and lost <= _TIE_NATS:
            return None
        by = "is none of its likeliest" if lost is None else f"is {lost:.2f} nats less likely"
        return f"token {place + 1} after {own.prompt!r}: {ours!r} {by}, it prefers {theirs!r}"
    if len(own.tokens) != len(other.tokens):
        return f"after {own.prompt!r}: {len(own.tokens)} tokens, {len(other.tokens)} without"
    return None


def write_answers(answers: Sequence[Greedy]) -> str:
    """Return answers as JSON lines."""
    lines = [
        json.dumps(
            {
                "prompt": one.prompt,
                "tokens": list(one.tokens),
                "alternatives": [dict(step) for step in one.alternatives],
            },
            ensure_ascii=False,
        )
        for one in answers
    ]
    return "".join(f"{line}\n" for line in lines)


def read_answers(text: str) -> list[Greedy]:
    """Read what `write_answers` wrote.

    Raises:
        UsageError: It is not of that form.
    """
    try:
        return [_answer(json.loads(line)) for line in text.split("\n") if line]
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"answers of another cell: {error!r}, expected JSON lines") from error


def _answer(data: Mapping[str, Any]) -> Greedy:
    return Greedy(data["prompt"], tuple(data["tokens"]), tuple(data["alternatives"]))
