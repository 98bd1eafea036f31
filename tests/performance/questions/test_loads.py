"""Questions that are one load against an engine whose answers follow from arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from hwval.performance import questions
from hwval.performance.promise import FixedBatch
from hwval.performance.promise import KvCacheDtype
from hwval.performance.promise import LoadQuestion
from hwval.performance.promise import Offline
from hwval.performance.promise import Serving
from hwval.performance.promise import SingleStream
from hwval.threshold import Check
from hwval.verdict import Outcome
from tests.performance.simulated import LENGTHS
from tests.performance.simulated import SimulatedEngine
from tests.performance.simulated import ask
from tests.performance.simulated import outcomes


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


def test_kv_cache_room_is_a_metric_of_every_round() -> None:
    """A number of the start is judged like any other, and related to another cell's."""
    section = KvCacheDtype.model_validate(
        LENGTHS | {"requests": 4, "limits": {"kv_cache_tokens": {"floor": 1000}}}
    )
    _, checks = ask(section, questions.kv_cache_dtype, SimulatedEngine(), 4096.0)
    _, unknown = ask(section, questions.kv_cache_dtype, SimulatedEngine(), None)

    assert outcomes(checks) == {Outcome.PASS}
    assert outcomes(unknown) == {Outcome.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("written", "measure", "streams"),
    [
        (Offline(requests=12), questions.offline, 12),
        (Serving(rates_per_s=(40,), requests=9), questions.serving, 9),
        (Serving(rates_per_s=(400,), requests=300), questions.serving, 256),
        (
            KvCacheDtype(concurrency=7, requests=8),
            partial(questions.kv_cache_dtype, kv_cache_tokens=1),
            7,
        ),
    ],
)
def test_warm_up_is_one_request_for_each_stream_at_once(
    written: LoadQuestion, measure: Callable[..., tuple[Check, ...]], streams: int
) -> None:
    """So that the first round meets no size of batch that the engine has not seen."""
    engine = SimulatedEngine(ttft_s=0.001, itl_s=0.0001, knee=300)
    ask(written, measure, engine)
    [warm_up, *_] = engine.plans

    assert (len(warm_up.asks), warm_up.concurrency) == (streams, streams)
    assert all(one.at_s is None for one in warm_up.asks)
