"""Requests to a live engine: what comes back has one form, whatever was asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest

from hwval.client import fetch_metrics
from hwval.client import openai_client
from hwval.engine.base import Endpoint
from hwval.errors import ResponseError
from hwval.generate import Generation
from tests.fakes.process import FakeEngineProcess


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
