"""Requests to a live engine: what comes back has one form, whatever was asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from openai.types import Completion

from hwval.client import fetch_metrics
from hwval.client import openai_client
from hwval.engine.base import Endpoint
from hwval.errors import ResponseError
from hwval.generate import Generation
from hwval.generate import _likeliest
from tests.fakes.process import FakeEngineProcess
from tests.fakes.replies import client_hearing


@contextmanager
def asking(scenario: dict[str, Any] | None = None, **options: Any) -> Iterator[Generation]:
    """Run a fake engine and give the means to ask it."""
    with FakeEngineProcess("fake", scenario, ["--max-model-len", "512"]) as server:
        endpoint = Endpoint(server.base_url, str(server.api_key))
        with openai_client(endpoint, 5.0) as client:
            options = {"context_tokens": 512} | options
            yield Generation(
                client, model="fake", metrics=lambda: fetch_metrics(endpoint), **options
            )


@pytest.fixture(scope="module")
def ask() -> Iterator[Generation]:
    """A healthy engine."""
    with asking() as generation:
        yield generation


def test_four_ways_to_ask_give_one_form(ask: Generation) -> None:
    """Whole and streamed answers say the same; a stream tells its pieces, chat its role."""
    whole, streamed = ask.complete(), ask.stream()
    chat, streamed_chat = ask.chat(), ask.stream_chat()

    assert (streamed.text, streamed.finish_reason) == (whole.text, whole.finish_reason)
    assert (streamed_chat.text, streamed_chat.finish_reason) == (chat.text, chat.finish_reason)
    assert (whole.pieces, streamed.pieces > 1) == (0, True)
    assert (whole.role, chat.role) == ("", "assistant")
    assert whole.output_tokens == ask.output_tokens


@pytest.mark.parametrize("reply", ["<html>", '{"choices": [', "null", "{}", '{"choices": [null]}'])
@pytest.mark.parametrize("way", ["complete", "chat", "score"])
def test_another_form_is_the_servers_fault(way: str, reply: str) -> None:
    """Status 200 with anything: a wrong answer, and no error of whoever reads it."""
    with client_hearing(reply) as client:
        generation = Generation(client, model="m", context_tokens=None, metrics=dict)
        with pytest.raises(ResponseError, match="not of the form that the OpenAI API has"):
            getattr(generation, way)("a prompt")


def test_wishes_reach_the_engine(ask: Generation) -> None:
    """A question sets what it needs; the rest is greedy and short."""
    answer = ask.complete(max_tokens=3, ignore_eos=True, logprobs=2)

    assert (answer.output_tokens, len(answer.logprobs)) == (3, 3)


def test_requests_at_the_same_time_come_back_in_order(ask: Generation) -> None:
    """Each prompt gets its own answer."""
    prompts = ask.prompts(4)

    assert len(set(prompts)) == 4
    assert [answer.text for answer in ask.complete_together(prompts)] == [
        ask.complete(prompt=prompt).text for prompt in prompts
    ]


def test_spoken_answers_tell_their_tokens(ask: Generation) -> None:
    """Each token has its log probability and alternatives, past any natural end."""
    answer = ask.speak("one two", tokens=300)

    assert len(answer.tokens) == len(answer.logprobs) == len(answer.alternatives) == 300
    assert "".join(answer.tokens) == answer.text
    assert all(
        token in likeliest
        for token, likeliest in zip(answer.tokens, answer.alternatives, strict=True)
    )


@pytest.mark.parametrize("amid_traffic", [False, True], ids=["quiet", "busy"])
def test_answers_of_a_batch_come_in_order(ask: Generation, *, amid_traffic: bool) -> None:
    """Each prompt gets its own, whatever else is going on."""
    prompts = ask.prompts(3)
    alone = [ask.speak(prompt, tokens=6) for prompt in prompts]

    assert ask.speak_together(prompts, tokens=6, amid_traffic=amid_traffic) == alone


def test_text_is_scored_token_by_token(ask: Generation) -> None:
    """All tokens but the first, finite and not above zero."""
    scores = ask.score(" ba be bi bo")

    assert scores is not None
    assert len(scores) == 3
    assert all(-2 <= score <= 0 for score in scores)


def _answering(ask: Generation, monkeypatch: pytest.MonkeyPatch, **choice: Any) -> None:
    """Let every completion be ``choice``."""
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    choices = [{"index": 0, "text": "", "finish_reason": "length", **choice}]
    made = Completion.construct(id="1", model="fake", usage=usage, choices=choices)
    monkeypatch.setattr(ask._client.completions, "create", lambda **_: made)


@pytest.mark.parametrize(
    ("choice", "scores"),
    [
        pytest.param({}, None, id="tells-nothing"),
        pytest.param(
            {"logprobs": {"token_logprobs": [None, -1.0, -2.0, -0.5]}}, (-1.0, -2.0), id="echo"
        ),
        pytest.param({"logprobs": {"token_logprobs": [-0.5]}}, None, id="echo-ignored"),
        pytest.param(
            {"prompt_logprobs": [None, {"5": {"logprob": -1.0}}, {"6": {"logprob": -2.0}}]},
            (-1.0, -2.0),
            id="vllm",
        ),
    ],
)
def test_scores_of_other_servers(
    ask: Generation,
    choice: dict[str, Any],
    scores: tuple[float, ...] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By vLLM's own field, by the echo of the prompt, or not at all."""
    _answering(ask, monkeypatch, **choice)

    assert ask.score("a b c") == scores


def test_null_is_no_number(ask: Generation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that cannot write NaN write null; it must not vanish."""
    _answering(ask, monkeypatch, prompt_logprobs=[None, {"5": {"logprob": None}}, {}])
    scores = ask.score("a b c")

    assert scores is not None
    assert [math.isnan(score) for score in scores] == [True, True]


@pytest.mark.parametrize(
    ("context_tokens", "fits"),
    [(None, 1000), (512, 448), (80, 16), (10, 1)],
    ids=["unknown", "cut", "little", "least"],
)
def test_text_is_cut_to_the_context(ask: Generation, context_tokens: int | None, fits: int) -> None:
    """Bytes bound tokens; characters stay whole."""
    small = Generation(ask._client, model="fake", context_tokens=context_tokens, metrics=dict)

    assert len(small.fitting("a" * 1000)) == fits
    assert len(small.fitting("é" * 500).encode()) <= fits
    assert "\ufffd" not in small.fitting("é" * 500)


@pytest.mark.parametrize("at_least", [100, 257, 511])
def test_prompt_has_the_tokens_asked_for(ask: Generation, at_least: int) -> None:
    """By the engine's own count, at most one word more."""
    counted = ask.complete(prompt=ask.prompt_of(at_least=at_least), max_tokens=1).prompt_tokens

    assert at_least <= counted < at_least + ask.word_tokens


def test_stop_string_comes_from_inside(ask: Generation) -> None:
    """A piece of the answer itself; an answer without a middle is refused."""
    assert ask.middle_of("abcdefgh") == "efgh"
    with pytest.raises(ResponseError, match="the answer 'a' is too short to stop in its middle"):
        ask.middle_of("a")


def test_hanging_up_frees_the_slot() -> None:
    """The engine is idle soon after, and has not generated to the end."""
    with asking({"itl_s": 0.02}) as ask:
        ask.hang_up(streams=1, after_pieces=2)

        assert ask.is_idle(within_s=5.0)
        assert (ask.generated_tokens() or 0) < ask.longest_output_tokens


def test_leaked_slot_is_seen() -> None:
    """An engine that works on for nobody is not idle."""
    with asking({"itl_s": 0.02, "leak_slots": True}) as ask:
        ask.hang_up(streams=1, after_pieces=2)

        assert not ask.is_idle(within_s=0.3)


def test_server_without_metrics_does_not_tell() -> None:
    """Nothing is made up for what is not said."""
    with asking() as ask:
        ask._metrics = dict

        assert ask.generated_tokens() is None
        assert not ask.is_idle(within_s=0.0)


def test_unknown_context_length_is_an_error() -> None:
    """A question that needs it says so; it is never taken for 0."""
    with asking(context_tokens=None) as ask, pytest.raises(ResponseError, match="max_model_len"):
        _ = ask.context_tokens


def test_broken_stream_is_an_error() -> None:
    """A connection that ends in the middle is no short answer."""
    with asking({"cut_after_tokens": 3}) as ask, pytest.raises(openai.OpenAIError):
        ask.stream()


def test_refusals_are_not_retried() -> None:
    """A retry would hide what the question looks for."""
    with asking({"error_every": 2}) as ask:
        ask.complete()
        with pytest.raises(openai.InternalServerError):
            ask.complete()


def test_an_alternative_without_a_number_is_none() -> None:
    """JSON has no NaN, so some servers write null for it."""
    assert _likeliest({"a": -1.0, "b": None, "c": math.nan}) == {"a": -1.0}
    assert _likeliest(None) == {}
