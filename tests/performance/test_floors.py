"""Promises of speed that physics forbids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hwval.performance.ceilings import Roofline
from hwval.performance.floors import impossible_promises
from hwval.performance.promise import PerformanceSection
from hwval.planning.roofline import Ceiling

# 1 GB of weights at 100 GB/s: 100 steps a second; arithmetic allows 10,000 tokens a second.
ROOFLINE = Roofline(Ceiling(100.0, 10_000.0, "bandwidth", 1e9))


DATED = {"source": "a run", "date": "2026-01-01"}


def problems(question: str, section: dict[str, Any], doubt: float = 1.0) -> list[str]:
    promised = PerformanceSection.model_validate({question: section})
    return list(impossible_promises(promised, ROOFLINE, doubt=doubt))


def floor(value: float, metric: str = "output_tokens_per_s") -> dict[str, Any]:
    return {"limits": {metric: {"floor": value}}}


def test_a_floor_above_the_ceiling_is_told_with_both_numbers() -> None:
    """What a single stream cannot reach is named with what it could."""
    (problem,) = problems("single_stream", floor(101))

    assert problem == (
        "promises.performance.single_stream: output_tokens_per_s: floor asks for at least 101 "
        "tokens/s, possible is at most 100 tokens/s (by the roofline, with a batch of 1 at most); "
        "write that or less"
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
        ("serving", 6, {"rates_per_s": [100, 200], "requests": 6}),
        ("partitions", 6, {"instances": 2, "concurrency": 3}),
        ("speculative", 1, {}),
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
    limits = {"ttft_p50_s": {"ceiling": "12 ms"}, "ttft_mean_s": {"ceiling": "13 ms"}}

    (problem,) = problems("single_stream", {"limits": limits})

    assert "ttft_p50_s: ceiling asks for at most 12 ms, possible is at least 12.8 ms" in problem


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ({"baseline": {"value": 103, "tolerance": "1 %", **DATED}}, "baseline asks for at least"),
        ({"floor": 10, "excellent": 101}, "excellent asks for at least 101 tokens/s"),
        ({"acceptable": 10, "good": 101}, "good asks for at least 101 tokens/s"),
    ],
)
def test_every_number_of_a_limit_can_be_beyond_the_roofline(
    limit: dict[str, Any], told: str
) -> None:
    """A baseline counts with its tolerance: 101 less 1 % is 100 and can be kept."""
    (problem,) = problems("single_stream", {"limits": {"decode_tokens_per_s": limit}})
    kept = {"baseline": {"value": 101, "tolerance": "1 %", **DATED}}

    assert f"decode_tokens_per_s: {told}" in problem
    assert problems("single_stream", {"limits": {"decode_tokens_per_s": kept}}) == []


@pytest.mark.parametrize(
    ("goals", "told"),
    [
        ({"tpot": "9 ms"}, "goals: tpot asks for at most 9 ms, possible is at least 10 ms"),
        ({"ttft": "6 min"}, "goals: ttft of 6 min 00 s can never be missed"),
        ({"tpot": "11 ms", "ttft": "13 ms", "e2el": "20 s"}, None),
    ],
)
def test_goals_that_every_request_or_none_keeps(goals: dict[str, str], told: str | None) -> None:
    """A share of good requests that cannot change says nothing."""
    found = problems("serving", {"rates_per_s": [4], "goals": goals})

    assert (told is None and found == []) or (told or "") in found[0]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"max_duration": "6 s"}, "max_duration is 6.0 s, and 5 rounds take at least 6.4 s"),
        ({"round_deadline": "1.2 s"}, "round_deadline is 1.2 s, and a round takes at least 1.3 s"),
        ({"max_duration": "7 s", "round_deadline": "2 s"}, None),
    ],
)
def test_times_that_no_round_fits_into(written: dict[str, str], told: str | None) -> None:
    """128 tokens take 1.28 s at 100 a second."""
    found = problems("single_stream", {"output_tokens": 128, **written})

    assert (told is None and found == []) or (told or "") in found[0]


def test_command_that_has_no_time_for_its_iterations() -> None:
    """128 tokens take 1.28 s at 100 a second, and all five count."""
    (problem,) = problems("bench_latency", {"batch": 1, "timeout": "6 s"})

    assert problem.endswith(
        "timeout is 6.0 s, and 5 iterations take at least 6.4 s by the roofline; raise it"
    )


def test_part_of_a_ceiling_that_does_not_exist() -> None:
    """The roofline bounds no single gap between tokens, and no knee."""
    limits = {"itl_p50_s": {"of_ceiling": "50 %"}, "tpot_p50_s": {"of_ceiling": "50 %"}}

    (problem,) = problems("single_stream", {"limits": limits})

    assert "itl_p50_s: of_ceiling is part of nothing" in problem
    assert problem.endswith("write a ceiling")


def test_part_of_a_ceiling_under_speculation() -> None:
    """With the reason, and what a variant that inherits it is to write."""
    promised = PerformanceSection.model_validate(
        {"single_stream": {"limits": {"decode_tokens_per_s": {"of_ceiling": "25 %"}}}}
    )
    drafting = replace(ROOFLINE, is_speculative=True)

    (problem,) = impossible_promises(promised, drafting)

    assert "since a step of speculative decoding may answer several tokens" in problem
    assert "a floor and `of_ceiling: null` in this variant, or null for the whole" in problem


def test_one_request_has_no_percentiles() -> None:
    """Its p99 is its p50, and the promise would sound like more than it is."""
    limits = {f"ttft_{name}_s": {"ceiling": "1 s"} for name in ("mean", "p50", "p90", "p99")}
    gaps = {"itl_p99_s": {"ceiling": "1 s"}}

    found = problems("single_stream", {"limits": limits | gaps})

    assert [one.split(": ")[1] for one in found] == ["ttft_p90_s", "ttft_p99_s"]
    assert found[0].endswith("promise ttft_mean_s, or let a round have more requests")
    assert problems("single_stream", {"requests": 2, "limits": limits}) == []


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
