"""Reading recordings: whatever way the bytes were cut, the same events at the right times."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.load.parse import MalformedError
from hwval.load.parse import read_answer
from hwval.load.parse import read_head
from tests.load.scripted import EVENTS_HEAD
from tests.load.scripted import LAST_CHUNK
from tests.load.scripted import chunk

DATA = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1).map(
    str.encode
)


def cut(raw: bytes, points: list[int]) -> list[bytes]:
    """Cut bytes at points, as reads may."""
    ends = sorted({0, len(raw), *(point % (len(raw) + 1) for point in points)})
    return [raw[start:end] for start, end in pairwise(ends)]


class TestHead:
    def test_framing_is_read(self) -> None:
        """Status, chunks, type and whether the connection stays open."""
        head = read_head(EVENTS_HEAD + b"5")

        assert head is not None
        assert (head.status, head.chunked, head.content_type) == (200, True, "text/event-stream")
        assert head.keeps_alive
        assert head.size_bytes == len(EVENTS_HEAD)

    def test_interim_answers_are_passed_over(self) -> None:
        """Status 100 and its like announce the answer, and are none."""
        raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
        head = read_head(raw)

        assert head is not None
        assert (head.status, head.length_bytes, raw[head.size_bytes :]) == (404, 2, b"no")

    @pytest.mark.parametrize(
        ("raw", "keeps_alive"),
        [
            (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", False),
            (b"HTTP/1.0 200 OK\r\n\r\n", False),
            (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", True),
            (b"HTTP/1.1 200\r\n\r\n", True),
        ],
        ids=["close", "old", "old but kept", "no reason phrase"],
    )
    def test_connection_is_kept_or_not(self, raw: bytes, keeps_alive: bool) -> None:  # noqa: FBT001
        """As version and header say."""
        head = read_head(raw)

        assert head is not None
        assert head.keeps_alive is keeps_alive

    @pytest.mark.parametrize("size", range(len(EVENTS_HEAD)))
    def test_part_of_a_head_is_none(self, size: int) -> None:
        """Until its last byte there is nothing to say."""
        assert read_head(EVENTS_HEAD[:size]) is None

    @pytest.mark.parametrize(
        "raw",
        [
            b"SSH-2.0-OpenSSH",
            b"\x15\x03\x03\x00\x02\x02\x46",
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000,
            b"HTTP/1.1 100 Continue\r\n\r\n" * 3_000,
        ],
        ids=["ssh", "tls", "http/2", "status", "header", "length", "long", "endless", "interim"],
    )
    def test_other_protocols_are_refused(self, raw: bytes) -> None:
        """At once, since their end may never come."""
        with pytest.raises(MalformedError):
            read_head(raw)


class TestAnswer:
    @given(
        events=st.lists(st.lists(DATA, min_size=1, max_size=3), max_size=6),
        line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
        chunk_cuts=st.lists(st.integers(0, 10_000)),
        read_cuts=st.lists(st.integers(0, 10_000)),
    )
    def test_cuts_change_nothing_but_times(
        self,
        events: list[list[bytes]],
        line_end: bytes,
        chunk_cuts: list[int],
        read_cuts: list[int],
    ) -> None:
        """Chunks and reads end anywhere; an event has the time of the read that completes it."""
        blocks = [
            line_end.join(b"data: " + line for line in lines) + 2 * line_end for lines in events
        ]
        body = b"".join(blocks)
        pieces = [chunk(piece) for piece in cut(body, chunk_cuts)]
        parts = cut(EVENTS_HEAD + b"".join(pieces) + LAST_CHUNK, read_cuts)
        answer = read_answer(parts, range(len(parts)))
        found = list(answer.events())

        assert answer.is_complete
        assert answer.body == body
        assert [one.data for one in found] == [b"\n".join(lines) for lines in events]
        arrived = [
            read_answer(parts[: one.time_ns + 1], range(one.time_ns + 1)).body for one in found
        ]
        before = [read_answer(parts[: one.time_ns], range(one.time_ns)).body for one in found]
        ends = [sum(map(len, blocks[: number + 1])) for number in range(len(blocks))]
        assert all(len(body) >= end for body, end in zip(arrived, ends, strict=True))
        assert all(len(body) < end for body, end in zip(before, ends, strict=True))

    @given(raw=st.binary(max_size=300), read_cuts=st.lists(st.integers(0, 400)))
    def test_garbage_is_malformed_or_read(self, raw: bytes, read_cuts: list[int]) -> None:
        """Nothing but the promised error, whatever a server says."""
        parts = cut(EVENTS_HEAD + raw, read_cuts)
        try:
            answer = read_answer(parts, range(len(parts)))
        except MalformedError:
            return

        assert all(0 <= one.time_ns < len(parts) for one in answer.events())

    @pytest.mark.parametrize("size", range(len(EVENTS_HEAD), len(EVENTS_HEAD) + 17))
    def test_cut_answer_is_incomplete(self, size: int) -> None:
        """What did not come is missed, what came is kept."""
        raw = EVENTS_HEAD + chunk(b"data: 1\n\n") + LAST_CHUNK
        answer = read_answer([raw[:size]], [7])

        assert not answer.is_complete
        assert b"data: 1\n\n".startswith(answer.body)

    def test_comments_and_fields_are_no_data(self) -> None:
        """Pings and event names are left out; a missing last blank line is forgiven."""
        body = b": ping\n\nevent: x\ndata:1\nid: 3\ndata: 2\n\n\n\nretry: 5\n\ndata: [DONE]"
        answer = read_answer([EVENTS_HEAD + chunk(body) + LAST_CHUNK], [5])

        assert [one.data for one in answer.events()] == [b"1\n2", b"[DONE]"]

    def test_body_of_known_length(self) -> None:
        """Complete when all of it is there; what follows does not belong to it."""
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n"
        whole = read_answer([head, b"data: 1\n", b"more"], [1, 2, 3])
        part = read_answer([head, b"data"], [1, 2])

        assert (whole.is_complete, [tuple(one) for one in whole.events()]) == (True, [(2, b"1")])
        assert not part.is_complete

    def test_body_until_the_connection_ends(self) -> None:
        """Old servers say neither length nor chunks."""
        answer = read_answer([b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n", b"data: 2\n\n"], [1, 2])

        assert [tuple(one) for one in answer.events()] == [(1, b"1"), (2, b"2")]

    @pytest.mark.parametrize("body", [b"zz\r\nab", b"-2\r\nab\r\n", b"2\r\nabc\r\n"])
    def test_broken_chunks_are_malformed(self, body: bytes) -> None:
        """Sizes that are none, and chunks that do not end where they should."""
        with pytest.raises(MalformedError, match="chunk"):
            read_answer([EVENTS_HEAD + body], [1])

    def test_no_answer_has_no_events(self) -> None:
        """Nothing arrived."""
        answer = read_answer([], [])

        assert (answer.head, answer.is_complete, list(answer.events())) == (None, False, [])
