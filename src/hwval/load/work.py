"""One process of the load generator: connects, warms up, waits for the start, measures, reads."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace
from multiprocessing.connection import Connection as Pipe
from typing import Final
from typing import Literal
from typing import NamedTuple

from hwval.errors import HwvalError
from hwval.load.drive import Driver
from hwval.load.drive import Limits
from hwval.load.health import Health
from hwval.load.request import Ask
from hwval.load.request import Target
from hwval.load.sample import Sample
from hwval.load.sample import read_exchange
from hwval.load.wire import Exchange

__all__ = ["Failed", "News", "Outcome", "Ready", "Share", "work"]

# A token with the logprobs of its 20 nearest takes some 6 KB; a prompt that is echoed, far less
# than the rest.
_ANSWER_BYTES_PER_TOKEN: Final = 16 << 10
_LEAST_ANSWER_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Share:
    """What one process does.

    Attributes:
        target: Where requests go.
        asks: Its requests, each with its number in the whole run.
        warmups: Requests that come first and do not count.
        connections: Opened before the clock starts, >= 1.
        most_connections: Most that there may be.
        limits: When to give up.
    """

    target: Target
    asks: tuple[tuple[int, Ask], ...]
    warmups: tuple[Ask, ...]
    connections: int
    most_connections: int
    limits: Limits


class Ready(NamedTuple):
    """Connections are open and the warm-up is over."""

    warmups: list[Sample]
    loop: str


class News(NamedTuple):
    """How far it is."""

    stage: Literal["warm-up", "requests", "reading"]
    ended: int
    failed: int


class Outcome(NamedTuple):
    """What it measured."""

    samples: list[Sample]
    health: Health


class Failed(NamedTuple):
    """Why it measured nothing."""

    error: HwvalError


def work(share: Share, pipe: Pipe) -> None:
    """Do a share in a process of its own.

    Sends `Ready`, takes the start (CLOCK_MONOTONIC, nanoseconds), sends `News` meanwhile and
    `Outcome` at the end; or `Failed`. Whatever it is told after the start ends the run early.
    """
    # The terminal sends it to all; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            _work(share, pipe, runner)
    except HwvalError as error:
        pipe.send(Failed(error))
    except (BrokenPipeError, EOFError):
        return  # the parent is gone, and nobody waits for an answer


def _work(share: Share, pipe: Pipe, runner: asyncio.Runner) -> None:
    _allow_connections(share.most_connections)
    stage: list[Literal["warm-up", "requests"]] = ["warm-up"]
    driver = Driver(
        share.target,
        connections=share.connections,
        most_connections=share.most_connections,
        limits=_limits(share),
        on_progress=lambda ended, failed: pipe.send(News(stage[0], ended, failed)),
        is_interrupted=lambda: stage[0] == "requests" and pipe.poll(),
    )
    try:
        _measure(share, pipe, runner, driver, stage)
    finally:
        runner.run(driver.close())


def _limits(share: Share) -> Limits:
    """Return when to give up, an answer that never ends among it."""
    tokens = max((ask.output_tokens for _, ask in share.asks), default=0)
    return replace(
        share.limits, answer_bytes=_LEAST_ANSWER_BYTES + _ANSWER_BYTES_PER_TOKEN * tokens
    )


def _measure(
    share: Share,
    pipe: Pipe,
    runner: asyncio.Runner,
    driver: Driver,
    stage: list[Literal["warm-up", "requests"]],
) -> None:
    runner.run(driver.open())
    warmups = list(enumerate(share.warmups))
    warmed, _ = runner.run(driver.run(_requests(share.target, warmups, 0), 0))
    samples = _read(warmed, share.target, dict(warmups))
    pipe.send(Ready(samples, type(runner.get_loop()).__module__.partition(".")[0]))
    plan = dict(share.asks)
    start_ns = int(pipe.recv())
    stage[0] = "requests"
    requests = _requests(share.target, share.asks, start_ns)
    # A collection in the middle would stop the loop for as long as it takes to see every part.
    gc.collect()
    gc.freeze()
    gc.disable()
    ended, health = runner.run(driver.run(requests, start_ns))
    samples = _read(ended, share.target, plan, lambda number: pipe.send(News("reading", number, 0)))
    pipe.send(Outcome(samples, health))


def _requests(
    target: Target, asks: list[tuple[int, Ask]] | tuple[tuple[int, Ask], ...], start_ns: int
) -> list[tuple[Exchange, bytes]]:
    return [
        (
            Exchange(index, None if ask.at_s is None else start_ns + round(ask.at_s * 1e9)),
            target.request_bytes(ask),
        )
        for index, ask in asks
    ]


def _read(
    ended: list[Exchange],
    target: Target,
    asks: dict[int, Ask],
    on_progress: Callable[[int], None] | None = None,
) -> list[Sample]:
    """Read recordings, and forget each one's bytes once they are read."""
    samples = []
    for number, exchange in enumerate(ended):
        samples.append(
            read_exchange(
                exchange,
                asked_tokens=asks[exchange.index].output_tokens,
                ignore_eos=target.ignore_eos,
            )
        )
        exchange.parts.clear()
        if on_progress is not None and number % 64 == 0:
            on_progress(number)
    return samples


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _allow_connections(most: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + 64
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most_allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_allowed, hard))
