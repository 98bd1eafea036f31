"""A load with something against one without, at an engine whose answers follow from arithmetic."""

from __future__ import annotations

import pytest

from hwval.performance import questions
from hwval.performance.promise import ChunkedPrefill
from hwval.performance.promise import PrefixCache
from hwval.verdict import Outcome
from tests.performance.simulated import LENGTHS
from tests.performance.simulated import SimulatedEngine
from tests.performance.simulated import ask


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
    # Streams and long prompts are warmed up, each by themselves.
    assert [len(plan.asks) for plan in engine.plans[:2]] == [3, 2]
    disturbed = next(plan for plan in engine.plans if len(plan.asks) == 5)
    times = [one.at_s for one in disturbed.asks]
    alone, held = campaign.measurement().points

    assert times[:3] == [0.0] * 3
    assert 0 < (times[3] or 0) < (times[4] or 0) < 0.15
    assert held.client["itl_p99_s"] / alone.client["itl_p99_s"] == pytest.approx(5 / 3)
    assert campaign.derived["speedup"] == pytest.approx([3 / 5] * 3)
