"""Asking for what the detectors look at, of engines that are well and engines that are not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import openai
import pytest

from hwval.client import fetch_metrics
from hwval.client import openai_client
from hwval.engine.base import Endpoint
from hwval.generate import Answer
from hwval.generate import Generation
from hwval.quality.asking import PROMPTS
from hwval.quality.asking import can_be_told
from hwval.quality.asking import differences
from hwval.quality.asking import passage_logprobs
from hwval.quality.asking import record_reference
from hwval.quality.asking import write_texts
from hwval.quality.logprobs import passage
from hwval.quality.logprobs import trouble_with
from hwval.quality.signs import are_garbage
from hwval.quality.signs import signs_of_answers
from tests.fakes.process import FakeEngineProcess


@contextmanager
def asking(context_tokens: int = 2048, **scenario: Any) -> Iterator[Generation]:
    """Run a fake engine and give the means to ask it."""
    arguments = ["--max-model-len", str(context_tokens)]
    with FakeEngineProcess("fake", {"itl_s": 0.0, **scenario}, arguments) as server:
        endpoint = Endpoint(server.base_url, str(server.api_key))
        with openai_client(endpoint, 20.0) as client:
            yield Generation(
                client,
                model="fake",
                context_tokens=context_tokens,
                metrics=lambda: fetch_metrics(endpoint),
            )


@pytest.fixture(scope="module")
def ask() -> Iterator[Generation]:
    """A healthy engine."""
    with asking() as generation:
        yield generation


def test_healthy_engine_writes_no_garbage(ask: Generation) -> None:
    """Made-up words are text to a detector of characters."""
    texts = write_texts(ask)

    assert len(texts) == len(PROMPTS)
    assert not are_garbage(signs_of_answers(texts))


@pytest.mark.parametrize("kind", ["repetition", "binary", "empty"])
def test_garbage_is_caught(kind: str) -> None:
    """Loops, bytes that are no text, and nothing at all."""
    with asking(garbage=kind) as ask:
        assert are_garbage(signs_of_answers(write_texts(ask)))


def test_passage_is_read_token_by_token(ask: Generation) -> None:
    """All tokens but the first have a log probability, and nothing is wrong with them."""
    text, logprobs = passage_logprobs(ask)

    assert text == passage()
    assert logprobs is not None
    assert len(logprobs) == ask.complete(text, max_tokens=1).prompt_tokens - 1
    assert trouble_with(logprobs) == ""


def test_passage_is_cut_to_a_small_context() -> None:
    """A context that the whole of it would not fit in is no failure."""
    with asking(context_tokens=256) as ask:
        text, logprobs = passage_logprobs(ask)

        assert passage().startswith(text)
        assert logprobs


def test_flat_logits_are_caught() -> None:
    """Weights that are zero make every token as likely as any other."""
    with asking(lies=["flat"]) as ask:
        _, logprobs = passage_logprobs(ask)

        assert "log probabilities are -7" in trouble_with(logprobs or ())


def test_numbers_that_json_cannot_hold_are_a_refusal() -> None:
    """vLLM answers 400 where a log probability is no number; its words come through."""
    with asking(lies=["nan"]) as ask, pytest.raises(openai.BadRequestError, match="Out of range"):
        passage_logprobs(ask)


def test_reference_is_the_same_twice(ask: Generation) -> None:
    """Nothing of it depends on time but its date."""
    first, second = (record_reference(ask, cell="c", model="m", version="0.32.0") for _ in range(2))

    assert first == replace(second, recorded_at=first.recorded_at)
    assert first.prompts == PROMPTS
    assert all(len(answer.tokens) == len(answer.logprobs) == 24 for answer in first.answers)
    assert first.passage_logprobs


@pytest.mark.parametrize("amid_traffic", [False, True], ids=["eight", "busy"])
def test_batches_of_a_healthy_engine_agree(ask: Generation, *, amid_traffic: bool) -> None:
    """Answers in a batch are those that each prompt gets alone."""
    prompts = ask.prompts(4)
    alone = [ask.speak(prompt, tokens=8) for prompt in prompts]
    together = ask.speak_together(prompts, tokens=8, amid_traffic=amid_traffic)

    assert differences(alone, together, limit_nats=0.0) == []


def test_mixed_up_batch_is_caught() -> None:
    """Answers to other prompts are no near ties."""
    with asking(lies=["crosstalk"], ttft_s=0.3) as ask:
        prompts = ask.prompts(2)
        alone = [ask.speak(prompt, tokens=8) for prompt in prompts]
        together = ask.speak_together(prompts, tokens=8, amid_traffic=True)

        assert differences(alone, together, limit_nats=0.78)


def test_servers_without_tokens_can_be_told_by_sameness_alone() -> None:
    """Where texts differ and no tokens are told, nobody knows whether it was a near tie."""
    one, other = Answer("a", "length"), Answer("b", "length")
    told = Answer("b", "length", tokens=("b",))

    assert can_be_told([one], [one])
    assert not can_be_told([one], [other])
    assert can_be_told([told], [told])
    assert can_be_told([Answer("", "stop")], [told])
