"""What a server sends that means no good."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble
from hwval.accuracy.replies import MOST_REPLY_BYTES
from hwval.accuracy.replies import parse_reply
from hwval.accuracy.replies import read_bounded
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


def test_a_reply_is_shown_by_its_beginning() -> None:
    """In one line."""
    assert shorten(b"a\nb" + b"c" * 10_000).startswith("a b")
    assert len(shorten(b"c" * 10_000)) == 300
