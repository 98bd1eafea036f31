"""One connection to a server, which notes when bytes arrive and looks at them as little as it can.

This is the hot path of every measurement. It reads the clock first, keeps the bytes as they came,
and finds the end of an answer by its framing alone; JSON and events are read after the run.
"""

from __future__ import annotations

import asyncio
import os
import socket
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from time import monotonic_ns  # noqa: TID251 - asked for every read; a detour would double its cost
from typing import Final
from typing import cast

from hwval.load.failure import Failure
from hwval.load.failure import FailureKind
from hwval.load.parse import LAST_CHUNK
from hwval.load.parse import Head
from hwval.load.parse import MalformedError
from hwval.load.parse import read_head

__all__ = ["Connection", "Exchange", "monotonic_ns"]

_SECTION_END: Final = b"\r\n\r\n"
_PLAIN_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
_ZERO: Final = b"\r\n0"
# A shorter read may be the rest of an end that was cut in two.
_SHORTEST_ALONE: Final = 64


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and the recording of its answer. Times are CLOCK_MONOTONIC, nanoseconds.

    Attributes:
        index: Number of the request in the whole run.
        due_ns: When it was to be sent; None in a closed loop, where it waits for its turn.
        sent_ns: Just before it was handed to the kernel; 0 if it was not.
        times_ns: When each part arrived.
        parts: What arrived, undecoded; with TLS, after decryption.
        ended_ns: When the answer ended or was given up.
        failure: Why it has no whole answer, None if it has one.
        is_reused: Whether its connection had carried another exchange before.
        is_held: Whether it was due while every connection that there may be was in use.
    """

    index: int
    due_ns: int | None = None
    sent_ns: int = 0
    times_ns: array[int] = field(default_factory=lambda: array("q"))
    parts: list[bytes] = field(default_factory=list)
    ended_ns: int = 0
    failure: Failure | None = None
    is_reused: bool = False
    is_held: bool = False


class Connection(asyncio.Protocol):
    """A connection that carries one exchange at a time.

    Args:
        on_end: Called with the connection and its exchange when that has ended, well or badly.
        on_loss: Called with the connection when it is gone.
    """

    def __init__(
        self,
        on_end: Callable[[Connection, Exchange], None],
        on_loss: Callable[[Connection], None],
    ) -> None:
        self._on_end = on_end
        self._on_loss = on_loss
        self._transport: asyncio.Transport | None = None
        self._fd: int | None = None
        self._head: Head | None = None
        self._left_bytes = 0
        self.exchange: Exchange | None = None
        self.received_bytes = 0
        self.used_ns: int | None = None
        """When its last exchange ended, None while it is fresh."""
        self.is_usable = False
        """Whether it takes (another) request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the new connection."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_usable = True
        sock = transport.get_extra_info("socket")
        if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if transport.get_extra_info("ssl_object") is None:
            self._fd = sock.fileno()

    def send(self, exchange: Exchange, request: bytes) -> None:
        """Send a request; its answer goes into ``exchange``."""
        self.exchange = exchange
        self._head = None
        self.received_bytes = 0
        exchange.is_reused = self.used_ns is not None
        exchange.sent_ns = monotonic_ns()
        if self._fd is None:
            cast("asyncio.Transport", self._transport).write(request)
            return
        # Straight to the kernel: uvloop would write at the end of the loop's turn, after the
        # time was taken, and a burst of requests would be as late as it is long.
        try:
            written = os.write(self._fd, request)
        except (BlockingIOError, OSError):
            written = 0  # the transport tries again, and tells what is wrong
        if written < len(request):
            cast("asyncio.Transport", self._transport).write(request[written:])

    def data_received(self, data: bytes) -> None:
        """Keep what arrived, with its time."""
        now_ns = monotonic_ns()
        exchange = self.exchange
        if exchange is None:
            self.close()  # nobody asked: what follows could not be told from an answer
            return
        exchange.times_ns.append(now_ns)
        exchange.parts.append(data)
        self.received_bytes += len(data)
        if self._head is None and not self._begin(exchange):
            return
        head = cast("Head", self._head)
        if head.chunked:
            # An event's JSON never holds a line "0"; reading afterwards proves each end.
            tail = data if len(data) >= _SHORTEST_ALONE else b"".join(exchange.parts[-7:])
            if tail.endswith(_SECTION_END) and (
                tail.endswith(_PLAIN_LAST_CHUNK)
                # Fields may follow the size; but some servers end their events in this way too.
                or (_ZERO in tail and LAST_CHUNK.search(tail))
            ):
                self._end(head)
        elif head.length_bytes is not None and self.received_bytes >= self._left_bytes:
            self._end(head)

    def eof_received(self) -> None:
        """Let the transport close: a server that sends no more answers no more."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection, and of the exchange that it cuts off."""
        self.is_usable = False
        if self.exchange is not None:
            head = self._head
            if head is None or head.chunked or head.length_bytes is not None:
                detail = "before its answer" if not self.exchange.parts else "in its answer"
                reason = f" ({exc})" if exc else ""
                self.fail(Failure(FailureKind.CLOSED, f"connection closed {detail}{reason}"))
            else:
                self._finish()
        self._on_loss(self)

    def fail(self, failure: Failure) -> None:
        """Give the exchange up; the connection is of no more use."""
        exchange = self.exchange
        if exchange is not None:
            exchange.failure = failure
            self.close()
            self._finish()

    def discard(self, failure: Failure) -> None:
        """Give the exchange up and forget what arrived."""
        if self.exchange is not None:
            self.exchange.parts.clear()
        self.received_bytes = 0
        self.fail(failure)

    def close(self) -> None:
        """Close at once."""
        self.is_usable = False
        if self._transport is not None:
            self._transport.abort()

    def _begin(self, exchange: Exchange) -> bool:
        """Read the head once all of it is there."""
        raw = exchange.parts[0] if len(exchange.parts) == 1 else b"".join(exchange.parts)
        try:
            self._head = read_head(raw)
        except MalformedError as error:
            self.fail(Failure(FailureKind.MALFORMED, str(error)))
            return False
        if self._head is None:
            return False
        self._left_bytes = self._head.size_bytes + (self._head.length_bytes or 0)
        return True

    def _end(self, head: Head) -> None:
        if not head.keeps_alive:
            self.close()
        self._finish()

    def _finish(self) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        self.exchange = None
        exchange.ended_ns = self.used_ns = monotonic_ns()
        self._on_end(self, exchange)
