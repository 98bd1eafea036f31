"""What the roofline allows, scaled to a workload."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.performance.ceilings import Roofline
from hwval.planning.roofline import Ceiling

# 1 GB of weights at 100 GB/s: 100 steps a second; arithmetic allows 10,000 tokens a second.
CEILING = Ceiling(100.0, 10_000.0, "bandwidth", 1e9)


def test_weights_are_read_once_for_a_batch() -> None:
    """Eight requests answer eight times as many tokens, until arithmetic is the bound."""
    roofline = Roofline(CEILING)

    assert roofline.step_s(1, 100) == pytest.approx(0.01)
    assert roofline.step_s(8, 100) == pytest.approx(0.01)
    assert roofline.step_s(1000, 100) == pytest.approx(0.1)


def test_bounds_of_rates_and_latencies() -> None:
    """The most of a rate and the least of a latency."""
    found = Roofline(CEILING).at(batch=8, input_tokens=100, output_tokens=10)

    assert found["decode_tokens_per_s"] == pytest.approx(100)
    assert found["output_tokens_per_s"] == pytest.approx(800)
    assert found["request_per_s"] == pytest.approx(80)
    assert found["ttft_p99_s"] == pytest.approx(0.01)
    assert found["tpot_mean_s"] == pytest.approx(0.01)
    assert found["e2el_p50_s"] == pytest.approx(0.01 + 9 * 0.01)
    assert found["latency_mean_s"] == pytest.approx(8 * 0.01 + 9 * 0.01)


def test_batch_of_one_token_without_a_bound_of_prompts_has_no_least_time() -> None:
    """A share of a ceiling of 0 could be kept by nothing."""
    found = Roofline(CEILING).at(batch=8, input_tokens=100, output_tokens=1, is_cached=True)

    assert "latency_mean_s" not in found


def test_cached_prompts_are_not_bounded() -> None:
    """What is found in the cache is not computed."""
    found = Roofline(CEILING).at(batch=1, input_tokens=100, output_tokens=2, is_cached=True)

    assert "ttft_mean_s" not in found
    assert "prefill_tokens_per_s" not in found


def test_speculation_unbinds_tokens_from_steps() -> None:
    """Only the arithmetic of reading prompts is left."""
    roofline = Roofline(CEILING, is_speculative=True)

    assert "decode_tokens_per_s" not in roofline.at(batch=1, input_tokens=9, output_tokens=9)


@given(st.integers(1, 4096), st.integers(1, 32768), st.integers(1, 4096))
def test_more_requests_never_lower_the_rate(batch: int, tokens: int, more: int) -> None:
    """A larger batch may answer at least as many tokens a second."""
    roofline = Roofline(CEILING)
    few = roofline.at(batch=batch, input_tokens=tokens, output_tokens=8)
    many = roofline.at(batch=batch + more, input_tokens=tokens, output_tokens=8)

    assert many["output_tokens_per_s"] >= few["output_tokens_per_s"] * (1 - 1e-9)
