"""The engine's counters in vLLM's Prometheus names, and the times it recorded itself.

`/metrics` is what vLLM has. The raw times are this engine's own: a load generator's measurements
are checked against them.
"""

from __future__ import annotations

import bisect
import dataclasses
import time
from collections import Counter
from collections import deque
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final

BLOCK_TOKENS: Final = 128
TIMES_KEPT: Final = 100_000
# Source: vllm/v1/metrics/loggers.py, 0.32.0.
TTFT_BUCKETS_S: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)


@dataclass(slots=True)
class RequestTimes:
    """One generation request on this engine's monotonic clock, seconds.

    Attributes:
        received_s: when the whole request had been read.
        first_token_s: just before the first token was written; None if none was.
        last_token_s: just before the last token so far was written.
        tokens: tokens written.
        ended: ``length``, ``stop``, ``abort``, or "" while it runs.
    """

    received_s: float
    first_token_s: float | None = None
    last_token_s: float | None = None
    tokens: int = 0
    ended: str = ""

    def add_token(self, now_s: float) -> None:
        """Note that a token goes out."""
        if self.first_token_s is None:
            self.first_token_s = now_s
        self.last_token_s = now_s
        self.tokens += 1


@dataclass(slots=True)
class Metrics:
    """Counters of one engine."""

    model: str
    kv_cache_tokens: int
    running: int = 0
    waiting: int = 0
    kv_tokens: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    finished: Counter[str] = field(default_factory=Counter)
    times: deque[RequestTimes] = field(default_factory=lambda: deque(maxlen=TIMES_KEPT))
    started_at_s: float = field(default_factory=time.time)

    def dump_times(self) -> list[dict[str, Any]]:
        """Return the times of the requests kept, oldest first."""
        return [dataclasses.asdict(item) for item in self.times]

    def render(self) -> str:
        """Write everything as Prometheus text."""
        usage = min(1.0, self.kv_tokens / self.kv_cache_tokens)
        lines = [
            *self._sample("num_requests_running", "gauge", self.running),
            *self._sample("num_requests_waiting", "gauge", self.waiting),
            *self._sample("kv_cache_usage_perc", "gauge", usage),
            *self._sample("prompt_tokens_total", "counter", self.prompt_tokens),
            *self._sample("generation_tokens_total", "counter", self.generation_tokens),
            "# TYPE vllm:request_success_total counter",
            *(
                f"vllm:request_success_total{self._labels(finished_reason=reason)} "
                f"{float(self.finished[reason])}"
                for reason in ("stop", "length", "abort", "error", "repetition")
            ),
            *self._ttft_histogram(),
            "# TYPE vllm:cache_config_info gauge",
            self._cache_config(),
            "# TYPE process_start_time_seconds gauge",
            f"process_start_time_seconds {self.started_at_s}",
        ]
        return "\n".join(lines) + "\n"

    def _cache_config(self) -> str:
        labels = {
            "block_size": str(BLOCK_TOKENS),
            "cache_dtype": "auto",
            "gpu_memory_utilization": "0.92",
            "kv_cache_size_tokens": str(self.kv_cache_tokens),
            "num_gpu_blocks": str(self.kv_cache_tokens // BLOCK_TOKENS),
        }
        pairs = ",".join(f'{key}="{value}"' for key, value in {"engine": "0", **labels}.items())
        return f"vllm:cache_config_info{{{pairs}}} 1.0"

    def render_log(self, prompt_tokens_per_s: float, generation_tokens_per_s: float) -> str:
        """Write the throughput line that vLLM logs."""
        usage = min(1.0, self.kv_tokens / self.kv_cache_tokens)
        return (
            f"Engine 000: Avg prompt throughput: {prompt_tokens_per_s:.1f} tokens/s, "
            f"Avg generation throughput: {generation_tokens_per_s:.1f} tokens/s, "
            f"Running: {self.running} reqs, Waiting: {self.waiting} reqs, "
            f"CPU KV cache usage: {usage:.1%}, Prefix cache hit rate: 0.0%"
        )

    def _ttft_histogram(self) -> list[str]:
        values = sorted(
            item.first_token_s - item.received_s
            for item in self.times
            if item.first_token_s is not None
        )
        name = "vllm:time_to_first_token_seconds"
        rows = [(str(bound), bisect.bisect_right(values, bound)) for bound in TTFT_BUCKETS_S]
        return [
            f"# TYPE {name} histogram",
            *(
                f"{name}_bucket{self._labels(le=bound)} {float(count)}"
                for bound, count in [*rows, ("+Inf", len(values))]
            ),
            f"{name}_count{self._labels()} {float(len(values))}",
            f"{name}_sum{self._labels()} {sum(values)}",
        ]

    def _sample(self, name: str, kind: str, value: float) -> list[str]:
        return [f"# TYPE vllm:{name} {kind}", f"vllm:{name}{self._labels()} {float(value)}"]

    def _labels(self, **more: str) -> str:
        pairs = {"engine": "0", **more, "model_name": self.model}
        return "{" + ",".join(f'{key}="{value}"' for key, value in sorted(pairs.items())) + "}"
