"""The metrics that can be promised."""

from __future__ import annotations

import pytest

from hwval.threshold import METRICS
from hwval.threshold import metric_of


def test_units_stand_in_the_names() -> None:
    """A number needs no unit beside it; only shares and counts of their own have none."""
    ends = {"s": "_s", "tokens/s": "_tokens_per_s", "requests/s": "_per_s", "B": "_bytes"}
    wrong = [
        name
        for name, metric in METRICS.items()
        if metric.unit in ends and not name.endswith(ends[metric.unit])
    ]

    assert wrong == []


def test_times_should_be_short_and_rates_high() -> None:
    """No exception either way."""
    assert not any(metric.higher_is_better for metric in METRICS.values() if metric.unit == "s")
    assert all(
        metric.higher_is_better for metric in METRICS.values() if metric.unit.endswith("s/s")
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ttft_p99", "ttft_p99_s"),
        ("decode_tok_per_s", "decode_tokens_per_s"),
        ("output_tokens_s", "output_tokens_per_s"),
    ],
)
def test_unknown_metric_names_what_is_near(name: str, near: str) -> None:
    """A mistyped name is corrected, not ignored."""
    with pytest.raises(ValueError, match=f"no metric; did you mean .*'{near}'"):
        metric_of(name)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("ttft_p50_s", 0.01234, "12.34 ms"),
        ("e2el_mean_s", 12.3456, "12.35 s"),
        ("ready_s", 754.0, "12 min 34 s"),
        ("decode_tokens_per_s", 6.412345, "6.412 tokens/s"),
        ("output_tokens_per_s", 13383.4, "13,383 tokens/s"),
        ("acceptance_rate", 0.7256, "72.6%"),
        ("device_memory_peak_bytes", 2.0**34, "16.0 GiB"),
        ("speedup", 1.5, "1.5 times"),
    ],
)
def test_values_are_written_with_their_unit(name: str, value: float, text: str) -> None:
    """Four digits say enough."""
    assert METRICS[name].format(value) == text


@pytest.mark.parametrize(
    ("name", "requests"),
    [
        ("ttft_p99_s", 100),
        ("tpot_p95_s", 20),
        ("e2el_p90_s", 10),
        ("e2el_p50_s", 1),
        ("itl_p99_s", 1),  # of many times in each request
        ("output_tokens_per_s", 1),
    ],
)
def test_a_percentile_takes_requests(name: str, requests: int) -> None:
    """Of fewer it is close to their largest."""
    assert metric_of(name).fewest_requests == requests
