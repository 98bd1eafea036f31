"""What a server sent back, which may be anything: read within bounds, and refused in one line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from collections.abc import Callable
from typing import Any
from typing import Final
from typing import Protocol
from typing import TypeVar

from hwval.accuracy.answers import Answer
from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble
from hwval.inert import error_message
from hwval.inert import one_line

__all__ = ["MOST_REPLY_BYTES", "parse_reply", "read_bounded", "read_text", "refusal", "shorten"]

T = TypeVar("T")

MOST_REPLY_BYTES: Final = 16 * 2**20
"""Longest reply that is read; 100,000 tokens with their log-probabilities are shorter."""

_SHOWN_CHARACTERS: Final = 300
# What reading a reply of another form raises; assertions are the harness's own checks.
_NOT_THE_FORM: Final = (
    *(ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError),
    AssertionError,
)


# Of an answer that is none yet: an engine that shuts down sends what it has, with status 200.
_NOT_ENDED: Final = frozenset({None, "", "abort", "error"})


class _Stream(Protocol):
    def iter_any(self) -> AsyncIterator[bytes]: ...


async def read_bounded(where: str, stream: _Stream) -> bytes:
    """Return the whole of a reply, unpacked; a server must not fill this host's memory with one.

    Args:
        where: What was asked, for the error.
        stream: Content of a response of aiohttp.

    Raises:
        SetbackError: It is longer than `MOST_REPLY_BYTES`.
    """
    data = bytearray()
    async for part in stream.iter_any():
        data += part
        if len(data) > MOST_REPLY_BYTES:
            raise SetbackError(
                Trouble.REFUSED,
                f"{where}: the reply is longer than {MOST_REPLY_BYTES // 2**20} MiB and was not "
                f"read to its end: {shorten(data)}",
            )
    return bytes(data)


def parse_reply(problem: str, data: bytes, read: Callable[[Any], T]) -> T:
    """Return what ``read`` finds in the JSON of a reply.

    Args:
        problem: What it means that it cannot be read, for the error.
        data: The reply.
        read: Takes the decoded JSON; may fail in any way that another form makes it fail.

    Raises:
        SetbackError: It is not of that form.
    """
    try:
        return read(json.loads(data))
    except _NOT_THE_FORM as error:
        raise SetbackError(Trouble.REFUSED, f"{problem} in '{shorten(data)}'") from error


def read_text(api: str, where: str, data: bytes, latency_s: float) -> Answer:
    """Return the text of a reply; one of a reasoning model that was cut off may be empty.

    Args:
        api: ``completions`` or ``chat``.
        where: What was asked, for the error.
        data: The reply.
        latency_s: Seconds that it took.

    Raises:
        SetbackError: It holds no text, or one that the server did not end.
    """

    def read(body: Any) -> Answer:
        choice = body["choices"][0]
        said = choice["text"] if api == "completions" else choice["message"].get("content")
        if api == "chat" and said is None:
            said = ""  # as the harness scores it
        if not isinstance(said, str):
            raise TypeError(f"no text but {type(said).__name__}")
        end = choice.get("finish_reason")
        if end in _NOT_ENDED:
            raise SetbackError(
                Trouble.REFUSED,
                f"{where}: the answer has no end, finish reason {end!r}, in '{shorten(data)}'",
            )
        tokens = (body.get("usage") or {}).get("completion_tokens")
        return Answer(said, str(end), latency_s, tokens)

    return parse_reply(f"{where}: no completion", data, read)


def shorten(data: bytes | bytearray) -> str:
    """Return the beginning of what a server said, as one line that does nothing to a terminal."""
    return _first_line(data[: 4 * _SHOWN_CHARACTERS].decode("utf-8", "replace"))


def refusal(data: bytes) -> str:
    """Return the server's own words in an error answer, shortened in the same way."""
    return _first_line(error_message(data)[: 4 * _SHOWN_CHARACTERS])


def _first_line(text: str) -> str:
    return one_line(text)[:_SHOWN_CHARACTERS]
