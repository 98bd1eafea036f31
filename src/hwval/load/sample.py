"""What one request came to: its recording, read after the run."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final

from hwval.inert import error_message
from hwval.load.failure import Failure
from hwval.load.failure import FailureKind
from hwval.load.parse import Answer
from hwval.load.parse import MalformedError
from hwval.load.parse import read_answer
from hwval.load.wire import Exchange

__all__ = ["Sample", "read_exchange"]

_HTTP_OK: Final = 200
_SHOWN_CHARACTERS: Final = 200
_WAITED: Final = frozenset({FailureKind.STALLED, FailureKind.TIMEOUT, FailureKind.CLOSED})
_MOST_PROMPT_TOKENS: Final = 10**9
# Where servers put what a model says in a chat, beside its content.
_SPOKEN: Final = ("content", "reasoning_content", "reasoning", "tool_calls", "refusal")


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. Times are CLOCK_MONOTONIC of this host, nanoseconds.

    Attributes:
        index: Number in the run.
        due_ns: When it was to be sent; None in a closed loop.
        sent_ns: When it was sent; 0 if it was not.
        ended_ns: When its answer ended or was given up.
        token_ns: Arrival of each event that carries output; may be fewer than tokens.
        output_tokens: Tokens of the answer.
        is_counted: Whether the server counted them (``usage``); events are counted otherwise.
        input_tokens: Tokens of the prompt as the server counted them, None if it did not.
        finish_reason: Why the answer ended, as the server says; None if it does not.
        failure: Why it does not count, None if it does.
        is_held: Whether it was due while every connection that there may be was in use.
    """

    index: int
    due_ns: int | None
    sent_ns: int
    ended_ns: int
    token_ns: array[int]
    output_tokens: int
    is_counted: bool
    input_tokens: int | None
    finish_reason: str | None
    failure: Failure | None
    is_held: bool = False

    @property
    def ttft_s(self) -> float:
        """Seconds from sending to the first output; only of a sample without failure."""
        return (self.token_ns[0] - self.sent_ns) / 1e9

    @property
    def e2el_s(self) -> float:
        """Seconds from sending to the last output; only of a sample without failure."""
        return (self.token_ns[-1] - self.sent_ns) / 1e9

    @property
    def tpot_s(self) -> float | None:
        """Seconds per token after the first, None for an answer of one token."""
        if self.output_tokens < 2:
            return None
        return (self.token_ns[-1] - self.token_ns[0]) / 1e9 / (self.output_tokens - 1)


@dataclass(slots=True)
class _Reading:
    """What the events of one stream told so far."""

    token_ns: array[int] = field(default_factory=lambda: array("q"))
    spoken_events: int = 0
    usage: dict[str, Any] = field(default_factory=dict)
    finish_reason: str | None = None
    is_done: bool = False
    failure: Failure | None = None

    def take(self, time_ns: int, data: bytes) -> None:
        """Read one event."""
        if data == b"[DONE]":
            self.is_done = True
            return
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            chunk = None
        if not isinstance(chunk, dict):
            self._fail(FailureKind.MALFORMED, f"event {_shorten(data)}")
            return
        if chunk.get("error"):
            self._fail(FailureKind.ERROR_EVENT, _shorten(error_message(data)))
            return
        if isinstance(usage := chunk.get("usage"), dict):
            self.usage = usage
        choices = chunk.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._take_choice(time_ns, choices[0])

    def _take_choice(self, time_ns: int, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        finish = choice.get("finish_reason")
        if isinstance(delta, dict):
            spoken = sum(_length(delta[name]) for name in _SPOKEN if delta.get(name))
            # A chat opens with the role alone, which is no token.
            is_silent = not spoken and (bool(delta.get("role")) or finish is not None)
        else:
            spoken = _length(choice.get("text") or "")
            # Some servers send the reason for the end by itself.
            is_silent = not spoken and finish is not None
        self.spoken_events += spoken > 0
        if not is_silent:
            self.token_ns.append(time_ns)
        if finish is not None:
            self.finish_reason = _shorten(str(finish))

    def _fail(self, kind: FailureKind, detail: str) -> None:
        self.failure = self.failure or Failure(kind, detail)

    def count(self, name: str) -> int | None:
        """Return a number of the usage, None if it has none."""
        value = self.usage.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_exchange(exchange: Exchange, *, asked_tokens: int, ignore_eos: bool) -> Sample:
    """Read one recording; whatever it holds, this does not raise.

    Args:
        exchange: The recording.
        asked_tokens: Longest answer that was asked for.
        ignore_eos: Whether the answer was to be exactly that long.
    """
    reading, failure = _Reading(), exchange.failure
    try:
        answer = read_answer(exchange.parts, exchange.times_ns)
        failure = _read_stream(answer, reading, failure, asked_tokens)
    except MalformedError as error:
        # Whose end cannot be found is waited for in vain: that is no reason of its own.
        if failure is None or failure.kind in _WAITED:
            failure = Failure(FailureKind.MALFORMED, str(error))
    except (TypeError, AttributeError) as error:
        failure = Failure(FailureKind.MALFORMED, f"event of another form: {error}")
    counted = reading.count("completion_tokens")
    tokens = len(reading.token_ns) if counted is None else counted
    if failure is None:
        failure = _judge(reading, tokens, asked_tokens, ignore_eos=ignore_eos)
    return Sample(
        index=exchange.index,
        due_ns=exchange.due_ns,
        sent_ns=exchange.sent_ns,
        ended_ns=exchange.ended_ns,
        token_ns=reading.token_ns,
        output_tokens=tokens,
        is_counted=counted is not None,
        input_tokens=reading.count("prompt_tokens"),
        finish_reason=reading.finish_reason,
        failure=failure,
        is_held=exchange.is_held,
    )


def _read_stream(
    answer: Answer, reading: _Reading, failure: Failure | None, asked_tokens: int
) -> Failure | None:
    """Read the events and return why the answer is not whole, None if it is."""
    head = answer.head
    if head is None:
        return failure or Failure(FailureKind.CLOSED, "no answer")
    if head.status != _HTTP_OK:
        return Failure(FailureKind.STATUS, _shorten(error_message(answer.body)), head.status)
    if head.content_type != "text/event-stream":
        # Without a stream there is no first token to wait for.
        return failure or Failure(
            FailureKind.NOT_STREAMED, f"content type {head.content_type!r}, expected events"
        )
    if head.encoding:
        detail = f"content encoding {head.encoding!r}, which nobody asked for"
        return failure or Failure(FailureKind.NOT_STREAMED, detail)
    for event in answer.events():
        reading.take(event.time_ns, event.data)
        if reading.failure is not None:
            break
        if reading.spoken_events > asked_tokens:
            # Whatever follows, and it may be much, each of them had a token at least.
            detail = f"more than {asked_tokens} events with text, asked for {asked_tokens} tokens"
            return failure or Failure(FailureKind.WRONG_COUNT, detail)
    if reading.is_done and failure is not None and failure.kind is FailureKind.CLOSED:
        failure = None  # all of it had arrived
    return failure or reading.failure or _unfinished(answer, reading)


def _unfinished(answer: Answer, reading: _Reading) -> Failure | None:
    if reading.is_done or (answer.is_complete and reading.finish_reason is not None):
        return None
    return Failure(FailureKind.CLOSED, "the stream ended without [DONE]")


def _judge(
    reading: _Reading, tokens: int, asked_tokens: int, *, ignore_eos: bool
) -> Failure | None:
    """Return why a whole answer does not count: wrong numbers and empty texts are never fast."""
    if not reading.token_ns or not reading.spoken_events:
        return Failure(FailureKind.EMPTY, f"{tokens} tokens without text")
    if tokens > asked_tokens or tokens < 1:
        return Failure(
            FailureKind.WRONG_COUNT, f"{_shorten(str(tokens))} tokens, asked for {asked_tokens}"
        )
    prompt_tokens = reading.count("prompt_tokens") or 0
    if not 0 <= prompt_tokens <= _MOST_PROMPT_TOKENS:
        detail = f"usage says {_shorten(str(prompt_tokens))} tokens of the prompt"
        return Failure(FailureKind.WRONG_COUNT, detail)
    events = reading.spoken_events
    if events > tokens:
        return Failure(FailureKind.WRONG_COUNT, f"usage says {tokens} tokens in {events} events")
    # Where events are counted, one may hold several tokens.
    is_short = tokens < asked_tokens and reading.count("completion_tokens") is not None
    if ignore_eos and is_short and reading.finish_reason == "length":
        return Failure(FailureKind.WRONG_COUNT, f"{tokens} tokens, asked for {asked_tokens}")
    return None


def _length(said: object) -> int:
    """Return how much is said, in text or in parts.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(said, str | list):
        return len(said)
    raise TypeError(f"{type(said).__name__} in place of text")


def _shorten(said: bytes | str) -> str:
    """Return the beginning, of half characters too, as text that can be printed."""
    if isinstance(said, str):
        said = said[: _SHOWN_CHARACTERS + 1].encode("utf-8", "replace")
    text = said[: 4 * (_SHOWN_CHARACTERS + 1)].decode("utf-8", "replace")
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
