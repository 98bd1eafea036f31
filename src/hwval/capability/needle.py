"""A sentence in a long text, and whether it is found again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hwval.errors import ResponseError
from hwval.generate import Generation

__all__ = ["ANSWER", "Search", "haystack", "look_for_needle", "sentences_within"]

_MEASURED_SENTENCES: Final = (8, 24)
_ANSWER_TOKENS: Final = 16
_FIRST_BOAT: Final = 10_001
ANSWER: Final = "7412"
"""What must stand in the answer."""
# Of a hundred thousand tokens and more one boat's number ends in it.
_FOUND: Final = re.compile(rf"(?<!\d){ANSWER}(?!\d)")
# Of the wanted tokens; a short prompt has no room for its last sentence.
_SHORTEST: Final = 0.75
_NEEDLE: Final = f"The number on the lighthouse door is {ANSWER}. "
# A question that models with and without training on chats finish alike.
_QUESTION: Final = (
    "\n\nQuestion: Which number is on the lighthouse door?\n"
    "Answer: The number on the lighthouse door is"
)


@dataclass(frozen=True, slots=True)
class Search:
    """What became of looking for the needle.

    Attributes:
        prompt_tokens: Tokens of the shortest prompt that was sent, as the server counts them.
        missed: Depths at which the needle was not found again, with what was said there.
    """

    prompt_tokens: int
    missed: tuple[str, ...]


def haystack(sentences: int, depth: float) -> str:
    """Return a prompt that ends in the question.

    Args:
        sentences: Sentences around the needle, >= 0; they differ in their numbers, which are all
            of one length, so that some of them tell the tokens of many.
        depth: Where the needle stands, from 0 (before all others) to 1 (behind them).
    """
    lines = [
        f"Boat {number} came in with {(number * 37) % 90 + 10} boxes of fish. "
        for number in range(_FIRST_BOAT, _FIRST_BOAT + sentences)
    ]
    place = round(depth * sentences)
    return "".join([*lines[:place], _NEEDLE, *lines[place:]]) + _QUESTION


def sentences_within(tokens: int, *, few: tuple[int, int], many: tuple[int, int]) -> int:
    """Return how many sentences make a prompt of at most about ``tokens`` tokens.

    Args:
        tokens: Of the whole prompt.
        few: Sentences of one prompt, and its tokens as the server counts them.
        many: The same of a longer one.
    """
    per_sentence = max((many[1] - few[1]) / (many[0] - few[0]), 1.0)
    return max(int(few[0] + (tokens - few[1]) / per_sentence), 0)


def look_for_needle(ask: Generation, tokens: int, depths: Sequence[float]) -> Search:
    """Ask for the needle at every depth of a text.

    Args:
        ask: The engine.
        tokens: Length of the prompts, by its own count.
        depths: From 0 (the beginning) to 1 (the end), at least one.

    Raises:
        ResponseError: The server does not count tokens, or counts far fewer than it was sent.
    """
    few, many = ((count, _count_tokens(ask, count)) for count in _MEASURED_SENTENCES)
    sentences = sentences_within(tokens - _ANSWER_TOKENS, few=few, many=many)
    missed, sent_tokens = [], []
    for depth in depths:
        answer = ask.complete(haystack(sentences, depth), max_tokens=_ANSWER_TOKENS)
        if answer.prompt_tokens + _ANSWER_TOKENS < _SHORTEST * tokens:
            raise ResponseError(
                f"a prompt of about {tokens} tokens was sent, and the server counts "
                f"{answer.prompt_tokens}: what it answers says nothing of that length"
            )
        sent_tokens.append(answer.prompt_tokens)
        if not _FOUND.search(answer.text):
            missed.append(f"at {depth:.0%} of {answer.prompt_tokens} tokens: {answer.text!r}")
    return Search(min(sent_tokens), tuple(missed))


def _count_tokens(ask: Generation, sentences: int) -> int:
    tokens = ask.complete(haystack(sentences, 0.0), max_tokens=1).prompt_tokens
    if tokens < sentences:
        raise ResponseError(f"the server counts {tokens} tokens for {sentences} sentences")
    return tokens
