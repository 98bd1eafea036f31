"""A sentence in a long text: where it stands, how long the text is, and what is missed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.capability.needle import ANSWER
from hwval.capability.needle import haystack
from hwval.capability.needle import look_for_needle
from hwval.capability.needle import sentences_within
from hwval.client import openai_client
from hwval.engine.base import Endpoint
from hwval.errors import ResponseError
from hwval.generate import Answer
from hwval.generate import Generation
from tests.fakes.process import FakeEngineProcess


@given(st.integers(0, 60), st.floats(0, 1))
def test_needle_stands_once_at_its_depth(sentences: int, depth: float) -> None:
    """As far in as asked, whatever the length; the question comes last."""
    prompt = haystack(sentences, depth)
    before = prompt.partition(ANSWER)[0].count("Boat")

    assert prompt.count(ANSWER) == 1
    assert before == round(depth * sentences)
    assert prompt.count("Boat") == sentences
    assert prompt.endswith("The number on the lighthouse door is")


def test_sentences_are_equally_long() -> None:
    """So that the length of many follows from that of few."""
    lengths = {len(haystack(count + 1, 0.0)) - len(haystack(count, 0.0)) for count in (1, 20, 3000)}

    assert len(lengths) == 1


def test_no_sentence_gives_the_answer_away() -> None:
    """The numbers of boats and boxes are others."""
    assert ANSWER not in haystack(3000, 0.5).replace(f"is {ANSWER}.", "", 1)


@given(st.integers(1, 60), st.integers(1, 400), st.integers(200, 100_000))
def test_length_comes_from_two_measurements(per_sentence: int, top: int, tokens: int) -> None:
    """Sentences of equal length fill the room and never more."""
    few, many = ((n, top + n * per_sentence) for n in (8, 24))
    count = sentences_within(tokens, few=few, many=many)

    assert count == 0 or top + count * per_sentence <= tokens
    assert top + (count + 1) * per_sentence > tokens


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generation]:
    """An engine that finds the needle in the second half of a text of 40 sentences alone."""
    file = tmp_path_factory.mktemp("answers") / "answers.jsonl"
    prompts = [haystack(count, depth) for count in range(80) for depth in (0.75, 1.0)]
    rows = [
        {"prompt_sha256": sha256(prompt.encode()).hexdigest(), "text": f" {ANSWER}."}
        for prompt in prompts
    ]
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    arguments = ["--max-model-len", "8192"]
    with FakeEngineProcess("fake", {"answers_file": str(file), "itl_s": 0}, arguments) as server:
        endpoint = Endpoint(server.base_url, str(server.api_key))
        with openai_client(endpoint, 20.0) as client:
            yield Generation(client, model="fake", context_tokens=8192, metrics=dict)


def test_missed_depths_are_told(knowing: Generation) -> None:
    """With what was said there; depths at which it was found are not."""
    search = look_for_needle(knowing, 2000, (0.25, 0.75, 1.0))

    assert len(search.missed) == 1
    assert 1900 < search.prompt_tokens <= 2000 - 16
    assert search.missed[0].startswith(f"at 25% of {search.prompt_tokens} tokens: ' ")


@pytest.mark.parametrize(
    ("said", "missed"), [(f" {ANSWER}.", 0), (f"1{ANSWER}", 1), (f"{ANSWER}0", 1), ("", 1)]
)
def test_only_the_number_itself_is_the_answer(said: str, missed: int) -> None:
    """Of a long text one boat's number ends in it."""
    search = look_for_needle(_Said(said, 15), 2000, (0.5,))  # type: ignore[arg-type]

    assert len(search.missed) == missed


@pytest.mark.parametrize("per_sentence", [0, 0.5])
def test_a_server_that_does_not_count_tells_nothing_of_a_length(per_sentence: float) -> None:
    """Neither found nor missed: how long the text was is not known."""
    with pytest.raises(ResponseError, match="the server counts"):
        look_for_needle(_Said(ANSWER, per_sentence), 2000, (0.5,))  # type: ignore[arg-type]


def test_a_text_that_was_cut_is_no_long_context() -> None:
    """As by a server that keeps the end alone, where the needle may stand."""
    with pytest.raises(ResponseError, match="counts 500: what it answers says nothing"):
        look_for_needle(_Said(ANSWER, 15, most=500), 2000, (1.0,))  # type: ignore[arg-type]


class _Said:
    """Stands in for `Generation`: says one thing, and counts so many tokens a sentence."""

    def __init__(self, said: str, per_sentence: float, most: int = 10**6) -> None:
        self._said, self._per_sentence, self._most = said, per_sentence, most

    def complete(self, prompt: str, *, max_tokens: int) -> Answer:
        del max_tokens
        tokens = min(int(prompt.count("Boat") * self._per_sentence), self._most)
        return Answer(self._said, "length", prompt_tokens=tokens)
