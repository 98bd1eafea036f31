"""Runs a load: splits it over processes, starts them together, merges their samples.

The generator always works in processes of its own, so that what its caller does costs it nothing.
Their clock is the host's CLOCK_MONOTONIC, the same for all, so that raw samples merge.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Final
from typing import NamedTuple
from typing import cast

from hwval.errors import HostError
from hwval.errors import UsageError
from hwval.load.drive import Limits
from hwval.load.health import Health
from hwval.load.request import Ask
from hwval.load.request import Target
from hwval.load.sample import Sample
from hwval.load.wire import monotonic_ns
from hwval.load.work import Failed
from hwval.load.work import News
from hwval.load.work import Outcome
from hwval.load.work import Ready
from hwval.load.work import Share
from hwval.load.work import work

__all__ = ["LoadInterrupted", "LoadPlan", "LoadRun", "Progress", "processes_for", "run_load"]

_OPENED_FIRST: Final = 256
"""Connections of an open loop before the clock starts; more are opened as they are needed."""
_MOST_CONNECTIONS: Final = 8192
_STREAMS_PER_PROCESS: Final = 256
_RATE_PER_PROCESS: Final = 250.0
# Time for every process to take its order and to sleep up to the common start.
_START_LEAD_NS: Final = 50_000_000
_END_S: Final = 5.0
_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A whole load.

    Attributes:
        target: Where requests go.
        asks: The requests; all with a time (open loop, ascending) or none (closed loop).
        warmups: Requests that come first and do not count.
        concurrency: Most requests in flight at a time; needed by a closed loop, None in an open
            loop for as many as it takes.
        limits: When to give up.
        processes: How many processes share the work, >= 1.
    """

    target: Target
    asks: tuple[Ask, ...]
    warmups: tuple[Ask, ...] = ()
    concurrency: int | None = None
    limits: Limits = field(default_factory=Limits)
    processes: int = 1

    def __post_init__(self) -> None:
        if not self.asks:
            raise UsageError("a load of 0 requests: expected 1 or more")
        if self.processes < 1 or (self.concurrency is not None and self.concurrency < 1):
            raise UsageError(
                f"{self.processes} processes with concurrency {self.concurrency}: expected 1 or "
                "more of each"
            )
        if not self.is_open and self.concurrency is None:
            raise UsageError("a closed loop without concurrency: expected how many run at a time")

    @property
    def is_open(self) -> bool:
        """Whether requests have times of their own."""
        return self.asks[0].at_s is not None


class Progress(NamedTuple):
    """How far a load is.

    Attributes:
        stage: ``warm-up``, ``requests`` or ``reading``.
        ended: Requests that have ended in this stage, failed ones among them.
        failed: Requests that have failed.
        total: Requests of this stage.
    """

    stage: str
    ended: int
    failed: int
    total: int


class LoadRun(NamedTuple):
    """What a load measured, before anything is made of it.

    Attributes:
        samples: One for each request, by number.
        warmups: Those that do not count.
        healths: How each process of the generator fared.
        loop: Event loop that it ran on: ``uvloop`` or ``asyncio``.
        concurrency: Most requests in flight that were asked for, None for no such limit.
    """

    samples: tuple[Sample, ...]
    warmups: tuple[Sample, ...]
    healths: tuple[Health, ...]
    loop: str
    concurrency: int | None = None


class LoadInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a load early.

    Args:
        run: What was measured until then.
    """

    def __init__(self, run: LoadRun) -> None:
        super().__init__("the load was interrupted")
        self.run = run


class _Worker(NamedTuple):
    process: BaseProcess
    pipe: Pipe


def processes_for(concurrency: int | None, rate_per_s: float | None = None) -> int:
    """Return how many processes a load is likely to need, at most one for each core but one.

    One process keeps its promise of exact times up to 256 streams, or 250 requests per second.

    Args:
        concurrency: Streams at a time, None where nobody knows.
        rate_per_s: Requests per second of an open loop.
    """
    cores = len(os.sched_getaffinity(0))
    by_streams = -(-(concurrency or 1) // _STREAMS_PER_PROCESS)
    by_rate = -(-(rate_per_s or 1.0) // _RATE_PER_PROCESS)
    return max(1, min(int(max(by_streams, by_rate)), cores - 1))


def run_load(plan: LoadPlan, on_progress: Callable[[Progress], None] | None = None) -> LoadRun:
    """Send the load and return its samples.

    Args:
        plan: The load.
        on_progress: Called a few times a second.

    Raises:
        EngineUnreachable: The connections could not be opened.
        UsageError: A request cannot be written.
        HostError: A process of the generator died.
        LoadInterrupted: Ctrl-C while requests were sent; it has what was measured. A second one,
            or one before, is a plain KeyboardInterrupt.
    """
    shares = _split(plan)
    totals = {"warm-up": len(plan.warmups), "requests": len(plan.asks), "reading": len(plan.asks)}
    news: dict[Pipe, News] = {}

    def tell(pipe: Pipe, one: News) -> None:
        news[pipe] = one
        if on_progress is not None:
            same = [other for other in news.values() if other.stage == one.stage]
            ended, failed = sum(other.ended for other in same), sum(other.failed for other in same)
            on_progress(Progress(one.stage, ended, failed, totals[one.stage]))

    with _interrupts() as interrupted, _workers(shares) as workers:
        pipes = [worker.pipe for worker in workers]
        ready = [one for one in _collect(pipes, tell, interrupted) if isinstance(one, Ready)]
        start_ns = monotonic_ns() + _START_LEAD_NS
        for pipe in pipes:
            pipe.send(start_ns)
        ended = _collect(pipes, tell, interrupted, has_begun=True)
        outcomes = [one for one in ended if isinstance(one, Outcome)]
    samples = [sample for outcome in outcomes for sample in outcome.samples]
    run = LoadRun(
        samples=tuple(sorted(samples, key=lambda sample: sample.index)),
        warmups=tuple(sample for one in ready for sample in one.warmups),
        healths=tuple(outcome.health for outcome in outcomes),
        loop=ready[0].loop,
        concurrency=plan.concurrency,
    )
    if interrupted.is_set():
        raise LoadInterrupted(run)
    return run


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Note the first Ctrl-C in place of being torn out of the middle of a message.

    Whoever handles the signal in another way, or calls from another thread, keeps what they have.
    """
    noted = threading.Event()
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield noted
        return

    def note(*_: object) -> None:
        noted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _split(plan: LoadPlan) -> list[Share]:
    """Deal requests and connections out evenly."""
    first = min(plan.concurrency or _OPENED_FIRST, len(plan.asks))
    most = plan.concurrency or _MOST_CONNECTIONS
    if not plan.is_open:
        most = first
    many = min(plan.processes, first)
    return [
        Share(
            target=plan.target,
            asks=tuple(enumerate(plan.asks))[number::many],
            warmups=plan.warmups[number::many],
            connections=_part(first, number, many),
            most_connections=_part(most, number, many),
            limits=plan.limits,
        )
        for number in range(many)
    ]


def _part(total: int, number: int, many: int) -> int:
    return total // many + (number < total % many)


@contextmanager
def _workers(shares: list[Share]) -> Iterator[list[_Worker]]:
    """Start the processes, and leave none behind."""
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    try:
        for share in shares:
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(share, theirs), daemon=True)
            # A child that Ctrl-C meets before it can ignore it would write a traceback.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            theirs.close()
            workers.append(_Worker(process, ours))
        yield workers
        for worker in workers:
            worker.process.join(_END_S)
    finally:
        for worker in workers:
            worker.pipe.close()
            worker.process.kill()
            worker.process.join()


def _collect(
    pipes: list[Pipe],
    tell: Callable[[Pipe, News], None],
    interrupted: threading.Event,
    *,
    has_begun: bool = False,
) -> list[Ready | Outcome]:
    """Wait for one message that is no news from each process.

    An interrupt is passed on to them once they have begun to measure; before, it ends the load.
    """
    found: dict[Pipe, Ready | Outcome] = {}
    untold = pipes if has_begun else []
    while len(found) < len(pipes):
        if interrupted.is_set():
            if not has_begun:
                raise KeyboardInterrupt
            for pipe in untold:
                with suppress(OSError):  # it died, which is told by its own end of the pipe
                    pipe.send(None)
            untold = []
        ready = wait([one for one in pipes if one not in found], _POLL_S)
        for pipe in cast("list[Pipe]", ready):
            message = _receive(pipe)
            if isinstance(message, News):
                tell(pipe, message)
            elif isinstance(message, Failed):
                raise message.error
            else:
                found[pipe] = message
    return [found[pipe] for pipe in pipes]


def _receive(pipe: Pipe) -> News | Ready | Outcome | Failed:
    try:
        message: News | Ready | Outcome | Failed = pipe.recv()
    except EOFError as error:
        raise HostError(
            "a process of the load generator died (see above); was it killed for memory?"
        ) from error
    return message
