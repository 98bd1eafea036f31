"""Questions that ``vllm bench`` answers."""

from __future__ import annotations

from typing import Annotated
from typing import Self

from pydantic import Field
from pydantic import model_validator

from hwval.performance.promise.fields import Count
from hwval.performance.promise.fields import Positive
from hwval.performance.promise.fields import Span
from hwval.performance.promise.fields import Whole
from hwval.performance.promise.question import LATENCIES
from hwval.performance.promise.question import OF_SPECULATION
from hwval.performance.promise.question import RATES_OF_ALL
from hwval.performance.promise.question import Question
from hwval.performance.promise.question import Repeated
from hwval.stats import Looks

__all__ = ["BenchLatency", "BenchServe", "BenchThroughput"]


class BenchLatency(Question):
    """``vllm bench latency`` of the same vLLM, for numbers that are comparable with published ones.

    Its engine is one of its own; ours is away meanwhile.
    """

    METRICS = frozenset({"latency_mean_s", "output_tokens_per_s"})

    batch: Count = 8
    input_tokens: Count = 32
    output_tokens: Count = 128
    warm_up: Whole = 3
    """Iterations that do not count."""
    iterations: Annotated[int, Field(ge=3, strict=True)] = 5
    """Measured iterations; they are the rounds."""
    timeout: Span = 1800.0
    """Longest time of the whole command, its start included."""

    @property
    def looks(self) -> Looks:
        """One, at all iterations: the command is not asked for more."""
        return Looks(first=self.iterations, most=self.iterations)


class BenchThroughput(Repeated):
    """``vllm bench throughput`` of the same vLLM; each run of the command is a round."""

    METRICS = RATES_OF_ALL

    requests: Count = 256
    input_tokens: Count = 512
    output_tokens: Count = 128
    min_rounds: Annotated[int, Field(ge=3, strict=True)] = 3
    max_rounds: Annotated[int, Field(ge=3, strict=True)] = 5
    max_duration: Span = 7200.0
    timeout: Span = 3600.0
    """Longest time of one run of the command, its start included."""


class BenchServe(Repeated):
    """``vllm bench serve`` beside the engine that runs; each run of the command is a round."""

    METRICS = LATENCIES | RATES_OF_ALL | OF_SPECULATION

    requests: Count = 100
    input_tokens: Count = 512
    output_tokens: Count = 128
    rate_per_s: Positive | None = None
    """Requests per second; None sends all at once."""
    max_concurrency: Count | None = None
    min_rounds: Annotated[int, Field(ge=3, strict=True)] = 3
    max_rounds: Annotated[int, Field(ge=3, strict=True)] = 5
    timeout: Span = 900.0
    """Longest time of one run of the command."""
    max_duration: Span = 3600.0
    """Time that the runs may take together."""

    @model_validator(mode="after")
    def _check_time(self) -> Self:
        if self.rate_per_s is not None:
            self.check_arrivals(self.requests, self.rate_per_s, timeout=self.timeout)
        return self
