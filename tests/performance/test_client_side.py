"""What the load generator saw, and why a load does not count."""

from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from hwval.load import Ask
from hwval.load import LoadRun
from hwval.load import Summary
from hwval.load import summarise
from hwval.load.failure import Failure
from hwval.load.failure import FailureKind
from hwval.performance.client_side import came_at_once
from hwval.performance.client_side import client_bound
from hwval.performance.client_side import client_numbers
from hwval.performance.client_side import cut_short
from hwval.performance.client_side import disagreements
from hwval.performance.client_side import fault_of
from hwval.performance.client_side import fell_silent_s
from hwval.performance.client_side import why_invalid
from hwval.threshold import METRICS
from tests.performance.simulated import SimulatedEngine
from tests.performance.simulated import player


def load(engine: SimulatedEngine | None = None, *, requests: int = 4) -> tuple[LoadRun, Summary]:
    engine = engine or SimulatedEngine()
    one = player(engine)
    run = engine.run(one.plan_of([Ask("x", 11)] * requests, concurrency=2))
    return run, summarise(run)


def test_numbers_have_names_of_the_registry() -> None:
    """A limit may name any of them."""
    found = client_numbers(*load())

    assert found.keys() <= METRICS.keys()
    assert found["ttft_p95_s"] == pytest.approx(0.05)
    assert found["itl_p95_s"] == pytest.approx(0.01)
    assert found["tpot_mean_s"] == pytest.approx(0.01)
    assert found["total_tokens_per_s"] == pytest.approx((4 * 32 + 44) / 0.3)


def test_sound_load_counts() -> None:
    """Nothing speaks against it."""
    _, summary = load()

    assert list(why_invalid(summary, {"generation_tokens": 44.0}, [])) == []
    assert fault_of(summary) is None
    assert client_bound(summary) is None


@pytest.mark.parametrize(
    ("asked_tokens", "reasons"),
    [
        (None, []),
        (33, []),  # a special token that one side does not count
        (64, ["2 prompts not read whole: 32 of 64 tokens counted"]),
    ],
)
def test_prompt_that_was_not_read_whole_is_not_fast(
    asked_tokens: int | None, reasons: list[str]
) -> None:
    """A server that cuts prompts does less work than was asked for."""
    engine = SimulatedEngine()
    plan = player(engine).plan_of([Ask("x", 11, None, asked_tokens)] * 2, concurrency=2)

    assert list(cut_short(engine.run(plan), plan)) == reasons


def test_failures_are_told_with_counts_and_an_example() -> None:
    """By kind."""
    _, summary = load(SimulatedEngine(fail_every=2))

    assert fault_of(summary) == "2 of 4 requests failed: 2 times status 500 (out of order)"


def test_every_reason_is_told() -> None:
    """What is cut off, guessed, too short, preempted, throttled or somebody else's."""
    _, summary = load()
    bad = replace(
        summary,
        ended_by="the run had 3 s",
        unfinished=2,
        output_tokens_from="events",
        stopped_early=1,
    )
    found = list(why_invalid(bad, {"preemptions": 3.0}, ["gpu 0: hardware slowdown"]))
    foreign = list(why_invalid(summary, {"generation_tokens": 60.0}, []))

    assert found == [
        "2 of 4 requests cut off: the run had 3 s",
        "the server does not count tokens (no usage), so that rates would be guesses",
        "1 answer ended before the length that was asked for",
        "the engine preempted requests 3 times: its KV cache is too small for them",
        "throttled: gpu 0: hardware slowdown",
    ]
    assert len(foreign) == 1
    assert foreign[0].startswith("the engine generated 60 tokens meanwhile, its answers had 44")


def cut_off(
    *token_times_s: float, deadline_s: float = 5.0, kind: FailureKind = FailureKind.DEADLINE
) -> LoadRun:
    """Return a run of one request whose tokens came so long after it was sent."""
    engine = SimulatedEngine()
    run = engine.run(player(engine).plan_of([Ask("x", 1)], concurrency=1))
    [one] = run.samples
    times_ns = [int(one.sent_ns + time_s * 1e9) for time_s in token_times_s]
    sample = replace(
        one,
        token_ns=array("q", times_ns),
        ended_ns=int(one.sent_ns + deadline_s * 1e9),
        failure=Failure(kind, "the run had 5 s"),
    )
    return run._replace(samples=(sample,))


@pytest.mark.parametrize(
    ("run", "silent_s"),
    [
        (cut_off(0.1, 0.12), 4.88),
        (cut_off(0.1), 4.9),
        (cut_off(0.1, 0.2, 0.3, 3.0), None),  # less than half of the time
        (cut_off(0.5, 1.0, 1.5, 2.0), None),  # as long as before, nearly
        (cut_off(), None),  # it may still read the prompt
        (cut_off(0.1, 0.12, kind=FailureKind.TIMEOUT), None),  # a failure by itself
    ],
)
def test_engine_that_hangs_is_told_from_a_slow_one(run: LoadRun, silent_s: float | None) -> None:
    """By how long nothing came, against what it took for tokens before."""
    assert fell_silent_s(run) == (None if silent_s is None else pytest.approx(silent_s))


def test_engine_that_answers_anybody_does_not_hang() -> None:
    """Another request goes on, or waits to be begun."""
    hung, running = cut_off(0.1, 0.12), cut_off(*(0.1 * step for step in range(1, 49)))

    assert fell_silent_s(hung._replace(samples=(*hung.samples, *running.samples))) is None
    assert fell_silent_s(hung._replace(samples=(*hung.samples, *cut_off().samples))) is None


def test_answers_that_came_at_once_took_no_time() -> None:
    """Single tokens may come together, whole answers do not."""
    sound = {"tpot_p50_s": 0.01, "ttft_p50_s": 0.1, "itl_p50_s": 0.0}

    assert not came_at_once(sound)
    assert came_at_once(sound | {"tpot_p50_s": 0.0})
    assert not came_at_once({})


def test_client_and_engine_may_disagree() -> None:
    """It is shown, with both numbers."""
    _, summary = load()
    [text] = disagreements(summary, {"ttft_mean_s": 0.01})

    assert "50.0 ms for the client and 10.0 ms for the engine" in text
    assert list(disagreements(summary, {"ttft_mean_s": 0.049})) == []
    assert list(disagreements(summary, {})) == []
