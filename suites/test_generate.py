"""Does the engine answer requests as the OpenAI API and vLLM's documentation say?

The text of a synthetic checkpoint has no meaning, so each question compares the engine with itself
or with what the request asked for.
"""

from __future__ import annotations

import openai
import pytest

from fixtures.record import Record
from hwval.generate import Generation
from hwval.live import LiveEngine

pytestmark = pytest.mark.generate


def test_completion(ask: Generation) -> None:
    """A completion answers with text and counts its tokens."""
    answer = ask.complete()

    assert answer.text
    assert answer.prompt_tokens > 0
    assert 0 < answer.output_tokens <= ask.output_tokens


def test_chat(ask: Generation) -> None:
    """A chat request answers as the assistant."""
    answer = ask.chat()

    assert answer.role == "assistant"
    assert answer.text
    assert answer.output_tokens > 0


def test_stream_completion(ask: Generation) -> None:
    """The pieces of a streamed completion make up the text of the whole one."""
    assert ask.stream().text == ask.complete().text


def test_stream_chat(ask: Generation) -> None:
    """The pieces of a streamed chat answer make up the text of the whole one."""
    assert ask.stream_chat().text == ask.chat().text


def test_stop_string(ask: Generation) -> None:
    """Generation ends before a stop string, which is not part of the text."""
    text = ask.complete().text
    stop = ask.middle_of(text)
    stopped = ask.complete(stop=stop)

    assert stopped.finish_reason == "stop"
    assert stopped.text == text[: text.index(stop)]


def test_max_tokens(ask: Generation) -> None:
    """Generation ends at max_tokens and says so."""
    answer = ask.complete(max_tokens=5, ignore_eos=True)

    assert answer.output_tokens == 5
    assert answer.finish_reason == "length"


def test_greedy_repeats(ask: Generation) -> None:
    """The same greedy request twice gives the same text."""
    assert ask.complete().text == ask.complete().text


def test_seed_repeats(ask: Generation) -> None:
    """The same sampled request with the same seed gives the same text."""
    first = ask.complete(temperature=1.0, seed=7)

    assert ask.complete(temperature=1.0, seed=7).text == first.text


def test_logprobs(ask: Generation) -> None:
    """Each token comes with finite log probabilities, the chosen one never above zero."""
    answer = ask.complete(logprobs=3)

    assert len(answer.logprobs) == answer.output_tokens
    assert all(float("-inf") < logprob <= 0 for logprob in answer.logprobs)


def test_batch(ask: Generation) -> None:
    """Eight requests at once each get the answer to their own prompt."""
    alone = [ask.complete(prompt=prompt).text for prompt in ask.prompts(8)]
    together = ask.complete_together(ask.prompts(8))

    assert [answer.text for answer in together] == alone


def test_unicode(ask: Generation) -> None:
    """A prompt in many scripts is answered with valid text, streamed and whole alike."""
    whole = ask.chat(prompt=ask.unicode_prompt)

    assert whole.text.encode("utf-8")
    assert ask.stream_chat(prompt=ask.unicode_prompt).text == whole.text


def test_context_limit(ask: Generation) -> None:
    """A prompt that leaves room for one word in the context is answered."""
    longest = ask.context_tokens - ask.word_tokens
    answer = ask.complete(prompt=ask.prompt_of(at_least=longest), max_tokens=1)

    assert longest <= answer.prompt_tokens < ask.context_tokens
    assert answer.output_tokens == 1


def test_beyond_context(ask: Generation) -> None:
    """A prompt beyond the context is refused with a 400 that names the limit."""
    with pytest.raises(openai.BadRequestError, match=str(ask.context_tokens)):
        ask.complete(prompt=ask.prompt_of(at_least=ask.context_tokens + 1), max_tokens=1)


def test_cancel(ask: Generation, engine: LiveEngine, record: Record) -> None:
    """Clients that hang up in mid-stream free their slots and are written for no longer."""
    record.needed(ask.generated_tokens(), "the server has no /metrics to tell")
    seen = ask.hang_up(streams=8, after_pieces=2)
    record.enough(is_enough=seen.is_midstream, otherwise="the answers ended before the hang-up")

    assert ask.is_idle(within_s=engine.deadlines.answer_s)
    written = (ask.generated_tokens() or 0) - seen.generated_tokens
    record.number("left_at_hang_up_tokens", seen.left_tokens)
    record.number("written_after_hang_up_tokens", written)
    assert written < seen.left_tokens / 2
