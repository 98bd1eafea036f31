"""One load, looked at from three sides."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace

import pytest

from hwval.engine.base import Endpoint
from hwval.errors import EngineUnreachable
from hwval.load import LoadPlan
from hwval.load import LoadRun
from hwval.load import Progress
from hwval.load import run_load
from hwval.load.failure import Failure
from hwval.load.failure import FailureKind
from hwval.load.lengths import Lengths
from hwval.load.request import Kind
from hwval.load.room import Room
from hwval.load.workload import Workload
from hwval.telemetry.reading import Reading
from tests.fakes.process import FakeEngineProcess
from tests.performance.simulated import SimulatedEngine
from tests.performance.simulated import player

WORKLOAD = Workload(requests=4, input_tokens=Lengths(32, 32), output_tokens=Lengths(11, 11))


@dataclass
class Meter:
    """A sensor whose energy counter rises with each reading."""

    name: str = "gpu 0"
    energy_j: float = 0.0
    slowdowns: tuple[str, ...] = ()

    def read(self) -> Reading:
        self.energy_j += 22.0
        return Reading(energy_j=self.energy_j, power_w=300.0, slowdowns=self.slowdowns)


def test_three_sides_stand_beside_each_other() -> None:
    """Client, engine and device, with the energy of a token."""
    one = player(SimulatedEngine(), subject={"sensors": (Meter(),)})
    found = one.round("p", 1, one.plan(WORKLOAD, concurrency=2))

    assert found.valid
    assert found.client["request_per_s"] == pytest.approx(4 / 0.3)
    assert found.engine["generation_tokens"] == 44
    assert found.device["device_power_max_w"] == 300.0
    # 300 W while the load ran, by its own times, which the counter's readings are not of.
    assert found.device["device_energy_j"] == pytest.approx(300 * 0.3)
    assert found.device["energy_j_per_token"] == pytest.approx(300 * 0.3 / 44)
    assert len(one.ttft_values_s["p"]) == 4


def test_throttled_device_invalidates_a_round() -> None:
    """It is shown, and no failure of the image."""
    one = player(SimulatedEngine(), subject={"sensors": (Meter(slowdowns=("hot",)),)})
    found = one.round("p", 1, one.plan(WORKLOAD, concurrency=2))

    assert (found.valid, found.failed) == (False, 0)
    assert found.why_invalid == ("throttled: gpu 0: hot",)
    assert one.ttft_values_s == {}


def test_engine_without_metrics_is_measured_all_the_same() -> None:
    """Its side stays empty."""

    def metrics() -> dict[str, float]:
        raise EngineUnreachable("nobody there")

    one = player(SimulatedEngine(), subject={"metrics": metrics})
    found = one.round("p", 1, one.plan(WORKLOAD, concurrency=2))

    assert found.valid
    assert found.engine == {}


def test_loads_end_by_their_deadline() -> None:
    """The shorter of the request's and the round's holds for a request."""
    one = player(SimulatedEngine(), subject={"answer_s": 5.0})
    plan = one.plan(WORKLOAD, concurrency=2)

    assert (plan.limits.request_s, plan.limits.run_s) == (5.0, 60.0)
    assert plan.target.api_key == "key"


@pytest.mark.parametrize("concurrency", [4, 9])
def test_requests_that_queue_may_take_the_whole_round(concurrency: int) -> None:
    """Waiting for a thousand others is slow, and no fault of the server."""
    one = player(SimulatedEngine(), subject={"answer_s": 5.0})

    assert one.plan(WORKLOAD, concurrency=concurrency).limits.request_s == 60.0


def test_progress_tells_point_round_and_rate() -> None:
    """For the line that moves."""
    told: list[str] = []
    one = player(SimulatedEngine(), tell=told.append)
    one.round("concurrency 2", 3, one.plan(WORKLOAD, concurrency=2))

    assert told[0].startswith("concurrency 2 · round 3 · requests: 4 of 4, ")


def test_progress_of_several_engines_is_one() -> None:
    """Requests of all add up, those of an engine that told nothing yet among them."""
    told: list[str] = []
    one = player(SimulatedEngine(), tell=told.append)
    plan = one.plan(WORKLOAD, concurrency=2)
    one.round("2 instances", 1, plan, beside=[(player(SimulatedEngine()).subject, plan)])

    assert [text.rpartition(", ")[0] for text in told] == [
        "2 instances · round 1 · requests: 4 of 8",
        "2 instances · round 1 · requests: 8 of 8",
    ]


def test_engines_beside_each_other_are_one_load() -> None:
    """Requests and tokens of all instances add up."""
    one, other = player(SimulatedEngine()), SimulatedEngine()
    beside = player(other).subject
    # The second engine's answers come from the same arithmetic; its counters are its own.
    plan = one.plan(WORKLOAD, concurrency=2)
    found = one.round("p", 1, plan, beside=[(beside, plan)])

    assert found.requests == 8
    assert found.client["request_per_s"] == pytest.approx(8 / 0.3)


def test_engine_that_could_not_be_asked_before_a_load_tells_nothing_of_it() -> None:
    """Its counters afterwards would be those of its whole life."""
    engine = SimulatedEngine()
    life = {"vllm:num_preemptions_total": 5.0, "vllm:generation_tokens_total": 1e6}
    looks: Iterator[dict[str, float]] = iter([{}])
    one = player(engine, subject={"metrics": lambda: next(looks, life)})
    workload = Workload(requests=1, input_tokens=Lengths(8, 8), output_tokens=Lengths(4, 4))
    seen = one.round("p", 1, one.plan(workload, concurrency=1))

    assert seen.engine == {}
    assert seen.valid


@pytest.mark.parametrize("finish_reason", ["abort", None])
def test_answers_that_were_given_up_are_not_fast(finish_reason: str | None) -> None:
    """A stream may end well with fewer tokens than were asked for, and say nothing of it."""
    engine = SimulatedEngine(finish_reason=finish_reason, lost_tokens=6)
    one = player(engine)
    found = one.round("p", 1, one.plan(WORKLOAD, concurrency=2))

    assert (found.valid, found.failed) == (False, 0)
    assert found.why_invalid == (
        f"4 answers cut short (finish_reason: {finish_reason or 'none told'})",
    )


@pytest.mark.parametrize(
    ("failure", "failed"),
    [
        (Failure(FailureKind.MEMORY, "answers took 2,147,483,649 bytes"), 0),
        (Failure(FailureKind.CONNECT, "[Errno 24] Too many open files"), 0),
        (Failure(FailureKind.CONNECT, "[Errno 99] Cannot assign requested address"), 0),
        (Failure(FailureKind.CONNECT, "[Errno 105] No buffer space available"), 0),
        (Failure(FailureKind.CONNECT, "[Errno 111] Connection refused"), 2),
        (Failure(FailureKind.TIMEOUT, "[Errno 24] is the server's word here"), 2),
    ],
)
def test_limits_of_this_host_are_no_failure_of_the_server(failure: Failure, failed: int) -> None:
    """Such a round does not count, and is repeated."""
    one = player(SimulatedEngine(fail_every=2, failure=failure))
    found = one.round("p", 1, one.plan(WORKLOAD, concurrency=2))

    assert (found.valid, found.failed) == (False, failed)
    assert failure.detail in found.why_invalid[0]


@pytest.mark.parametrize(("context_tokens", "failed"), [(None, 0), (2048, 2)])
def test_request_that_may_be_too_long_is_no_failure_of_the_engine(
    context_tokens: int | None, failed: int
) -> None:
    """One that surely fits and is refused all the same is."""
    refusal = Failure(FailureKind.STATUS, "maximum context length is 2048 tokens", 400)
    room = Room(context_tokens)
    one = player(SimulatedEngine(fail_every=2, failure=refusal), subject={"room": room})
    found = one.round("p", 1, one.plan(replace(WORKLOAD, room=room), concurrency=2))

    assert (found.valid, found.failed) == (False, failed)
    assert ("too long for the engine's context" in found.why_invalid[0]) == (not failed)


def test_whole_answers_at_once_do_not_count_even_where_they_are_marked() -> None:
    """A starved generator reads them so; such a round is played again."""
    starved, busy = (
        player(SimulatedEngine(busy=True, itl_s=itl_s), marks_client_bound=True)
        for itl_s in (0.0, 0.01)
    )
    at_once, slow = (
        one.round("p", 1, one.plan(WORKLOAD, concurrency=2)) for one in (starved, busy)
    )

    assert (at_once.client["tpot_p50_s"], at_once.valid) == (0.0, False)
    assert at_once.why_invalid[0].startswith("client-bound: ")
    assert slow.valid
    assert slow.notes[0].startswith("client-bound: ")


def test_engine_that_stalls_is_told_from_a_deadline_that_is_short() -> None:
    """Both end with the round; what came until then differs."""
    cut = Failure(FailureKind.DEADLINE, "the run had 10 s")
    engine = SimulatedEngine(fail_every=1, failure=cut)

    def hang(plan: LoadPlan, tell: Callable[[Progress], None] | None) -> LoadRun:
        run = engine.run(plan, tell)
        late = (replace(one, ended_ns=one.ended_ns + 9 * 10**9) for one in run.samples)
        return run._replace(samples=tuple(late))

    one = player(engine)
    short = one.round("p", 1, one.plan(WORKLOAD, concurrency=4))
    one.run = hang
    stalled = one.round("p", 2, one.plan(WORKLOAD, concurrency=4))

    assert (stalled.failed, stalled.failures) == (0, {"gone silent": 4})
    assert stalled.why_invalid == (
        "answers began, and nothing came in the last 9.0 s",
        "4 of 4 requests cut off: the run had 10 s",
    )
    assert short.failures == {"cut off": 4}
    assert short.why_invalid == ("4 of 4 requests cut off: the run had 10 s",)


@pytest.mark.parametrize("kind", ["completions", "chat"])
def test_engine_that_is_asked_how_it_counts_is_filled_to_its_context(kind: Kind) -> None:
    """Its words are bytes, of which nothing here knows."""
    with FakeEngineProcess(scenario={"itl_s": 0.0}, args=["--max-model-len", "2048"]) as engine:
        endpoint = Endpoint(engine.base_url, engine.api_key or "")
        of_engine = {"endpoint": endpoint, "model": "fake", "room": Room(2048)}
        one = player(SimulatedEngine(), subject=of_engine, marks_client_bound=True)
        one.run = run_load
        full = replace(WORKLOAD, input_tokens=Lengths(2032, 2032), kind=kind)
        found = one.round("p", 1, one.plan(full, concurrency=2))
        room = one.learn_room(kind, full.longest_tokens)
        fitting = one.round("p", 2, one.plan(replace(full, room=room), concurrency=2))

    assert (found.valid, found.failed) == (False, 0)
    assert "4 requests too long for the engine's context" in found.why_invalid[0]
    assert fitting.failed == 0
    # It answers in no time, so that a busy machine reads it at once.
    assert [why for why in fitting.why_invalid if not why.startswith("client-bound: ")] == []
    read_tokens = fitting.client["input_tokens_per_s"] * (fitting.duration_s or 0) / 4
    assert 2032 - 100 < read_tokens <= 2037
