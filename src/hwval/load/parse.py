"""Reads recorded bytes after the run: HTTP/1.1 answers and the server-sent events in them.

A recording is what arrived, read by read, each with its time. Nothing here looks at a clock: an
event gets the time of the read that completed it, however the bytes were cut on their way.

Source: RFC 9112 (HTTP/1.1), HTML Living Standard section 9.2 (server-sent events).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from collections.abc import Sequence
from itertools import accumulate
from typing import Final
from typing import NamedTuple

__all__ = ["LAST_CHUNK", "Answer", "Event", "Head", "MalformedError", "read_answer", "read_head"]

LAST_CHUNK: Final = re.compile(rb"\r\n0+[ \t]*(?:;[^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*\r\n\Z")
"""The end of a chunked body; trailers may follow its size."""

_MAX_HEAD_BYTES: Final = 65536
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [^\r\n]*)?\r\n")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*\r\n")
_MOST_LENGTH_DIGITS: Final = 18
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
# Atomic, so that one CR LF is never taken for two line ends.
_BLANK_LINE: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_NO_BODY: Final = frozenset({204, 304})


class MalformedError(ValueError):
    """The bytes are no HTTP answer."""


class Head(NamedTuple):
    """Status line and the headers that frame an answer.

    Attributes:
        status: HTTP status.
        size_bytes: Where the body begins in the recording.
        chunked: Whether the body comes in chunks.
        length_bytes: Length of the body, None where the head does not say.
        keeps_alive: Whether the connection takes another request.
        content_type: Lower case, without parameters; empty where there is none.
        encoding: How the body is coded, as ``gzip``; empty where it is not.
    """

    status: int
    size_bytes: int
    chunked: bool
    length_bytes: int | None
    keeps_alive: bool
    content_type: str
    encoding: str = ""


class Event(NamedTuple):
    """One server-sent event.

    Attributes:
        time_ns: When its last byte arrived.
        data: Its data lines, joined by line ends.
    """

    time_ns: int
    data: bytes


class Answer:
    """One recorded answer.

    Attributes:
        head: Its head, None where not all of it arrived.
        body: What arrived of the body, chunks joined.
        is_complete: Whether the framing says that all of it arrived.
    """

    def __init__(
        self,
        head: Head | None,
        body: bytes,
        *,
        is_complete: bool,
        times_ns: Sequence[int] = (),
        read_ends: Sequence[int] = (),
        chunk_ends: Sequence[int] = (),
        chunk_starts: Sequence[int] = (),
    ) -> None:
        self.head = head
        self.body = body
        self.is_complete = is_complete
        self._times_ns = times_ns
        self._read_ends = read_ends
        self._chunk_ends = chunk_ends
        self._chunk_starts = chunk_starts

    def events(self) -> Iterator[Event]:
        """Yield the body's events in order; comments and empty ones are left out.

        A last event without its blank line is yielded too: servers forget it.
        """
        for start, end, size in _blocks(self.body):
            data = _event_data(self.body[start:end])
            if data is not None:
                yield Event(self._time_at(end + size), data)

    def _time_at(self, body_end: int) -> int:
        """Return when the first ``body_end`` bytes (> 0) of the body had arrived."""
        chunk = bisect_left(self._chunk_ends, body_end)
        before = self._chunk_ends[chunk - 1] if chunk else 0
        raw_end = self._chunk_starts[chunk] + body_end - before
        return self._times_ns[bisect_left(self._read_ends, raw_end)]


def read_head(raw: bytes) -> Head | None:
    """Read the head of an answer; interim answers (status 1xx) before it are passed over.

    Args:
        raw: Bytes from the start of the answer.

    Returns:
        The head, or None where its end has not arrived.

    Raises:
        MalformedError: This is no HTTP/1.1 answer.
    """
    start = 0
    while True:
        end = raw.find(b"\r\n\r\n", start) + 4
        if end < 4:
            # Refused early: a server of another protocol may never send an end.
            if len(raw) > _MAX_HEAD_BYTES or not b"HTTP/1.".startswith(raw[start : start + 7]):
                raise MalformedError(f"no HTTP/1.1 answer: it begins with {raw[:40]!r}")
            return None
        line = _STATUS_LINE.match(raw, start, end)
        if line is None:
            raise MalformedError(f"no HTTP/1.1 answer: it begins with {raw[:40]!r}")
        if not line[2].startswith(b"1"):
            headers = _read_headers(raw, line.end(), end - 2)
            return _frame(int(line[2]), end, headers, minor=line[1])
        start = end


def read_answer(parts: Sequence[bytes], times_ns: Sequence[int]) -> Answer:
    """Take a recorded answer apart.

    Args:
        parts: What each read brought, none empty.
        times_ns: When; as many as ``parts``, ascending.

    Raises:
        MalformedError: The framing is broken.
    """
    raw = b"".join(parts)
    head = read_head(raw)
    if head is None:
        return Answer(None, b"", is_complete=False)
    starts: list[int]
    if head.chunked:
        body, starts, ends, is_complete = _join_chunks(raw, head.size_bytes)
    else:
        stop = len(raw) if head.length_bytes is None else head.size_bytes + head.length_bytes
        body = raw[head.size_bytes : stop]
        starts, ends = [head.size_bytes], [len(body)]
        is_complete = head.length_bytes is None or len(body) == head.length_bytes
    return Answer(
        head,
        body,
        is_complete=is_complete,
        times_ns=times_ns,
        read_ends=list(accumulate(map(len, parts))),
        chunk_ends=ends,
        chunk_starts=starts,
    )


def _read_headers(raw: bytes, start: int, end: int) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    while start < end:
        header = _HEADER.match(raw, start, end)
        if header is None:
            raise MalformedError(f"broken header {raw[start : start + 40]!r}")
        headers[header[1].lower()] = header[2].lower()
        start = header.end()
    return headers


def _frame(status: int, size: int, headers: dict[bytes, bytes], *, minor: bytes) -> Head:
    chunked = b"chunked" in headers.get(b"transfer-encoding", b"")
    length = headers.get(b"content-length")
    if length is not None and not (length.isdigit() and len(length) <= _MOST_LENGTH_DIGITS):
        raise MalformedError(f"content-length {length[:40]!r}")
    encoding = headers.get(b"content-encoding", b"").decode("latin-1")
    connection = headers.get(b"connection", b"")
    without_body = status in _NO_BODY
    return Head(
        status=status,
        size_bytes=size,
        chunked=chunked and not without_body,
        length_bytes=0 if without_body else int(length) if length and not chunked else None,
        keeps_alive=b"close" not in connection and (minor == b"1" or b"keep-alive" in connection),
        content_type=headers.get(b"content-type", b"").partition(b";")[0].strip().decode("latin-1"),
        encoding="" if encoding == "identity" else encoding,
    )


def _join_chunks(raw: bytes, at: int) -> tuple[bytes, list[int], list[int], bool]:
    """Join chunks from ``at`` on.

    Returns:
        The body; where each chunk starts in ``raw``; where it ends in the body; whether the last
        chunk has come.
    """
    pieces: list[bytes] = []
    starts: list[int] = []
    ends: list[int] = []
    size = 0
    is_complete = False
    while (line_end := raw.find(b"\r\n", at)) >= 0:
        line = _CHUNK_SIZE.fullmatch(raw, at, line_end + 2)
        if line is None:
            raise MalformedError(f"broken chunk size {raw[at : at + 40]!r}")
        length = int(line[1], 16)
        if length == 0:
            is_complete = True
            break
        piece = raw[line.end() : line.end() + length]
        if not piece:
            break
        size += len(piece)
        pieces.append(piece)
        starts.append(line.end())
        ends.append(size)
        at = line.end() + length
        after = raw[at : at + 2]
        if not b"\r\n".startswith(after):
            raise MalformedError(f"chunk of {length} bytes is followed by {after!r}")
        at += 2
    return b"".join(pieces), starts, ends, is_complete


def _blocks(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield start and end of each event, and the bytes of the blank line that closes it."""
    start = 0
    if b"\r" in body:
        for blank in _BLANK_LINE.finditer(body):
            yield start, blank.start(), blank.end() - blank.start()
            start = blank.end()
    else:
        while (end := body.find(b"\n\n", start)) >= 0:
            yield start, end, 2
            start = end + 2
    if start < len(body):
        yield start, len(body), 0


def _event_data(block: bytes) -> bytes | None:
    if block.startswith(b"data:") and b"\n" not in block and b"\r" not in block:
        return block[5:].removeprefix(b" ")
    values = [
        line[5:].removeprefix(b" ") for line in block.splitlines() if line.startswith(b"data:")
    ]
    return b"\n".join(values) if values else None
