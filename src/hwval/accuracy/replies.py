"""What a server sent back, which may be anything: read within bounds, and refused in one line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from collections.abc import Callable
from typing import Any
from typing import Final
from typing import Protocol
from typing import TypeVar

from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble
from hwval.inert import one_line

__all__ = ["MOST_REPLY_BYTES", "parse_reply", "read_bounded", "shorten"]

T = TypeVar("T")

MOST_REPLY_BYTES: Final = 16 * 2**20
"""Longest reply that is read; 100,000 tokens with their log-probabilities are shorter."""

_SHOWN_CHARACTERS: Final = 300
# What reading a reply of another form raises; assertions are the harness's own checks.
_NOT_THE_FORM: Final = (
    *(ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError),
    AssertionError,
)


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


def shorten(data: bytes | bytearray) -> str:
    """Return the beginning of what a server said, as one line that does nothing to a terminal."""
    return one_line(data[: 4 * _SHOWN_CHARACTERS].decode("utf-8", "replace"))[:_SHOWN_CHARACTERS]
