"""What a connection notes: the time first, the bytes as they came."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from hwval.load import wire
from hwval.load.failure import FailureKind
from hwval.load.wire import Connection
from hwval.load.wire import Exchange
from tests.load.scripted import EVENTS_HEAD
from tests.load.scripted import LAST_CHUNK
from tests.load.scripted import chunk
from tests.load.scripted import whole


class FakeTransport:
    """A transport without a socket, as TLS gives one."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_aborted = False

    def get_extra_info(self, _name: str) -> object:
        """Know nothing."""
        return None

    def write(self, data: bytes) -> None:
        """Keep what is sent."""
        self.written.append(data)

    def abort(self) -> None:
        """Note the end."""
        self.is_aborted = True


class Wired:
    """A connection on a fake transport, and what it told."""

    def __init__(self) -> None:
        self.ended: list[Exchange] = []
        self.lost = 0
        self.transport = FakeTransport()
        self.connection = Connection(lambda _, one: self.ended.append(one), self._lose)
        self.connection.connection_made(cast("asyncio.BaseTransport", self.transport))

    def _lose(self, _: Connection) -> None:
        self.lost += 1


@pytest.fixture
def wired(monkeypatch: pytest.MonkeyPatch) -> Wired:
    """A connection whose clock ticks once for each look at it."""
    ticks = iter(range(1, 1000))
    monkeypatch.setattr(wire, "monotonic_ns", lambda: next(ticks))
    return Wired()


def test_each_read_has_its_time(wired: Wired) -> None:
    """Sent, read, read, ended: in the order of the clock."""
    exchange, raw = Exchange(0), whole()
    wired.connection.send(exchange, b"question")
    wired.connection.data_received(raw[:90])
    wired.connection.data_received(raw[90:])

    assert wired.transport.written == [b"question"]
    assert (exchange.sent_ns, list(exchange.times_ns), exchange.ended_ns) == (1, [2, 3], 4)
    assert exchange.parts == [raw[:90], raw[90:]]
    assert wired.ended == [exchange]
    assert wired.connection.is_usable


@pytest.mark.parametrize(
    "end", [b"0\r\nx-checksum: 1\r\n\r\n", b"000;why\r\n\r\n", b"0\r\na: 1\r\nb: 2\r\n\r\n"]
)
@pytest.mark.parametrize("size", [1000, 5])
def test_end_may_carry_fields(wired: Wired, end: bytes, size: int) -> None:
    """Trailers and extensions of the last chunk, cut anywhere."""
    raw = whole().removesuffix(LAST_CHUNK) + end
    wired.connection.send(Exchange(0), b"question")
    for start in range(0, len(raw), size):
        assert wired.ended == []
        wired.connection.data_received(raw[start : start + size])

    assert len(wired.ended) == 1


def test_event_that_ends_as_an_answer_does_is_none(wired: Wired) -> None:
    """Some servers end lines with CR LF."""
    wired.connection.send(Exchange(0), b"question")
    wired.connection.data_received(EVENTS_HEAD)
    for said in (b'data: {"a": 1}\r\n\r\n', b"data: 0\r\n\r\n"):
        wired.connection.data_received(chunk(said))

    assert wired.ended == []


def test_unasked_words_close_the_connection(wired: Wired) -> None:
    """They belong to no exchange."""
    wired.connection.data_received(b"hello")

    assert wired.transport.is_aborted
    assert not wired.connection.is_usable


def test_loss_fails_what_it_cuts(wired: Wired) -> None:
    """Once, with the reason of the system."""
    exchange = Exchange(0)
    wired.connection.send(exchange, b"question")
    wired.connection.eof_received()
    wired.connection.connection_lost(OSError("reset by peer"))

    assert exchange.failure is not None
    assert exchange.failure.kind is FailureKind.CLOSED
    assert "before its answer (reset by peer)" in exchange.failure.detail
    assert (wired.ended, wired.lost) == ([exchange], 1)


def test_failing_without_an_exchange_does_nothing(wired: Wired) -> None:
    """It ended in between."""
    wired.connection.connection_lost(None)
    exchange_failure = wired.connection.exchange

    assert exchange_failure is None
    assert (wired.ended, wired.lost) == ([], 1)
