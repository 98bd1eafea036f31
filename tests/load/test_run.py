"""Whole loads, with processes of their own, against the fault-injecting engine."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hwval.errors import EngineUnreachable
from hwval.errors import HostError
from hwval.errors import UsageError
from hwval.load import Ask
from hwval.load import Limits
from hwval.load import LoadInterrupted
from hwval.load import LoadPlan
from hwval.load import Progress
from hwval.load import Target
from hwval.load import processes_for
from hwval.load import run
from hwval.load import run_load
from hwval.load import summarise
from hwval.load import work as work_module
from hwval.load.work import Failed
from hwval.load.work import News
from hwval.load.work import Outcome
from hwval.load.work import Ready
from hwval.load.work import Share
from hwval.load.work import work
from tests.fakes.process import FakeEngineProcess

NOWHERE = Target("http://127.0.0.1:9", "m")


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    """A healthy engine."""
    with FakeEngineProcess(scenario={"ttft_s": 0.03, "itl_s": 0.002}) as running:
        yield running


def target(engine: FakeEngineProcess, **more: Any) -> Target:
    return Target(engine.base_url, "fake", api_key=engine.api_key or "", **more)


def asks(count: int, at_s: float | None = None) -> tuple[Ask, ...]:
    return tuple(
        Ask(f"ba be {number}", 5, None if at_s is None else at_s * number)
        for number in range(count)
    )


@pytest.mark.parametrize("kind", ["completions", "chat"])
def test_times_are_those_of_the_server(engine: FakeEngineProcess, kind: Any) -> None:
    """On one clock: nothing arrives before it was sent, and each request is one of the server's."""
    before = len(httpx.get(f"{engine.base_url}/fake/requests").json())
    plan = LoadPlan(target(engine, kind=kind), asks(12), asks(2), concurrency=4, processes=2)
    result = run_load(plan)
    record = httpx.get(f"{engine.base_url}/fake/requests").json()[before + 2 :]
    summary = summarise(result)

    assert (summary.requests, summary.failed, summary.output_tokens) == (12, 0, 60)
    assert summary.output_tokens_from == "usage"
    assert summary.input_tokens is not None
    assert len(result.warmups) == 2
    assert len(record) == 12
    firsts = sorted(sample.token_ns[0] / 1e9 for sample in result.samples)
    sent = sorted(sample.sent_ns / 1e9 for sample in result.samples)
    assert all(
        ours > theirs["first_token_s"]
        for ours, theirs in zip(
            firsts, sorted(record, key=lambda one: one["first_token_s"]), strict=True
        )
    )
    assert all(
        ours < theirs["received_s"]
        for ours, theirs in zip(
            sent, sorted(record, key=lambda one: one["received_s"]), strict=True
        )
    )


def test_open_loop_keeps_its_times(engine: FakeEngineProcess) -> None:
    """Each request is sent once its time has come, over several processes too."""
    result = run_load(LoadPlan(target(engine), asks(10, 0.02), processes=2))

    assert [sample.failure for sample in result.samples] == [None] * 10
    assert [sample.index for sample in result.samples] == list(range(10))
    dues = [sample.due_ns or 0 for sample in result.samples]
    assert dues[9] - dues[0] == pytest.approx(0.18e9)
    assert all(s.sent_ns >= due for s, due in zip(result.samples, dues, strict=True))


def test_progress_is_told(engine: FakeEngineProcess) -> None:
    """By stage, summed over processes."""
    seen: list[Progress] = []
    run_load(
        LoadPlan(target(engine), tuple(Ask("ba", 200) for _ in range(4)), concurrency=2),
        seen.append,
    )

    assert {one.stage for one in seen} >= {"requests", "reading"}
    assert all(0 <= one.ended <= one.total == 4 for one in seen)


def test_nobody_there_is_told() -> None:
    """By the process that tried."""
    with pytest.raises(EngineUnreachable, match="open 1 connections"):
        run_load(LoadPlan(NOWHERE, asks(1), concurrency=1))


def test_process_that_dies_is_told(engine: FakeEngineProcess) -> None:
    """And leaves nobody behind."""

    def kill(_: Progress) -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)

    plan = LoadPlan(target(engine), tuple(Ask("ba", 2000) for _ in range(2)), concurrency=2)
    with pytest.raises(HostError, match="died"):
        run_load(plan, kill)
    assert multiprocessing.active_children() == []


class TestInterrupt:
    @pytest.fixture(autouse=True)
    def _pythons_own_handler(self) -> Iterator[None]:
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, handler)

    def test_what_was_measured_is_kept(self, engine: FakeEngineProcess) -> None:
        """What ran is unfinished, what waited was not sent; nobody is left behind."""
        told: list[Progress] = []

        def interrupt(news: Progress) -> None:
            told.append(news)
            if (
                news.stage == "requests"
                and news.ended >= 2
                and signal.getsignal(signal.SIGINT) is not signal.default_int_handler
            ):
                os.kill(os.getpid(), signal.SIGINT)

        plan = LoadPlan(
            target(engine), tuple(Ask("ba", 60) for _ in range(200)), concurrency=2, processes=2
        )
        with pytest.raises(LoadInterrupted) as caught:
            run_load(plan, interrupt)
        summary = summarise(caught.value.run)

        assert summary.requests == 200
        assert summary.answered >= 2
        assert (summary.failed, summary.unfinished) == (0, 2)
        assert summary.unsent == 198 - summary.answered
        assert summary.ended_by == "the run was interrupted"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert multiprocessing.active_children() == []

    def test_nothing_is_kept_of_a_warm_up(self, engine: FakeEngineProcess) -> None:
        """Since nothing was measured."""

        def interrupt(news: Progress) -> None:
            assert news.stage == "warm-up"
            os.kill(os.getpid(), signal.SIGINT)

        plan = LoadPlan(target(engine), asks(1), (Ask("ba", 2000),), concurrency=1)
        with pytest.raises(KeyboardInterrupt) as caught:
            run_load(plan, interrupt)

        assert not isinstance(caught.value, LoadInterrupted)
        assert multiprocessing.active_children() == []

    def test_whoever_handles_the_signal_keeps_it(self, engine: FakeEngineProcess) -> None:
        """A caller's own handler is called, and the load goes on."""
        seen: list[int] = []
        signal.signal(signal.SIGINT, lambda number, _: seen.append(number))

        def interrupt(_: Progress) -> None:
            if not seen:
                os.kill(os.getpid(), signal.SIGINT)

        result = run_load(
            LoadPlan(target(engine), tuple(Ask("ba", 200) for _ in range(2)), concurrency=2),
            interrupt,
        )

        assert seen == [signal.SIGINT]
        assert summarise(result).failed == 0


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"asks": ()}, "0 requests"),
        ({"processes": 0}, "0 processes"),
        ({"concurrency": 0}, "concurrency 0"),
        ({"concurrency": None}, "closed loop without concurrency"),
    ],
)
def test_impossible_plans_are_refused(wrong: dict[str, Any], problem: str) -> None:
    """Before anything is sent."""
    right: dict[str, Any] = {"target": NOWHERE, "asks": asks(1), "concurrency": 1, "processes": 1}
    with pytest.raises(UsageError, match=problem):
        LoadPlan(**(right | wrong))


def test_work_is_dealt_out_evenly() -> None:
    """Every request once, connections summing to the concurrency; no process without one."""
    shares = run._split(
        LoadPlan(NOWHERE, asks(10), asks(3), concurrency=5, processes=3, limits=Limits())
    )
    few = run._split(LoadPlan(NOWHERE, asks(2), concurrency=5, processes=3))
    many = run._split(LoadPlan(NOWHERE, asks(9, 0.1), processes=2))

    assert sorted(index for share in shares for index, _ in share.asks) == list(range(10))
    assert [share.connections for share in shares] == [2, 2, 1]
    assert [len(share.warmups) for share in shares] == [1, 1, 1]
    assert [share.connections for share in few] == [1, 1]
    assert sum(share.connections for share in many) == 9
    assert sum(share.most_connections for share in many) > 9


@pytest.mark.parametrize(
    ("streams", "rate", "expected"),
    [(1, None, 1), (256, None, 1), (257, None, 2), (None, 800.0, 4), (10_000, None, 7)],
)
def test_processes_follow_the_load(
    monkeypatch: pytest.MonkeyPatch, streams: int | None, rate: float | None, expected: int
) -> None:
    """And leave a core to the rest of the machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))

    assert processes_for(streams, rate) == expected


class TestWork:
    @pytest.fixture(autouse=True)
    def _same_process(self) -> Iterator[None]:
        handler = signal.getsignal(signal.SIGINT)
        yield
        signal.signal(signal.SIGINT, handler)
        gc.enable()
        gc.unfreeze()

    @pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
    def test_messages_come_in_order(
        self, engine: FakeEngineProcess, monkeypatch: pytest.MonkeyPatch, loop: str
    ) -> None:
        """Ready, news, outcome; on asyncio's own loop where there is no other."""
        if loop == "asyncio":
            monkeypatch.setattr(work_module, "_loop_factory", lambda: None)
        ours, theirs = multiprocessing.Pipe()
        ours.send(0)
        share = Share(target(engine), ((7, Ask("ba", 5)),), (Ask("be", 3),), 1, 1, Limits())
        work(share, theirs)
        theirs.close()
        messages = []
        while ours.poll():
            try:
                messages.append(ours.recv())
            except EOFError:
                break

        ready = next(one for one in messages if isinstance(one, Ready))
        outcome = messages[-1]
        assert ready.loop == loop
        assert [sample.output_tokens for sample in ready.warmups] == [3]
        assert isinstance(outcome, Outcome)
        assert [(one.index, one.output_tokens) for one in outcome.samples] == [(7, 5)]
        assert any(isinstance(one, News) and one.stage == "reading" for one in messages)

    def test_problem_is_a_message(self) -> None:
        """So that the parent can raise it."""
        ours, theirs = multiprocessing.Pipe()
        work(Share(NOWHERE, (), (), 1, 1, Limits()), theirs)
        message = ours.recv()

        assert isinstance(message, Failed)
        assert isinstance(message.error, EngineUnreachable)

    def test_parent_that_is_gone_ends_it(self, engine: FakeEngineProcess) -> None:
        """Without a word."""
        ours, theirs = multiprocessing.Pipe()
        ours.close()

        assert work(Share(target(engine), (), (), 1, 1, Limits()), theirs) is None  # type: ignore[func-returns-value]
