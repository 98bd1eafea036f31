"""What can be promised: each metric with its unit and which way is better.

A name is a quantity, where it has them the statistic of its distribution over requests, and the
unit, so that no number needs a unit beside it: ``ttft_p99_s``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hwval.spelling import near_names
from hwval.units import format_bytes
from hwval.units import format_duration_s

__all__ = ["METRICS", "Metric", "metric_of"]

# Over requests; times between tokens are many of each request.
_TAIL: Final = re.compile(r"(?:ttft|tpot|e2el)_p(9\d)_s")


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity that is measured.

    Attributes:
        name: As matrices and journals write it; the unit stands at its end.
        unit: For people: ``tokens/s``, ``s``; empty for a share or a count.
        higher_is_better: Whether more of it is good.
        title: What it is, in words.
        is_share: Whether it lies between 0 and 1.
    """

    name: str
    unit: str
    higher_is_better: bool
    title: str
    is_share: bool = False

    @property
    def fewest_requests(self) -> int:
        """Requests of a round, fewer of which have no such percentile but their largest; or 1.

        Example:
            >>> METRICS["ttft_p90_s"].fewest_requests, METRICS["ttft_p50_s"].fewest_requests
            (10, 1)
        """
        tail = _TAIL.fullmatch(self.name)
        return 100 // (100 - int(tail[1])) if tail else 1

    def format(self, value: float) -> str:
        """Return a value with its unit, four digits at most.

        Example:
            >>> METRICS["ttft_p99_s"].format(0.0123), METRICS["request_per_s"].format(12.345)
            ('12.3 ms', '12.35 requests/s')
        """
        if self.is_share:
            return f"{value:.1%}"
        if self.unit == "B":
            return format_bytes(round(value))
        if self.unit == "s":
            if abs(value) < 60:
                return f"{value * 1e3:.4g} ms" if abs(value) < 1 else f"{value:.4g} s"
            return format_duration_s(value)
        number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        return f"{number} {self.unit}".rstrip()


_LATENCIES: Final = {
    "ttft": "time to first token",
    "tpot": "time per output token after the first",
    "itl": "time between tokens",
    "e2el": "time to the last token",
    "latency": "time of a whole batch",
}
_STATISTICS: Final = ("mean", "p50", "p90", "p95", "p99")


def _all_metrics() -> Iterator[Metric]:
    tokens, requests = "tokens/s", "requests/s"
    yield Metric(
        "decode_tokens_per_s", tokens, higher_is_better=True, title="output of a single stream"
    )
    yield Metric("prefill_tokens_per_s", tokens, higher_is_better=True, title="prompt tokens read")
    yield Metric(
        "input_tokens_per_s", tokens, higher_is_better=True, title="prompt tokens of all requests"
    )
    yield Metric(
        "output_tokens_per_s", tokens, higher_is_better=True, title="output of all requests"
    )
    yield Metric(
        "total_tokens_per_s",
        tokens,
        higher_is_better=True,
        title="prompt and output of all requests",
    )
    yield Metric("request_per_s", requests, higher_is_better=True, title="requests answered")
    yield Metric(
        "goodput_request_per_s",
        requests,
        higher_is_better=True,
        title="requests answered within their goals",
    )
    for name, title in _LATENCIES.items():
        for statistic in _STATISTICS:
            yield Metric(
                f"{name}_{statistic}_s", "s", higher_is_better=False, title=f"{title}, {statistic}"
            )
    yield Metric(
        "good_share", "", higher_is_better=True, title="requests within their goals", is_share=True
    )
    yield Metric(
        "acceptance_rate",
        "",
        higher_is_better=True,
        title="draft tokens that were accepted",
        is_share=True,
    )
    yield Metric(
        "accepted_length_tokens",
        "tokens",
        higher_is_better=True,
        title="tokens per step of the target model",
    )
    yield Metric(
        "prefix_cache_hit_rate",
        "",
        higher_is_better=True,
        title="prompt tokens found cached",
        is_share=True,
    )
    yield Metric(
        "knee_concurrency",
        "streams",
        higher_is_better=True,
        title="streams up to which throughput grows",
    )
    yield Metric("speedup", "times", higher_is_better=True, title="with against without")
    yield Metric(
        "scaling_efficiency",
        "",
        higher_is_better=True,
        title="of instances times one's rate",
        is_share=True,
    )
    yield Metric("kv_cache_tokens", "tokens", higher_is_better=True, title="room of the KV cache")
    yield Metric("ready_s", "s", higher_is_better=False, title="start of the engine")
    yield Metric(
        "device_memory_peak_bytes",
        "B",
        higher_is_better=False,
        title="memory of one device, at most",
    )
    yield Metric(
        "energy_j_per_token", "J/token", higher_is_better=False, title="energy of the devices"
    )
    yield Metric(
        "output_tokens_per_j",
        "tokens/J",
        higher_is_better=True,
        title="output for the energy of the devices",
    )


METRICS: Final = MappingProxyType({metric.name: metric for metric in _all_metrics()})
"""Every metric by name."""


def metric_of(name: str) -> Metric:
    """Return a metric by name.

    Raises:
        ValueError: There is none, with those that are near.
    """
    if name not in METRICS:
        raise ValueError(f"{name!r} is no metric; {near_names(name, METRICS)}")
    return METRICS[name]
