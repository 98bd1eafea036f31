"""Promises of speed that physics forbids."""

from __future__ import annotations

from typing import Any

import pytest

from hwval.performance.ceilings import Roofline
from hwval.performance.floors import impossible_promises
from hwval.performance.promise import PerformanceSection
from hwval.planning.roofline import Ceiling

# 1 GB of weights at 100 GB/s: 100 steps a second; arithmetic allows 10,000 tokens a second.
ROOFLINE = Roofline(Ceiling(100.0, 10_000.0, "bandwidth", 1e9))


def problems(question: str, section: dict[str, Any], doubt: float = 1.0) -> list[str]:
    promised = PerformanceSection.model_validate({question: section})
    return list(impossible_promises(promised, ROOFLINE, doubt=doubt))


def floor(value: float, metric: str = "output_tokens_per_s") -> dict[str, Any]:
    return {"limits": {metric: {"floor": value}}}


def test_a_floor_above_the_ceiling_is_told_with_both_numbers() -> None:
    """What a single stream cannot reach is named with what it could."""
    (problem,) = problems("single_stream", floor(101))

    assert problem == (
        "promises.performance.single_stream: output_tokens_per_s: at least 101 tokens/s is "
        "promised, the roofline allows at most 100 tokens/s (batch of 1 at most)"
    )
    assert problems("single_stream", floor(100)) == []


@pytest.mark.parametrize(
    ("question", "batch", "workload"),
    [
        ("fixed_batch", 4, {"batch": 4}),
        ("bench_latency", 4, {"batch": 4}),
        ("offline", 6, {"requests": 6}),
        ("saturation", 6, {"requests": 6}),
        ("bench_serve", 6, {"requests": 6}),
        ("bench_throughput", 6, {"requests": 6}),
        ("kv_cache_dtype", 3, {"concurrency": 3}),
        ("prefix_cache", 3, {"concurrency": 3}),
        ("chunked_prefill", 5, {"streams": 3, "long_requests": 2}),
        ("serving", 6, {"rates_per_s": [1, 2], "requests": 6}),
    ],
)
def test_requests_at_the_same_time_raise_the_ceiling(
    question: str, batch: int, workload: dict[str, Any]
) -> None:
    """Weights are read once for all of them."""
    assert problems(question, workload | floor(100 * batch)) == []
    assert problems(question, workload | floor(100 * batch + 1))


def test_a_point_of_a_curve_has_its_own_ceiling() -> None:
    """Two streams allow half of what four do."""
    limits = {
        2: {"output_tokens_per_s": {"floor": 201}},
        4: {"output_tokens_per_s": {"floor": 399}},
    }

    (problem,) = problems("concurrency_sweep", {"concurrencies": [2, 4], "limits_at": limits})

    assert "at least 201 tokens/s" in problem
    assert "at most 200 tokens/s" in problem


def test_a_latency_below_its_bound_is_impossible_too() -> None:
    """A prompt of 128 tokens takes 12.8 ms to read at 10,000 tokens a second."""
    limits = {"ttft_p50_s": {"ceiling": "12 ms"}, "ttft_p99_s": {"ceiling": "13 ms"}}

    (problem,) = problems("single_stream", {"limits": limits})

    assert "ttft_p50_s: at most 12 ms is promised, the roofline allows at least 12.8 ms" in problem


def test_doubtful_figures_are_not_held_against_a_near_miss() -> None:
    """Hardware whose figures have no source of their own may be a little faster."""
    assert problems("single_stream", floor(109), doubt=1.1) == []
    assert problems("single_stream", floor(111), doubt=1.1)


def test_what_the_roofline_does_not_bound_is_not_judged() -> None:
    """Acceptance of drafts, goodput and speculation have no ceiling here."""
    limits = {"acceptance_rate": {"floor": 0.9}}

    assert problems("speculative", {"limits": limits}) == []
    assert (
        problems("single_stream", {"limits": {"output_tokens_per_s": {"of_ceiling": "90 %"}}}) == []
    )
