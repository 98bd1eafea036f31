"""What the engine itself says of a load: its counters before and after, read across versions.

Pure functions over what ``/metrics`` told. A server without such metrics, or a vLLM that names one
otherwise, leaves numbers out; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Final

__all__ = ["engine_numbers", "peak_numbers"]

Metrics = Mapping[str, float]

# Name here -> names in vLLM, newest first.
# Source: vllm/v1/metrics/loggers.py and v1/spec_decode/metrics.py of 0.8 to 0.32,
# vllm/engine/metrics.py of 0.6; prometheus_client adds "_total" to counters.
_COUNTERS: Final = {
    "prompt_tokens": ("vllm:prompt_tokens_total",),
    "generation_tokens": ("vllm:generation_tokens_total",),
    "preemptions": ("vllm:num_preemptions_total",),
    "requests_done": ("vllm:request_success_total",),
    "prefix_cache_queried_tokens": (
        "vllm:prefix_cache_queries_total",
        "vllm:gpu_prefix_cache_queries_total",
    ),
    "prefix_cache_hit_tokens": (
        "vllm:prefix_cache_hits_total",
        "vllm:gpu_prefix_cache_hits_total",
    ),
    "drafts": ("vllm:spec_decode_num_drafts_total",),
    "draft_tokens": ("vllm:spec_decode_num_draft_tokens_total",),
    "accepted_tokens": ("vllm:spec_decode_num_accepted_tokens_total",),
}
_HISTOGRAMS: Final = {
    "ttft_mean_s": ("vllm:time_to_first_token_seconds",),
    "itl_mean_s": (
        "vllm:inter_token_latency_seconds",
        "vllm:time_per_output_token_seconds",
    ),
    "tpot_mean_s": ("vllm:request_time_per_output_token_seconds",),
    "e2el_mean_s": ("vllm:e2e_request_latency_seconds",),
    "queue_mean_s": ("vllm:request_queue_time_seconds",),
    "prefill_mean_s": ("vllm:request_prefill_time_seconds",),
    "decode_mean_s": ("vllm:request_decode_time_seconds",),
}
_GAUGES: Final = {
    "kv_cache_used_share_max": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    "running_requests_max": ("vllm:num_requests_running",),
    "waiting_requests_max": ("vllm:num_requests_waiting",),
}
# vLLM 0.6 told a share in place of counters; it covers the whole life of the engine.
_OLD_ACCEPTANCE: Final = "vllm:spec_decode_draft_acceptance_rate"


def engine_numbers(before: Metrics, after: Metrics) -> dict[str, float]:
    """Return what an engine did between two looks at its metrics.

    Args:
        before: Metric name -> value, summed over labels.
        after: The same, later.

    Returns:
        Means of latencies in seconds (``queue_mean_s``), counts (``preemptions``), and shares
        (``prefix_cache_hit_rate``, ``acceptance_rate``); what the engine does not tell is left
        out.
    """
    grown = {name: _growth(names, before, after) for name, names in _COUNTERS.items()}
    numbers = {name: value for name, value in grown.items() if value is not None}
    for name, names in _HISTOGRAMS.items():
        total = _growth([f"{one}_sum" for one in names], before, after)
        count = _growth([f"{one}_count" for one in names], before, after)
        if total is not None and count:
            numbers[name] = total / count
    return numbers | _shares(numbers, after)


def peak_numbers(looks: Sequence[Metrics]) -> dict[str, float]:
    """Return the largest values of what goes up and down, over looks while a load ran."""
    found = {}
    for name, names in _GAUGES.items():
        values = [value for look in looks if (value := _value(names, look)) is not None]
        if values:
            found[name] = max(values)
    return found


def _shares(numbers: Metrics, after: Metrics) -> dict[str, float]:
    shares = {}
    queried, prompts = numbers.get("prefix_cache_queried_tokens"), numbers.get("prompt_tokens")
    if queried or (queried == 0 and prompts):
        # An engine whose prefix cache is off looks nothing up, and finds nothing.
        shares["prefix_cache_hit_rate"] = numbers.get("prefix_cache_hit_tokens", 0.0) / (
            queried or 1.0
        )
    accepted = numbers.get("accepted_tokens", 0.0)
    if drafted := numbers.get("draft_tokens"):
        shares["acceptance_rate"] = accepted / drafted
    elif _OLD_ACCEPTANCE in after:
        shares["acceptance_rate"] = after[_OLD_ACCEPTANCE]
    if drafts := numbers.get("drafts"):
        # Each step answers one token of the target model beside those that were accepted.
        shares["accepted_length_tokens"] = 1 + accepted / drafts
    return shares


def _value(names: Iterable[str], metrics: Metrics) -> float | None:
    return next((metrics[name] for name in names if name in metrics), None)


def _growth(names: Sequence[str], before: Metrics, after: Metrics) -> float | None:
    """Return how much a counter grew; one that is not there yet was 0."""
    for name in names:
        if name in after:
            return after[name] - before.get(name, 0.0)
    return None
