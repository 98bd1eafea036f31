"""Does the engine answer requests as the OpenAI API and vLLM's documentation say, and soundly?

The text of a synthetic checkpoint has no meaning, so most questions compare the engine with itself
or with what the request asked for; those about the text itself are for real weights.
"""

from __future__ import annotations

import pytest

from fixtures.capability import Promised
from fixtures.record import Record
from hwval.cell import Cell
from hwval.generate import Generation
from hwval.live import LiveEngine
from hwval.matrix import PromisesSection
from hwval.quality.asking import NO_TOKENS
from hwval.quality.asking import can_be_told
from hwval.quality.asking import differences
from hwval.quality.asking import passage_logprobs
from hwval.quality.asking import record_reference
from hwval.quality.asking import write_texts
from hwval.quality.logprobs import UNLEARNED_BITS
from hwval.quality.logprobs import Surprise
from hwval.quality.logprobs import trouble_with
from hwval.quality.reference import REFERENCE_NAME
from hwval.quality.reference import Reference
from hwval.quality.signs import are_garbage
from hwval.quality.signs import signs_of_answers

pytestmark = [pytest.mark.generate, pytest.mark.usefixtures("writes_text")]


def test_completion(ask: Generation) -> None:
    """A completion answers with text and counts its tokens."""
    answer = ask.complete()

    assert answer.text
    assert answer.prompt_tokens > 0
    assert 0 < answer.output_tokens <= ask.output_tokens


@pytest.mark.usefixtures("chats")
def test_chat(ask: Generation) -> None:
    """A chat request answers as the assistant."""
    answer = ask.chat()

    assert answer.role == "assistant"
    assert answer.text
    assert answer.output_tokens > 0


def test_stream_completion(ask: Generation) -> None:
    """The pieces of a streamed completion make up the text of the whole one."""
    assert ask.stream().text == ask.complete().text


@pytest.mark.usefixtures("chats")
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
    """Each token comes with a finite log probability, never above zero and not all alike."""
    answer = ask.complete(logprobs=3)

    assert len(answer.logprobs) == answer.output_tokens
    assert not trouble_with(answer.logprobs)


def test_prompt_logprobs(ask: Generation, record: Record) -> None:
    """Each token of a text that is read has a finite log probability, and they differ."""
    _, logprobs = passage_logprobs(ask)
    logprobs = record.needed(logprobs, "the server tells no log probabilities of a prompt")

    assert not trouble_with(logprobs)


def test_greedy(ask: Generation, cell: Cell, engine: LiveEngine, record: Record) -> None:
    """Greedy answers are sound numbers, and kept for other cells to be held against."""
    greedy = record_reference(ask, cell=cell.id, model=cell.model, version=engine.version)

    assert not greedy.trouble
    record.enough(is_enough=greedy.has_tokens, otherwise="the server tells no tokens of answers")
    record.attach("reference", REFERENCE_NAME, greedy.to_json())


def test_reference(
    ask: Generation, cell: Cell, reference: Reference, promised: Promised, record: Record
) -> None:
    """Greedy answers agree with those of the reference, and log probabilities are close."""
    greedy = record_reference(ask, cell=cell.id, model="", version=None)
    assert not greedy.trouble
    has_tokens = greedy.has_tokens and reference.has_tokens
    record.enough(is_enough=has_tokens, otherwise="a side tells no tokens, so nothing is compared")
    close = reference.held_against(greedy)
    record.number("greedy_agreement_ratio", close.common_share)
    record.number("known_differences_ratio", close.known_share)
    record.number("logprob_drift_nats", close.drift_nats)

    assert promised.is_close(close), str(close)
    is_same_text = reference.reads_as(greedy)
    record.enough(is_enough=is_same_text, otherwise="the fixed text has other tokens, or is cut")


@pytest.mark.usefixtures("writes_text", "real_weights")
def test_sound_text(ask: Generation, record: Record) -> None:
    """What it writes reads as text: no loops, no broken characters, no soup of scripts."""
    texts = write_texts(ask)
    record.attach("texts", "texts.md", "\n\n---\n\n".join(texts))
    findings = signs_of_answers(texts)
    record.number("texts_with_signs", sum(map(bool, findings)))

    assert not are_garbage(findings), "; ".join(str(s) for signs in findings for s in signs)


def test_perplexity(
    ask: Generation, promises: PromisesSection, promised: Promised, record: Record
) -> None:
    """A page of plain prose does not surprise it: as promised, or less than words alone would."""
    bound = promises.generate.perplexity
    record.needed(bound or promised.has_meaning or None, "random weights and no promise")
    text, logprobs = passage_logprobs(ask)
    if bound is None:
        record.needed(logprobs, "the server tells no log probabilities of a prompt")
    assert logprobs, "a perplexity is promised, and the server tells no log probabilities"
    assert not trouble_with(logprobs)
    seen = Surprise.of(logprobs, text)
    record.number("perplexity", seen.perplexity)
    record.number("bits_per_character", seen.bits_per_character)

    assert bound is None or seen.perplexity <= bound.limit
    assert bound is not None or seen.bits_per_character < UNLEARNED_BITS


def test_batch(ask: Generation, promised: Promised, record: Record) -> None:
    """Eight requests at once each get the answer to their own prompt, up to near ties."""
    alone = [ask.speak(prompt, tokens=ask.output_tokens) for prompt in ask.prompts(8)]
    together = ask.speak_together(ask.prompts(8), tokens=ask.output_tokens)
    record.enough(is_enough=can_be_told(alone, together), otherwise=NO_TOKENS)
    unexplained = differences(alone, together, limit_nats=promised.batch_nats)

    assert not unexplained


def test_busy_batch(ask: Generation, promised: Promised, record: Record) -> None:
    """The same answers come out of a batch that other requests join and leave all the time."""
    alone = [ask.speak(prompt, tokens=ask.output_tokens) for prompt in ask.prompts(4)]
    amid = ask.speak_together(ask.prompts(4), tokens=ask.output_tokens, amid_traffic=True)
    record.enough(is_enough=can_be_told(alone, amid), otherwise=NO_TOKENS)
    unexplained = differences(alone, amid, limit_nats=promised.batch_nats)

    assert not unexplained


@pytest.mark.usefixtures("chats")
def test_unicode(ask: Generation) -> None:
    """A prompt in many scripts is answered with valid text, streamed and whole alike."""
    whole = ask.chat(prompt=ask.unicode_prompt)

    assert whole.text
    assert whole.text == whole.text.encode("utf-8", "replace").decode("utf-8")  # no half characters
    assert ask.stream_chat(prompt=ask.unicode_prompt).text == whole.text


def test_context_limit(ask: Generation) -> None:
    """A prompt that leaves room for one word in the context is answered."""
    longest = ask.context_tokens - ask.word_tokens
    answer = ask.complete(prompt=ask.prompt_of(at_least=longest), max_tokens=1)

    assert longest <= answer.prompt_tokens < ask.context_tokens
    assert answer.output_tokens == 1


def test_beyond_context(ask: Generation) -> None:
    """A prompt beyond the context is refused with a 400 that names the limit."""
    import openai  # takes a second, which collecting can do without

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
