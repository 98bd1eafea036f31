"""What a server sends that means no good."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hwval.accuracy.answers import Answer
from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble
from hwval.accuracy.replies import MOST_REPLY_BYTES
from hwval.accuracy.replies import parse_reply
from hwval.accuracy.replies import read_bounded
from hwval.accuracy.replies import read_text
from hwval.accuracy.replies import shorten


class Stream:
    """Sends chunks of a mebibyte and counts them."""

    def __init__(self, chunks: int) -> None:
        self.sent = 0
        self._chunks = chunks

    async def iter_any(self) -> AsyncIterator[bytes]:
        while self.sent < self._chunks:
            self.sent += 1
            yield b"x" * 2**20


def test_a_reply_is_read_to_its_bound_and_no_further() -> None:
    """Gigabytes are refused after the first few mebibytes, with the beginning of what was said."""
    most = MOST_REPLY_BYTES // 2**20
    longest, endless = Stream(most), Stream(10**9)

    assert len(asyncio.run(read_bounded("here", longest))) == MOST_REPLY_BYTES
    with pytest.raises(SetbackError, match=f"here: the reply is longer than {most} MiB") as caught:
        asyncio.run(read_bounded("here", endless))
    assert endless.sent == most + 1
    assert caught.value.trouble is Trouble.REFUSED
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{}", b'{"a": []}', b"[" * 100_000, b"\xff\x1b[2J\n", b'{"a": [1e999]}'],
)
def test_what_cannot_be_read_is_refused_in_a_line(data: bytes) -> None:
    """Whatever it is, it is neither an answer nor an error of hwval's own."""

    def read(body: Any) -> int:
        return int(body["a"][0])

    with pytest.raises(SetbackError, match=r"^no number in ") as caught:
        parse_reply("no number", data, read)
    assert str(caught.value).isprintable()
    assert parse_reply("no number", json.dumps({"a": ["7"]}).encode(), read) == 7


@pytest.mark.parametrize(
    ("api", "body"),
    [
        ("chat", b'{"choices": [{"index": 0}]}'),
        ("chat", b'{"choices": [{"message": {"content": ["a"]}, "finish_reason": "stop"}]}'),
        ("completions", b'{"choices": [{"text": 7, "finish_reason": "stop"}]}'),
        ("completions", b'{"choices": [{"text": null, "finish_reason": "stop"}]}'),
        ("completions", b'{"choices": [{"text": "\xff", "finish_reason": "stop"}]}'),
        ("completions", b'{"choices": [], "error": {"message": "busy"}}'),
        ("completions", b'{"error": {"message": "busy", "code": 500}}'),
        ("completions", b"[" * 100_000),
        ("completions", b"\x1b[2Jgone\n"),
    ],
)
def test_what_is_no_answer_is_not_taken_for_a_wrong_one(api: str, body: bytes) -> None:
    """It is refused in words that do nothing to a terminal."""
    with pytest.raises(SetbackError, match="question 3: no completion in") as caught:
        read_text(api, "question 3", body, 1.0)
    assert caught.value.trouble is Trouble.REFUSED
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("end", [None, "", "abort", "error"])
def test_an_answer_without_an_end_is_none(end: str | None) -> None:
    """An engine that is shut down answers with what it has, and with status 200."""
    body = {"choices": [{"text": "The answer", "finish_reason": end}]}
    with pytest.raises(SetbackError, match=f"question 3: the answer has no end, .* {end!r}"):
        read_text("completions", "question 3", json.dumps(body).encode(), 1.0)


def test_a_chat_answer_may_be_empty() -> None:
    """A reasoning model that was cut off has no content; nothing else of a reply is needed."""
    choice = {"message": {"reasoning": "hm"}, "finish_reason": "length"}
    answer = read_text("chat", "here", json.dumps({"choices": [choice]}).encode(), 1.5)

    assert answer == Answer("", "length", 1.5)


def test_a_reply_is_shown_by_its_beginning() -> None:
    """In one line."""
    assert shorten(b"a\nb" + b"c" * 10_000).startswith("a b")
    assert len(shorten(b"c" * 10_000)) == 300
