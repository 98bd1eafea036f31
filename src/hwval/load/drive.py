"""Sends one process's share of the requests and records the answers.

One mechanism serves both loops: requests that are due wait in a line, connections that are free
wait in another. In a closed loop everything is due at once and the connections are as many as the
concurrency; in an open loop requests become due by the clock.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hwval.errors import EngineUnreachable
from hwval.load.failure import Failure
from hwval.load.failure import FailureKind
from hwval.load.health import Health
from hwval.load.health import HealthWatch
from hwval.load.request import Target
from hwval.load.wire import Connection
from hwval.load.wire import Exchange
from hwval.load.wire import monotonic_ns

__all__ = ["Driver", "Limits"]

_CONNECT_TIMEOUT_S: Final = 10.0
_CONNECTING_AT_ONCE: Final = 64
_SWEEP_S: Final = 0.25
_SPARE_CONNECTIONS: Final = 8
# Servers close connections that were used and then idle, uvicorn and Node after 5 s; one is
# replaced well before, so that no request meets its end.
_IDLE_NS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """When to give up.

    Attributes:
        request_s: Longest time for one request, seconds > 0.
        stall_s: Longest silence inside a stream that has begun, seconds > 0.
        run_s: Longest time for all requests, None for no limit.
        memory_bytes: Most recorded bytes that one process keeps.
        answer_bytes: Most recorded bytes of one answer; None for no limit of its own.
    """

    request_s: float = 600.0
    stall_s: float = 60.0
    run_s: float | None = None
    memory_bytes: int = 2 << 30
    answer_bytes: int | None = None


class Driver:
    """Drives connections to one server.

    Args:
        target: Where requests go.
        connections: How many are opened before the clock starts, >= 1.
        most_connections: How many there may be, >= ``connections``.
        limits: When to give up.
        on_progress: Called now and then with the numbers of ended and of failed requests.
        is_interrupted: Asked now and then whether the run is to end with what it has.
    """

    def __init__(
        self,
        target: Target,
        *,
        connections: int,
        most_connections: int,
        limits: Limits,
        on_progress: Callable[[int, int], None] | None = None,
        is_interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._target = target
        self._connections = connections
        self._most = most_connections
        self._limits = limits
        self._on_progress = on_progress
        self._is_interrupted = is_interrupted
        self._idle: list[Connection] = []
        self._busy: dict[Connection, bytes] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._late = 0
        self._open_count = 0
        self._tls = ssl.create_default_context() if target.uses_tls else None
        self._reset(())

    async def open(self) -> None:
        """Open the connections.

        Raises:
            EngineUnreachable: Not all of them could be opened.
        """
        for start in range(0, self._connections, _CONNECTING_AT_ONCE):
            many = min(_CONNECTING_AT_ONCE, self._connections - start)
            opened = await asyncio.gather(
                *(self._connect() for _ in range(many)), return_exceptions=True
            )
            for result in opened:
                if isinstance(result, BaseException):
                    raise EngineUnreachable(
                        f"open {self._connections} connections to {self._target.base_url}: "
                        f"{_reason(result)} after {self._open_count}"
                    ) from result

    async def run(
        self, requests: Sequence[tuple[Exchange, bytes]], start_ns: int
    ) -> tuple[list[Exchange], Health]:
        """Send requests and wait until each one has ended.

        Args:
            requests: What to send and where to record it; by time where they have one.
            start_ns: When the run starts; at once if that is past.

        Returns:
            The exchanges in the order in which they ended, those that were never sent among them;
            and how this process fared.
        """
        self._reset(requests)
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, (start_ns - monotonic_ns()) / 1e9))
        self._late = 0
        self._sweep_later(loop, monotonic_ns())
        watch = HealthWatch(loop)
        self._release()
        await self._finished.wait()
        health = watch.stop(late_connections=self._late, resent_requests=self._resent)
        self._sweeper.cancel()
        if self._timer is not None:
            self._timer.cancel()
        return self._ended, health

    async def close(self) -> None:
        """Close every connection."""
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in [*self._idle, *self._busy]:
            connection.close()
        await asyncio.sleep(0)

    def _reset(self, requests: Sequence[tuple[Exchange, bytes]]) -> None:
        self._waiting = deque(requests)
        self._due: deque[tuple[Exchange, bytes]] = deque()
        self._ended: list[Exchange] = []
        self._failed = 0
        self._resent = 0
        self._kept_bytes = 0
        self._total = len(requests)
        self._finished = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        if not requests:
            self._finished.set()

    def _release(self) -> None:
        """Move what is due now into the line, and come back when the next one is."""
        self._timer = None
        now_ns = monotonic_ns()
        while self._waiting:
            due_ns = self._waiting[0][0].due_ns
            if due_ns is not None and due_ns > now_ns:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later((due_ns - now_ns) / 1e9, self._release)
                break
            exchange, request = self._waiting.popleft()
            exchange.is_held = due_ns is not None and self._is_full()
            self._due.append((exchange, request))
        self._dispatch()

    def _is_full(self) -> bool:
        """Return whether what is due now waits for the end of another request."""
        return len(self._due) >= len(self._idle) + self._most - self._open_count

    def _dispatch(self) -> None:
        while self._due and self._idle:
            connection = self._idle.pop()
            if not connection.is_usable:
                continue
            exchange, request = self._due.popleft()
            self._busy[connection] = request
            connection.send(exchange, request)
        self._grow()

    def _grow(self) -> None:
        """Open connections for what waits; with an open loop, a few ahead of need too."""
        left = len(self._due) + len(self._waiting)
        spare = min(_SPARE_CONNECTIONS, len(self._waiting)) if self._timer else 0
        wanted = min(left, len(self._due) + spare) - len(self._idle) - len(self._opening)
        room = self._most - self._open_count - len(self._opening)
        for _ in range(min(wanted, room)):
            task = asyncio.get_running_loop().create_task(self._open_late())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_late(self) -> None:
        self._late += 1
        try:
            await self._connect()
        except (OSError, TimeoutError) as error:
            if not self._due:
                return  # opened ahead of need; tried again when there is need
            exchange, _ = self._due.popleft()
            self._give_up(exchange, Failure(FailureKind.CONNECT, _reason(error)))
        # Only now, since this task itself still counts as one that opens.
        asyncio.get_running_loop().call_soon(self._dispatch)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            _, connection = await loop.create_connection(
                lambda: Connection(self._on_end, self._on_loss),
                self._target.host,
                self._target.port,
                ssl=self._tls,
            )
        self._open_count += 1
        self._idle.append(connection)

    def _on_end(self, connection: Connection, exchange: Exchange) -> None:
        """Record an exchange and let its connection carry the next one."""
        request = self._busy.pop(connection)
        self._kept_bytes += connection.received_bytes
        if _met_the_end(exchange):
            # HTTP lets a server close what is idle; the request went into the void.
            self._resent += 1
            again = Exchange(exchange.index, exchange.due_ns, is_held=exchange.is_held)
            self._due.appendleft((again, request))
        else:
            self._note(exchange)
        if connection.is_usable:
            self._idle.append(connection)
        self._dispatch()

    def _on_loss(self, connection: Connection) -> None:
        self._open_count -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        if self._due:
            self._grow()

    def _give_up(self, exchange: Exchange, failure: Failure) -> None:
        exchange.failure = failure
        exchange.ended_ns = monotonic_ns()
        self._note(exchange)

    def _note(self, exchange: Exchange) -> None:
        self._ended.append(exchange)
        self._failed += exchange.failure is not None and not exchange.failure.is_cut
        if len(self._ended) == self._total:
            self._finished.set()

    def _sweep_later(self, loop: asyncio.AbstractEventLoop, started_ns: int) -> None:
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep, loop, started_ns)

    def _sweep(self, loop: asyncio.AbstractEventLoop, started_ns: int) -> None:
        """Give up what takes too long; the one place that looks at requests by the clock."""
        now_ns = monotonic_ns()
        cut = self._cut(now_ns - started_ns)
        if cut is not None:
            self._abandon(cut)
        for connection in list(self._busy):
            if not cut and _is_too_long(connection, self._limits):
                detail = f"{connection.received_bytes:,} bytes and no end"
                connection.discard(Failure(FailureKind.TOO_LONG, detail))
                continue
            failure = cut or _overdue(connection, now_ns, self._limits)
            if failure is not None:
                connection.fail(failure)
        self._refresh(now_ns)
        if self._on_progress is not None:
            self._on_progress(len(self._ended), self._failed)
        if not self._finished.is_set():
            self._sweep_later(loop, started_ns)

    def _cut(self, elapsed_ns: int) -> Failure | None:
        """Return why the whole run ends now, None if it goes on."""
        limits = self._limits
        if self._is_interrupted():
            return Failure(FailureKind.INTERRUPT, "the run was interrupted")
        if limits.run_s is not None and elapsed_ns > limits.run_s * 1e9:
            return Failure(FailureKind.DEADLINE, f"the run had {limits.run_s:g} s")
        kept = self._kept_bytes + sum(connection.received_bytes for connection in self._busy)
        if kept > limits.memory_bytes:
            return Failure(FailureKind.MEMORY, f"answers took {kept:,} bytes")
        return None

    def _abandon(self, failure: Failure) -> None:
        """Give up what was not sent yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left = [*self._due, *self._waiting]
        self._due.clear()
        self._waiting.clear()
        for exchange, _ in left:
            self._give_up(exchange, Failure(FailureKind.UNSENT, failure.detail))

    def _refresh(self, now_ns: int) -> None:
        """Replace connections that were used and have been idle for long."""
        for connection in self._idle.copy():
            used_ns = connection.used_ns
            if used_ns is not None and now_ns - used_ns > _IDLE_NS:
                self._idle.remove(connection)
                connection.close()
        self._grow()


def _is_too_long(connection: Connection, limits: Limits) -> bool:
    return limits.answer_bytes is not None and connection.received_bytes > limits.answer_bytes


def _overdue(connection: Connection, now_ns: int, limits: Limits) -> Failure | None:
    exchange = connection.exchange
    if exchange is None:
        return None
    if now_ns - exchange.sent_ns > limits.request_s * 1e9:
        return Failure(FailureKind.TIMEOUT, f"no whole answer within {limits.request_s:g} s")
    if exchange.times_ns and now_ns - exchange.times_ns[-1] > limits.stall_s * 1e9:
        return Failure(FailureKind.STALLED, f"nothing came for {limits.stall_s:g} s")
    return None


def _met_the_end(exchange: Exchange) -> bool:
    """Return whether the server closed a connection that was free before it saw the request."""
    failure = exchange.failure
    is_closed = failure is not None and failure.kind is FailureKind.CLOSED
    return is_closed and exchange.is_reused and not exchange.parts


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_CONNECT_TIMEOUT_S:g} s"
    return str(error) or type(error).__name__
