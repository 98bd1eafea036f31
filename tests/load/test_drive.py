"""Sending requests and recording answers, against servers that do what a test wrote down."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from collections.abc import Sequence

import pytest

from hwval.errors import EngineUnreachable
from hwval.load.drive import Driver
from hwval.load.drive import Limits
from hwval.load.health import Health
from hwval.load.request import Ask
from hwval.load.request import Target
from hwval.load.sample import Sample
from hwval.load.sample import read_exchange
from hwval.load.wire import Exchange
from hwval.load.wire import monotonic_ns
from tests.load.scripted import EVENTS_HEAD
from tests.load.scripted import LAST_CHUNK
from tests.load.scripted import Script
from tests.load.scripted import chunk
from tests.load.scripted import event
from tests.load.scripted import serve
from tests.load.scripted import token
from tests.load.scripted import usage
from tests.load.scripted import whole

STARTED = EVENTS_HEAD + chunk(event(token()))


def drive(
    url: str,
    count: int,
    *,
    connections: int = 2,
    most: int | None = None,
    limits: Limits | None = None,
    at_s: Sequence[float | None] = (),
    is_interrupted: Callable[[], bool] = lambda: False,
) -> tuple[list[Sample], Health]:
    """Send so many requests; each answer has two tokens."""
    target = Target(url, "m")

    async def run() -> tuple[list[Exchange], Health]:
        driver = Driver(
            target,
            connections=connections,
            most_connections=most or connections,
            limits=limits or Limits(request_s=20),
            is_interrupted=is_interrupted,
        )
        await driver.open()
        start_ns = monotonic_ns()
        times = [None if one is None else start_ns + int(one * 1e9) for one in at_s]
        exchanges = [Exchange(n, times[n] if times else None) for n in range(count)]
        raw = target.request_bytes(Ask("hi", 2))
        try:
            return await driver.run([(one, raw) for one in exchanges], start_ns)
        finally:
            await driver.close()

    ended, health = asyncio.run(run())
    assert sorted(one.index for one in ended) == list(range(count))
    return [read_exchange(one, asked_tokens=2, ignore_eos=True) for one in ended], health


def kinds(samples: Sequence[Sample]) -> dict[str, int]:
    return dict(Counter(one.failure.name for one in samples if one.failure))


def test_connections_are_used_again() -> None:
    """A closed loop needs no more than its concurrency."""
    script = Script([whole()])
    with serve(script) as url:
        samples, health = drive(url, 10, connections=3)

    assert kinds(samples) == {}
    assert (script.connections, len(script.requests), health.late_connections) == (3, 10, 0)
    assert all(one.sent_ns < one.token_ns[0] <= one.ended_ns for one in samples)


def test_server_that_closes_gets_new_connections() -> None:
    """A request that met the end of a connection goes over another one, and is counted."""
    script = Script([whole()], closes=True)
    with serve(script) as url:
        samples, health = drive(url, 6)

    assert kinds(samples) == {}
    assert (script.connections, health.late_connections) == (6, 4)
    assert health.resent_requests <= script.connections  # each end is met by one request at most


def test_announced_close_loses_no_request() -> None:
    """The next one goes over a new connection."""
    closing = whole().replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)
    script = Script([closing], closes=True)
    with serve(script) as url:
        samples, health = drive(url, 6)

    assert kinds(samples) == {}
    assert (script.connections, health.late_connections) == (6, 4)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", "connection closed"),
        (STARTED, "connection closed"),
        (b"SSH-2.0-OpenSSH_9\r\n", "malformed answer"),
        (EVENTS_HEAD + chunk(b"data: {]\n\n") + LAST_CHUNK, "malformed answer"),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy", "status 503"),
        (b"HTTP/1.1 503 Busy\r\n\r\nbusy", "status 503"),
        (whole(3), "wrong token count"),
    ],
    ids=["silent", "cut", "ssh", "no json", "busy", "busy without length", "count"],
)
def test_bad_answers_are_counted_by_kind(answer: bytes, kind: str) -> None:
    """And the run goes on to its end."""
    with serve(Script([answer], closes=True)) as url:
        samples, _ = drive(url, 4)

    assert kinds(samples) == {kind: 4}


def test_end_of_an_old_server_is_its_last_word() -> None:
    """HTTP/1.0 knows neither chunks nor the need of a length."""
    events = b"".join(map(event, [token(), token(finish="length"), usage(2), b"[DONE]"]))
    answer = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + events
    with serve(Script([answer], closes=True)) as url:
        samples, _ = drive(url, 4)

    assert kinds(samples) == {}
    assert all(one.output_tokens == 2 for one in samples)


def test_errors_do_not_end_the_connection() -> None:
    """An error with a length leaves it usable."""
    busy = b"HTTP/1.1 429 Busy\r\ncontent-length: 4\r\n\r\nbusy"
    script = Script([busy, whole(), busy, whole()])
    with serve(script) as url:
        samples, _ = drive(url, 4, connections=1)

    assert kinds(samples) == {"status 429": 2}
    assert script.connections == 1


@pytest.mark.parametrize("size", [1, 3, 7])
def test_end_is_found_however_it_is_cut(size: int) -> None:
    """Byte by byte too."""
    raw = whole()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"}")
            for start in range(0, len(raw), size):
                writer.write(raw[start : start + size])
                await writer.drain()
                await asyncio.sleep(0)
            await reader.read()
            writer.close()

        async def run() -> Exchange:
            server = await asyncio.start_server(answer, sock=listener)
            port = listener.getsockname()[1]
            target = Target(f"http://127.0.0.1:{port}", "m")
            limits = Limits(request_s=20)
            driver = Driver(target, connections=1, most_connections=1, limits=limits)
            await driver.open()
            request = target.request_bytes(Ask("hi", 2))
            (exchange,), _ = await driver.run([(Exchange(0), request)], 0)
            await driver.close()
            server.close()
            # The server's side of the connection has its own way to an end.
            await asyncio.sleep(0.05)
            return exchange

        exchange = asyncio.run(run())

    assert exchange.failure is None
    assert b"".join(exchange.parts) == raw


class TestLimits:
    def test_silent_server_times_out(self) -> None:
        """Before its first byte, by the time for a request."""
        with serve(Script([None])) as url:
            samples, _ = drive(url, 3, connections=3, limits=Limits(request_s=0.1))

        assert kinds(samples) == {"timed out": 3}

    def test_stream_that_stops_is_stalled(self) -> None:
        """After its first byte, by the silence; other requests go on."""
        with serve(Script([STARTED, whole()])) as url:
            samples, _ = drive(url, 4, connections=2, limits=Limits(request_s=20, stall_s=0.1))

        assert kinds(samples) == {"stalled": 1}

    def test_deadline_ends_the_run_with_what_it_has(self) -> None:
        """What runs is cut, what waits is not sent."""
        with serve(Script([whole(), None])) as url:
            samples, _ = drive(url, 5, connections=1, limits=Limits(run_s=1))

        assert kinds(samples) == {"cut by the deadline": 1, "not sent": 3}
        assert sum(one.sent_ns == 0 for one in samples) == 3

    def test_deadline_ends_an_open_loop_too(self) -> None:
        """Requests of the future are given up."""
        with serve(Script([whole()])) as url:
            samples, _ = drive(url, 2, at_s=[0, 3600], limits=Limits(run_s=1))

        assert kinds(samples) == {"not sent": 1}

    def test_interrupt_ends_the_run_with_what_it_has(self) -> None:
        """As the deadline does."""
        script = Script([whole(), None])
        with serve(script) as url:
            samples, _ = drive(
                url, 5, connections=1, is_interrupted=lambda: len(script.requests) == 2
            )

        assert kinds(samples) == {"cut by an interrupt": 1, "not sent": 3}

    def test_endless_answer_is_cut_by_memory(self) -> None:
        """A server that never stops talking does not fill the machine."""
        script = Script([EVENTS_HEAD + chunk(event(token())) * 20_000])
        with serve(script) as url:
            samples, _ = drive(url, 2, limits=Limits(request_s=20, memory_bytes=1_000_000))

        assert kinds(samples) == {"cut by the memory limit": 2}

    def test_one_endless_answer_is_given_up_alone(self) -> None:
        """Its bytes are forgotten, and the others go on."""
        script = Script([EVENTS_HEAD + chunk(event(token())) * 20_000, whole()])
        limits = Limits(request_s=20, answer_bytes=1_000_000, memory_bytes=5_000_000)
        with serve(script) as url:
            samples, _ = drive(url, 5, limits=limits)

        assert kinds(samples) == {"answer too long": 1}
        assert not next(one for one in samples if one.failure).token_ns


class TestOpenLoop:
    def test_requests_are_sent_when_they_are_due(self) -> None:
        """Not before."""
        at_s = [0.0, 0.05, 0.1]
        with serve(Script([whole()])) as url:
            samples, _ = drive(url, 3, at_s=at_s)

        assert kinds(samples) == {}
        assert all(one.due_ns is not None and one.sent_ns >= one.due_ns for one in samples)

    def test_more_connections_are_opened_as_needed(self) -> None:
        """Slow answers do not slow the arrivals."""
        script = Script([None, None, None, whole()])
        with serve(script) as url:
            samples, health = drive(
                url, 4, connections=1, most=8, at_s=[0.0, 0.0, 0.0, 0.01],
                limits=Limits(request_s=1),
            )  # fmt: skip

        assert kinds(samples) == {"timed out": 3}
        assert health.late_connections >= 3

    def test_most_connections_are_kept(self) -> None:
        """Requests beyond wait for a connection."""
        script = Script([whole()])
        with serve(script) as url:
            samples, _ = drive(url, 20, connections=1, most=2, at_s=[0.0] * 20)

        assert kinds(samples) == {}
        assert script.connections <= 2
        # The first two had a connection, or room to open one.
        assert sum(one.is_held for one in samples) == 18

    def test_request_that_finds_a_connection_is_not_held(self) -> None:
        """Nor one that waits until another connection is open."""
        with serve(Script([whole()])) as url:
            samples, _ = drive(url, 4, connections=1, most=4, at_s=[0.0, 0.0, 0.0, 0.3])

        assert [one.is_held for one in samples] == [False] * 4

    def test_connection_that_was_idle_for_long_is_replaced(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before the server may close it under a request."""
        monkeypatch.setattr("hwval.load.drive._IDLE_NS", 1)
        script = Script([whole()])
        with serve(script) as url:
            samples, _ = drive(url, 2, connections=1, at_s=[0.0, 0.6])

        assert kinds(samples) == {}
        assert script.connections == 2


def test_server_that_goes_away_fails_what_is_left() -> None:
    """Every request has an end, and the run too."""
    with socket.create_server(("127.0.0.1", 0), backlog=4) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        async def run() -> list[Exchange]:
            target = Target(url, "m")
            driver = Driver(target, connections=2, most_connections=2, limits=Limits(request_s=20))
            await driver.open()
            clients = [listener.accept()[0] for _ in range(2)]
            listener.close()
            for client in clients:
                client.close()
            raw = target.request_bytes(Ask("hi", 2))
            ended, _ = await driver.run([(Exchange(n), raw) for n in range(6)], 0)
            await driver.close()
            return ended

        ended = asyncio.run(run())

    assert len(ended) == 6
    found = {one.failure.name for one in ended if one.failure}
    assert "no connection" in found
    assert found <= {"no connection", "connection closed"}
    assert all(one.failure for one in ended)


def test_nobody_there_is_told() -> None:
    """Before anything is measured."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(EngineUnreachable, match=f"open 2 connections to {url}: .* after 0"):
        drive(url, 1)


def test_nothing_to_send_ends_at_once() -> None:
    """A run without warm-up requests."""
    with serve(Script([whole()])) as url:
        assert drive(url, 0)[0] == []


def test_words_without_a_question_end_the_connection() -> None:
    """They could not be told from an answer; the request after them goes over another one."""
    script = Script([whole() + whole()])
    with serve(script) as url:
        samples, _ = drive(url, 1)

    assert kinds(samples) in ({}, {"malformed answer": 1}, {"wrong token count": 1})
    assert usage(2)["usage"]["completion_tokens"] == 2
