"""Each question of speed against an engine whose answers follow from arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hwval.performance import questions
from hwval.performance.campaign import Campaign
from hwval.performance.campaign import RequestsFailed
from hwval.performance.promise import ChunkedPrefill
from hwval.performance.promise import ConcurrencySweep
from hwval.performance.promise import FixedBatch
from hwval.performance.promise import KvCacheDtype
from hwval.performance.promise import LoadQuestion
from hwval.performance.promise import Offline
from hwval.performance.promise import Partitions
from hwval.performance.promise import PrefixCache
from hwval.performance.promise import Saturation
from hwval.performance.promise import Serving
from hwval.performance.promise import SingleStream
from hwval.threshold import Check
from hwval.verdict import Outcome
from tests.performance.simulated import SimulatedEngine
from tests.performance.simulated import player

LENGTHS: dict[str, Any] = {"input_tokens": 32, "output_tokens": 11, "min_rounds": 3}


def ask(
    section: LoadQuestion,
    measure: Callable[..., tuple[Check, ...]],
    engine: SimulatedEngine,
    *others: Any,
    **of_player: Any,
) -> tuple[Campaign, tuple[Check, ...]]:
    campaign = Campaign("performance/test", "cell", {})
    asked = questions.Asked(player(engine, **of_player), campaign)
    return campaign, measure(section, asked, *others)


def outcomes(checks: tuple[Check, ...]) -> set[Outcome]:
    return {check.outcome for check in checks}


def test_single_stream_measures_what_the_engine_does() -> None:
    """Decode rate is that between tokens, prefill that up to the first."""
    section = SingleStream.model_validate(
        LENGTHS | {"limits": {"decode_tokens_per_s": {"floor": 90}}}
    )
    campaign, checks = ask(section, questions.single_stream, SimulatedEngine(noise=0.01))
    [point] = campaign.measurement().points

    assert outcomes(checks) == {Outcome.PASS}
    assert point.client["decode_tokens_per_s"] == pytest.approx(100, rel=0.05)
    assert point.client["prefill_tokens_per_s"] == pytest.approx(32 / 0.05, rel=0.05)
    assert point.rounds >= 3


def test_slow_engine_fails() -> None:
    """A rate that is surely below its floor is a broken promise."""
    section = SingleStream.model_validate(
        LENGTHS | {"limits": {"decode_tokens_per_s": {"floor": 150}}}
    )
    _, checks = ask(section, questions.single_stream, SimulatedEngine(noise=0.01))

    assert outcomes(checks) == {Outcome.FAIL}


def test_rounds_are_added_until_decided() -> None:
    """Noise costs rounds, and what stays open when they are spent is INCONCLUSIVE."""
    limits = {"limits": {"decode_tokens_per_s": {"floor": 100}}, "max_rounds": 8}
    section = SingleStream.model_validate(LENGTHS | limits)
    campaign, checks = ask(section, questions.single_stream, SimulatedEngine(noise=0.1))

    assert outcomes(checks) == {Outcome.INCONCLUSIVE}
    assert len(campaign.rounds) == 8


def test_fixed_batch_takes_as_long_as_its_last_answer() -> None:
    """The latency of a batch is that from the first request to the end of the last answer."""
    section = FixedBatch.model_validate(
        {"batch": 4, "iterations": 3, "input_tokens": 32, "output_tokens": 11}
    )
    engine = SimulatedEngine()
    campaign, _ = ask(section, questions.fixed_batch, engine)
    [point] = campaign.measurement().points

    assert point.client["latency_mean_s"] == pytest.approx(0.05 + 10 * 0.01)
    assert [len(plan.asks) for plan in engine.plans] == [12, 4, 4, 4]


def test_offline_sends_everything_at_once() -> None:
    """There are as many streams as requests."""
    section = Offline.model_validate(LENGTHS | {"requests": 8})
    engine = SimulatedEngine(knee=8)
    campaign, _ = ask(section, questions.offline, engine)

    assert {plan.concurrency for plan in engine.plans[1:]} == {8}
    assert campaign.measurement().points[0].client["output_tokens_per_s"] == pytest.approx(
        88 / 0.15
    )


def test_serving_has_a_point_for_each_rate_with_limits_of_its_own() -> None:
    """A limit may name its point; points are judged one after the other."""
    section = Serving.model_validate(
        LENGTHS
        | {
            "rates_per_s": [1, 50],
            "requests": 10,
            "goals": {"ttft": "1 s"},
            "limits": {"ttft_p99_s": {"ceiling": "1 s"}},
            "limits_at": {50: {"e2el_p50_s": {"ceiling": "10 ms"}}},
        }
    )
    campaign, checks = ask(section, questions.serving, SimulatedEngine(knee=100))
    points = campaign.measurement().points

    assert [(point.name, point.rate_per_s) for point in points] == [
        ("1 requests/s", 1.0),
        ("50 requests/s", 50.0),
    ]
    assert [check.outcome for check in checks] == [Outcome.PASS, Outcome.PASS, Outcome.FAIL]
    assert checks[-1].text.startswith("50 requests/s: e2el_p50_s")
    assert all(point.client["good_share"] == 1.0 for point in points)


def test_sweep_finds_the_knee_and_a_sound_shape() -> None:
    """Throughput grows up to the knee and stays."""
    section = ConcurrencySweep.model_validate(
        LENGTHS | {"concurrencies": [1, 2, 4, 8, 16], "limits": {"knee_concurrency": {"floor": 4}}}
    )
    campaign, checks = ask(
        section, questions.concurrency_sweep, SimulatedEngine(ttft_s=0.001, noise=0.01)
    )

    assert outcomes(checks) == {Outcome.PASS}
    assert campaign.derived["knee_concurrency"] == [4.0] * len(campaign.valid("concurrency 1"))
    assert [point.concurrency for point in campaign.measurement().points] == [1, 2, 4, 8, 16]


def test_sweep_that_breaks_down_has_the_wrong_shape() -> None:
    """A curve that surely falls behind its best point is a FAIL, without any limit."""
    section = ConcurrencySweep.model_validate(LENGTHS | {"concurrencies": [1, 4, 8]})
    engine = SimulatedEngine(ttft_s=0.001, noise=0.01, collapse=3.0, collapse_at=8)
    _, checks = ask(section, questions.concurrency_sweep, engine)

    assert [check.outcome for check in checks] == [Outcome.FAIL]
    assert checks[0].text.startswith("concurrency 8: output_tokens_per_s is")
    assert checks[0].partner == "concurrency 4"


def test_sweep_that_still_grows_says_so() -> None:
    """The last point stands for a knee that was not reached."""
    section = ConcurrencySweep.model_validate(LENGTHS | {"concurrencies": [1, 2]})
    campaign, _ = ask(section, questions.concurrency_sweep, SimulatedEngine(noise=0.01))

    assert campaign.derived["knee_concurrency"] == [2.0] * 3
    assert "still grows" in campaign.notes[0]


def test_saturation_offers_more_than_the_best_rate() -> None:
    """Arrivals come at a multiple of what the engine answers when all is sent at once."""
    section = Saturation.model_validate(LENGTHS | {"requests": 20, "overload": 3.0})
    engine = SimulatedEngine(knee=20, noise=0.01)
    campaign, checks = ask(section, questions.saturation, engine)
    best = campaign.measurement().points[0].client["request_per_s"]
    arrivals = [plan.asks[-1].at_s for plan in engine.plans if plan.is_open]

    assert outcomes(checks) <= {Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE}
    assert checks[0].metric == "output_tokens_per_s"
    assert arrivals[0] is not None
    assert 19 / arrivals[0] == pytest.approx(3 * best, rel=0.6)  # Poisson
    assert len(campaign.derived["speedup"]) == len(campaign.valid("at its best"))


def test_prefix_cache_pairs_requests_with_and_without_a_shared_beginning() -> None:
    """The hit rate is the engine's word, and the speed-up is of the same rounds."""
    section = PrefixCache.model_validate(
        {
            **LENGTHS,
            "shared_prefix_tokens": 24,
            "requests": 8,
            "limits": {"prefix_cache_hit_rate": {"floor": "50 %"}, "speedup": {"floor": 1.5}},
        }
    )
    campaign, checks = ask(section, questions.prefix_cache, SimulatedEngine(hit_share=0.7))
    shared, apart = campaign.measurement().points

    assert shared.engine["prefix_cache_hit_rate"] == pytest.approx(0.7)
    assert apart.engine["prefix_cache_hit_rate"] == 0.0
    assert campaign.derived["speedup"] == pytest.approx([1.0] * 3)
    assert {check.metric: check.outcome for check in checks} == {
        "prefix_cache_hit_rate": Outcome.PASS,
        "speedup": Outcome.FAIL,
    }


def test_points_of_a_pair_take_turns() -> None:
    """What drifts hits both sides alike: their order changes from round to round."""
    section = PrefixCache.model_validate({**LENGTHS, "shared_prefix_tokens": 24, "requests": 4})
    campaign, _ = ask(section, questions.prefix_cache, SimulatedEngine())

    assert [one.point.split()[0] for one in campaign.rounds] == [
        *("with", "without"),
        *("without", "with"),
        *("with", "without"),
    ]


def test_chunked_prefill_looks_at_the_streams_alone() -> None:
    """Long prompts arrive in the middle, and only the streams' times are judged."""
    section = ChunkedPrefill.model_validate(
        LENGTHS | {"streams": 3, "long_requests": 2, "long_input_tokens": 100}
    )
    engine = SimulatedEngine(knee=3)
    campaign, _ = ask(section, questions.chunked_prefill, engine)
    disturbed = next(plan for plan in engine.plans if len(plan.asks) == 5)
    times = [one.at_s for one in disturbed.asks]
    alone, held = campaign.measurement().points

    assert times[:3] == [0.0] * 3
    assert 0 < (times[3] or 0) < (times[4] or 0) < 0.15
    assert held.client["itl_p99_s"] / alone.client["itl_p99_s"] == pytest.approx(5 / 3)
    assert campaign.derived["speedup"] == pytest.approx([3 / 5] * 3)


def test_kv_cache_room_is_a_metric_of_every_round() -> None:
    """A number of the start is judged like any other, and related to another cell's."""
    section = KvCacheDtype.model_validate(
        LENGTHS | {"requests": 4, "limits": {"kv_cache_tokens": {"floor": 1000}}}
    )
    _, checks = ask(section, questions.kv_cache_dtype, SimulatedEngine(), 4096.0)
    _, unknown = ask(section, questions.kv_cache_dtype, SimulatedEngine(), None)

    assert outcomes(checks) == {Outcome.PASS}
    assert outcomes(unknown) == {Outcome.INCONCLUSIVE}


def test_partitions_add_up() -> None:
    """Instances on devices of their own scale; their rates are added."""
    section = Partitions.model_validate(
        LENGTHS | {"instances": 3, "requests": 4, "limits": {"scaling_efficiency": {"floor": 0.9}}}
    )
    engine = SimulatedEngine(noise=0.001)
    others = [player(SimulatedEngine()).subject for _ in range(2)]
    campaign, checks = ask(section, questions.partitions, engine, others)
    alone, together = campaign.measurement().points

    assert outcomes(checks) == {Outcome.PASS}
    assert together.name == "3 instances"
    assert together.client["output_tokens_per_s"] == pytest.approx(
        3 * alone.client["output_tokens_per_s"], rel=0.05
    )


def test_failed_requests_end_a_measurement_at_once() -> None:
    """They are the server's fault: told with counts and the first example, never a rate."""
    section = SingleStream.model_validate(LENGTHS | {"requests": 4})
    engine = SimulatedEngine(fail_every=2)
    with pytest.raises(RequestsFailed, match=r"2 of 4 requests failed: 2 times status 500") as seen:
        ask(section, questions.single_stream, engine)

    assert "out of order" in str(seen.value)


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ({"busy": True}, "client-bound: process 1 of 1 used 99% of its core"),
        ({"preempted": 2}, "preempted requests 2 times"),
        ({"extra_tokens": 50}, "somebody else asks it too"),
    ],
)
def test_what_does_not_count_is_inconclusive(trouble: dict[str, Any], why: str) -> None:
    """Rounds that say nothing of the engine are tried some times, and told with their reason."""
    section = SingleStream.model_validate(
        LENGTHS | {"limits": {"decode_tokens_per_s": {"floor": 1}}}
    )
    campaign, checks = ask(section, questions.single_stream, SimulatedEngine(**trouble))
    problem = campaign.problem(section.looks)

    assert outcomes(checks) == {Outcome.INCONCLUSIVE}
    assert problem is not None
    assert why in problem
    assert len(campaign.rounds) == 4


def test_client_bound_rounds_may_be_marked_instead() -> None:
    """For a smoke run on a machine that is shared, where numbers are no aim."""
    section = SingleStream.model_validate(LENGTHS)
    campaign, _ = ask(
        section, questions.single_stream, SimulatedEngine(busy=True), marks_client_bound=True
    )

    assert campaign.problem(section.looks) is None
    assert all("client-bound" in one.notes[0] for one in campaign.rounds)


def test_measurement_without_limits_is_recorded() -> None:
    """Nothing is judged, and the planned rounds are there."""
    section = SingleStream.model_validate(LENGTHS)
    campaign, checks = ask(section, questions.single_stream, SimulatedEngine())

    assert checks == ()
    assert campaign.problem(section.looks) is None
    assert len(campaign.rounds) == 3


def test_prompts_of_a_round_are_the_same_in_every_cell() -> None:
    """So that two cells answer the same; rounds differ, so that no cache helps."""
    section = SingleStream.model_validate(LENGTHS)
    first, second = SimulatedEngine(), SimulatedEngine()
    ask(section, questions.single_stream, first)
    ask(section, questions.single_stream, second)
    prompts = [plan.asks[0].prompt for plan in first.plans]

    assert prompts == [plan.asks[0].prompt for plan in second.plans]
    assert len(set(prompts)) == len(prompts)


def test_points_without_a_common_round_are_not_passed_over() -> None:
    """Where no round counts at all points, what compares them is INCONCLUSIVE, never silent."""
    sweep = ConcurrencySweep.model_validate(
        LENGTHS | {"concurrencies": [1, 2], "limits": {"knee_concurrency": {"floor": 1}}}
    )
    busy = SimulatedEngine(busy=True)
    _, of_sweep = ask(sweep, questions.concurrency_sweep, busy)
    _, of_saturation = ask(
        Saturation.model_validate(LENGTHS | {"requests": 2}), questions.saturation, busy
    )

    assert {check.metric for check in of_sweep} == {"knee_concurrency", "output_tokens_per_s"}
    assert outcomes(of_sweep) == outcomes(of_saturation) == {Outcome.INCONCLUSIVE}


def test_a_curve_keeps_what_was_noted_before() -> None:
    """A note of its own does not wipe out others, and stands once."""
    section = ConcurrencySweep.model_validate(LENGTHS | {"concurrencies": [1, 2]})
    campaign = Campaign("performance/test", "cell", {})
    campaign.notes.append("lengths are approximate")
    asked = questions.Asked(player(SimulatedEngine(noise=0.05)), campaign)
    questions.concurrency_sweep(section, asked)

    assert campaign.notes[0] == "lengths are approximate"
    assert len(campaign.notes) == 2
