"""What recordings come to: times, counts, and why some do not count."""

from __future__ import annotations

import json
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.load.failure import Failure
from hwval.load.failure import FailureKind
from hwval.load.sample import Sample
from hwval.load.sample import read_exchange
from hwval.load.wire import Exchange
from tests.load.scripted import EVENTS_HEAD
from tests.load.scripted import LAST_CHUNK
from tests.load.scripted import chunk
from tests.load.scripted import event
from tests.load.scripted import stream
from tests.load.scripted import token
from tests.load.scripted import usage

CLOSED = Failure(FailureKind.CLOSED, "connection closed")


def read(
    *parts: bytes, asked: int = 3, failure: Failure | None = None, ignore_eos: bool = True
) -> Sample:
    """Read parts that arrived at 10, 20, 30 ... seconds, of a request sent at 1."""
    times = array("q", [10_000_000_000 * (number + 1) for number in range(len(parts))])
    exchange = Exchange(4, None, 1_000_000_000, times, list(parts), 99, failure)
    return read_exchange(exchange, asked_tokens=asked, ignore_eos=ignore_eos)


def parts_of(*values: object) -> list[bytes]:
    """Write a stream whose events arrive one by one, the head with the first."""
    events = [chunk(event(value)) for value in [*values, b"[DONE]"]]
    return [EVENTS_HEAD + events[0], *events[1:-1], events[-1] + LAST_CHUNK]


def test_completion_is_timed_by_its_tokens() -> None:
    """First token, last token, per token; the usage event and the end are no tokens."""
    sample = read(*parts_of(token(), token(), token(finish="length"), usage(3, 17)))

    assert sample.failure is None
    assert (sample.ttft_s, sample.e2el_s, sample.tpot_s) == (9.0, 29.0, 10.0)
    assert (sample.output_tokens, sample.is_counted, sample.input_tokens) == (3, True, 17)
    assert sample.finish_reason == "length"


def test_chat_begins_with_its_first_word() -> None:
    """The role comes before any token; what is thought counts as said."""

    def delta(finish: str | None = None, **fields: object) -> object:
        return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}

    sample = read(
        *parts_of(
            delta(role="assistant", content=""),
            delta(reasoning_content="Hm"),
            delta(content=""),
            delta(content="a"),
            delta("stop", content=""),
            usage(4),
        ),
        asked=9,
    )

    assert sample.failure is None
    assert [time_ns // 10**10 for time_ns in sample.token_ns] == [2, 3, 4]
    assert (sample.output_tokens, sample.finish_reason) == (4, "stop")


def test_several_tokens_in_one_event_are_counted_by_the_server() -> None:
    """As with speculative decoding."""
    sample = read(*parts_of(token("a b"), token("c", "length"), usage(3)))

    assert (sample.failure, sample.output_tokens, len(sample.token_ns)) == (None, 3, 2)
    assert sample.tpot_s == 5.0


def test_events_are_counted_without_usage() -> None:
    """And the sample says so."""
    sample = read(*parts_of(token(), token(finish="length")))

    assert (sample.failure, sample.output_tokens, sample.is_counted) == (None, 2, False)
    assert sample.input_tokens is None


def test_one_token_has_no_time_per_token() -> None:
    """Absent is absent."""
    sample = read(*parts_of(token(finish="length"), usage(1)), asked=1)

    assert (sample.failure, sample.tpot_s) == (None, None)


def test_end_without_done_is_an_end() -> None:
    """Where a reason for the end was given; servers differ."""
    sample = read(stream(token(), token(finish="stop"), done=False))

    assert sample.failure is None


def test_all_that_came_before_the_connection_broke_counts() -> None:
    """Where the stream had said that it was done."""
    raw = stream(token(), token(finish="stop")).removesuffix(LAST_CHUNK)

    assert read(raw, failure=CLOSED).failure is None
    assert read(stream(token(), done=False), failure=CLOSED).failure == CLOSED


TEXTLESS = [token(""), token("", "length"), usage(2)]


@pytest.mark.parametrize(
    ("raw", "kind", "detail"),
    [
        (stream(token(), done=False), FailureKind.CLOSED, "without"),
        (stream(token()).removesuffix(LAST_CHUNK)[:-20], FailureKind.CLOSED, "without"),
        (b"", FailureKind.CLOSED, "no answer"),
        (EVENTS_HEAD[:30], FailureKind.CLOSED, "no answer"),
        (stream(token(), b'{"id": "cu'), FailureKind.MALFORMED, '{"id": "cu'),
        (stream(token(), b"[1]"), FailureKind.MALFORMED, "[1]"),
        (stream({"choices": [{"text": 5}]}), FailureKind.MALFORMED, "another form"),
        (EVENTS_HEAD + b"xyz\r\n", FailureKind.MALFORMED, "chunk size"),
        (stream(token(), {"error": {"message": "out of memory"}}), FailureKind.ERROR_EVENT, "out"),
        (stream(*TEXTLESS), FailureKind.EMPTY, "2 tokens without text"),
        (stream(usage(3)), FailureKind.EMPTY, "3 tokens without text"),
        (
            stream(token(finish="length"), usage(4)),
            FailureKind.WRONG_COUNT,
            "4 tokens, asked for 3",
        ),
        (stream(token(finish="length"), usage(0)), FailureKind.WRONG_COUNT, "0 tokens"),
        (stream(token(finish="length"), usage(2)), FailureKind.WRONG_COUNT, "2 tokens, asked"),
        (stream(token(), token(finish="stop"), usage(1)), FailureKind.WRONG_COUNT, "2 events"),
        (stream(*[token()] * 4, usage(3)), FailureKind.WRONG_COUNT, "more than 3 events"),
        (stream(token(), usage(3, -5)), FailureKind.WRONG_COUNT, "says -5 tokens of the prompt"),
        (stream(token(), usage(3, 10**4000)), FailureKind.WRONG_COUNT, "000... tokens of the"),
        (stream(token(), usage(10**4000)), FailureKind.WRONG_COUNT, "000... tokens, asked for 3"),
        (stream({"choices": [{"text": {"a": 1}}]}), FailureKind.MALFORMED, "dict in place of"),
        (stream(token(), b'{"choices": ["\xff"]}'), FailureKind.MALFORMED, "\ufffd"),
        (stream({"error": {"message": "\ud800 half"}}), FailureKind.ERROR_EVENT, "? half"),
        (
            EVENTS_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n") + LAST_CHUNK,
            FailureKind.NOT_STREAMED,
            "content encoding 'gzip'",
        ),
    ],
)
def test_answer_that_does_not_count_says_why(raw: bytes, kind: FailureKind, detail: str) -> None:
    """A wrong or missing answer is never a fast one."""
    failure = read(raw).failure if raw else read().failure

    assert failure is not None
    assert failure.kind is kind
    assert detail in failure.detail
    assert len(failure.detail) < 300


def test_broken_framing_is_the_reason_for_the_wait() -> None:
    """Its end could not be found; what the run itself cut off stays cut off."""
    broken = EVENTS_HEAD + b"xyz\r\n"
    stalled = read(broken, failure=Failure(FailureKind.STALLED, "nothing came")).failure
    cut = Failure(FailureKind.DEADLINE, "the run had 1 s")

    assert stalled is not None
    assert stalled.kind is FailureKind.MALFORMED
    assert read(broken, failure=cut).failure == cut


def test_short_answer_is_fine_where_its_end_was_free() -> None:
    """Without ignore_eos an answer may end; with it one that the model ended is told apart."""
    raw = stream(token(), token(finish="stop"), usage(2))

    assert read(raw, asked=50, ignore_eos=False).failure is None
    assert read(raw, asked=50).failure is None
    assert read(raw, asked=50).finish_reason == "stop"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"error": {"message": "slow down"}}', "slow down"),
        (b'{"error": "slow down"}', "slow down"),
        (b'{"message": "slow down"}', "slow down"),
        (b"<html>slow down", "<html>slow down"),
        (b'{"detail": [1]}', '{"detail": [1]}'),
        (b"x" * 5000, "x" * 200 + "..."),
        (b"", ""),
    ],
)
def test_error_status_carries_what_the_server_said(body: bytes, detail: str) -> None:
    """In its own words, cut where they are long."""
    head = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: %d\r\n\r\n" % len(body)
    failure = read(head + body).failure

    assert failure == Failure(FailureKind.STATUS, detail, 429)


def test_answer_that_is_no_stream_is_refused() -> None:
    """Its first token cannot be told from its last."""
    body = json.dumps(token()).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    failure = read(head % len(body) + body).failure

    assert failure is not None
    assert failure.kind is FailureKind.NOT_STREAMED


ANY_CHARACTER = st.characters(exclude_categories=())
"""Halves of pairs too, which JSON can say and UTF-8 cannot."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(ANY_CHARACTER, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "text", "usage", "error", "content", "role"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(values=st.lists(JSON, max_size=4))
def test_any_json_is_read_without_an_error(values: list[object]) -> None:
    """Whatever a server says, there is a sample."""
    sample = read(stream(*values))

    assert sample.failure is not None or sample.output_tokens >= 1
