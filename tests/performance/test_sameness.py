"""Greedy answers with and without speculative decoding."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.errors import UsageError
from hwval.performance.sameness import Greedy
from hwval.performance.sameness import greedy_answers
from hwval.performance.sameness import read_answers
from hwval.performance.sameness import surely_changed
from hwval.performance.sameness import why_not_comparable
from hwval.performance.sameness import write_answers


def answer(tokens: str, *, second: dict[str, float] | None = None) -> Greedy:
    """Return an answer; ``second`` is what the model thinks of its second token's place."""
    steps = [{token: -0.1} for token in tokens]
    if second is not None:
        steps[1] = second
    return Greedy("prompt", tuple(tokens), tuple(steps))


def test_same_answers_have_not_changed() -> None:
    """Log probabilities may differ, tokens may not."""
    assert surely_changed([answer("abc")], [answer("abc", second={"b": -0.5})]) == []


def test_tie_is_no_change() -> None:
    """Where the model likes both about equally, arithmetic decides, and the rest follows."""
    assert surely_changed([answer("axy")], [answer("abc", second={"b": -0.7, "x": -0.8})]) == []


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"b": -0.1, "x": -3.0}, "2.90 nats less likely"),
        ({"b": -0.1, "c": -3.0}, "none of its likeliest"),
    ],
)
def test_token_that_the_model_does_not_prefer_is_a_change(
    known: dict[str, float], why: str
) -> None:
    """It is told with its place and both tokens."""
    [text] = surely_changed([answer("axc")], [answer("abc", second=known)])

    assert why in text
    assert text.startswith("token 2 after 'prompt': 'x'")


def test_shorter_answer_is_a_change() -> None:
    """All were asked for the same number of tokens."""
    assert surely_changed([answer("ab")], [answer("abc")]) == [
        "after 'prompt': 2 tokens, 3 without"
    ]


@pytest.mark.parametrize(
    ("own", "other", "why"),
    [
        ([answer("abc")], [], "different prompts"),
        ([answer("abc")], [replace(answer("abc"), prompt="p")], "different prompts"),
        ([answer("abc")], [replace(answer("abc"), alternatives=({"a": -1.0},))], "no log prob"),
        ([answer("")], [answer("")], "no log prob"),
        ([answer("ab")], [answer("ab")], "'prompt' has 2 tokens, asked for 3"),
        ([answer("ab")], [answer("abc")], ""),
    ],
)
def test_what_decides_nothing_is_not_compared(
    own: list[Greedy], other: list[Greedy], why: str
) -> None:
    """Cut answers of both sides are the same, and no sign of anything."""
    found = why_not_comparable(own, other, tokens=3)

    assert why in found
    assert bool(why) is bool(found)


@given(st.lists(st.text(max_size=5), max_size=4), st.text(max_size=9))
def test_answers_are_written_and_read(tokens: list[str], prompt: str) -> None:
    """Whatever characters tokens are made of."""
    one = Greedy(prompt, tuple(tokens), tuple({token: -1.5} for token in tokens))

    assert read_answers(write_answers([one, one])) == [one, one]


def test_other_files_are_refused() -> None:
    """With what was expected."""
    with pytest.raises(UsageError, match="JSON lines"):
        read_answers("{}")


def test_greedy_answers_are_those_to_the_prompts_of_every_cell() -> None:
    """In their order, as long as they are asked for."""
    spoken: Any = SimpleNamespace(
        prompts=lambda count: tuple(f"prompt {place}" for place in range(count)),
        speak=lambda prompt, *, tokens: SimpleNamespace(
            tokens=(prompt,) * tokens, alternatives=({prompt: -0.1},) * tokens
        ),
    )

    assert greedy_answers(spoken, 2, 3) == [
        Greedy(prompt, (prompt,) * 3, ({prompt: -0.1},) * 3) for prompt in ("prompt 0", "prompt 1")
    ]
