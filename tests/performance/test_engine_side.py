"""The engine's own numbers, by the names of each version."""

from __future__ import annotations

import pytest

from hwval.performance.engine_side import engine_numbers
from hwval.performance.engine_side import peak_numbers


def test_counters_are_differences_and_latencies_are_means() -> None:
    """What happened before the load is in no number."""
    before = {
        "vllm:generation_tokens_total": 100.0,
        "vllm:num_preemptions_total": 1.0,
        "vllm:request_queue_time_seconds_sum": 5.0,
        "vllm:request_queue_time_seconds_count": 10.0,
    }
    after = {
        "vllm:generation_tokens_total": 340.0,
        "vllm:num_preemptions_total": 3.0,
        "vllm:request_queue_time_seconds_sum": 7.0,
        "vllm:request_queue_time_seconds_count": 20.0,
        "vllm:request_prefill_time_seconds_sum": 1.0,
        "vllm:request_prefill_time_seconds_count": 10.0,
    }

    assert engine_numbers(before, after) == {
        "generation_tokens": 240.0,
        "preemptions": 2.0,
        "queue_mean_s": pytest.approx(0.2),
        "prefill_mean_s": pytest.approx(0.1),
    }


@pytest.mark.parametrize(
    "prefix", ["vllm:prefix_cache", "vllm:gpu_prefix_cache"], ids=["from 0.9", "0.8"]
)
def test_prefix_cache_by_the_names_of_each_version(prefix: str) -> None:
    """The hit rate is of tokens that were looked up meanwhile."""
    before = {f"{prefix}_queries_total": 100.0, f"{prefix}_hits_total": 100.0}
    after = {f"{prefix}_queries_total": 300.0, f"{prefix}_hits_total": 150.0}

    assert engine_numbers(before, after)["prefix_cache_hit_rate"] == 0.25


def test_speculation_by_counters_and_by_the_old_gauge() -> None:
    """A step answers a token of its own beside those that were accepted."""
    after = {
        "vllm:spec_decode_num_drafts_total": 10.0,
        "vllm:spec_decode_num_draft_tokens_total": 50.0,
        "vllm:spec_decode_num_accepted_tokens_total": 30.0,
    }
    found = engine_numbers({}, after)

    assert (found["acceptance_rate"], found["accepted_length_tokens"]) == (0.6, 4.0)
    old = engine_numbers({}, {"vllm:spec_decode_draft_acceptance_rate": 0.4})
    assert old == {"acceptance_rate": 0.4}


def test_a_server_without_metrics_tells_nothing() -> None:
    """Absent is absent."""
    assert engine_numbers({}, {}) == {}
    assert peak_numbers([]) == {}


def test_peaks_are_those_of_any_look() -> None:
    """What goes up and down is known only while the load runs."""
    looks = [
        {"vllm:kv_cache_usage_perc": 0.1, "vllm:num_requests_waiting": 7.0},
        {"vllm:kv_cache_usage_perc": 0.9, "vllm:num_requests_waiting": 0.0},
        {"vllm:gpu_cache_usage_perc": 0.5},
    ]

    assert peak_numbers(looks) == {"kv_cache_used_share_max": 0.9, "waiting_requests_max": 7.0}


def test_engine_that_looks_nothing_up_finds_nothing() -> None:
    """Its prefix cache is off, and the hit rate is 0, not unknown."""
    counters = {"vllm:prefix_cache_queries_total": 0.0, "vllm:prefix_cache_hits_total": 0.0}

    assert engine_numbers({}, counters | {"vllm:prompt_tokens_total": 9.0})[
        "prefix_cache_hit_rate"
    ] == (0.0)
    assert "prefix_cache_hit_rate" not in engine_numbers({}, counters)
