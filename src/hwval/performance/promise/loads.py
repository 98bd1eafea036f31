"""Questions that the load generator answers."""

from __future__ import annotations

from typing import Annotated
from typing import Self

from pydantic import Field
from pydantic import model_validator

from hwval.load.lengths import Lengths
from hwval.performance.promise.fields import Count
from hwval.performance.promise.fields import Counts
from hwval.performance.promise.fields import Positive
from hwval.performance.promise.fields import Rates
from hwval.performance.promise.fields import Seconds
from hwval.performance.promise.fields import Span
from hwval.performance.promise.fields import Text
from hwval.performance.promise.fields import Tokens
from hwval.performance.promise.fields import Whole
from hwval.performance.promise.question import OF_LOADS
from hwval.performance.promise.question import OF_SPECULATION
from hwval.performance.promise.question import Curve
from hwval.performance.promise.question import LoadQuestion
from hwval.performance.promise.question import RepeatedLoad
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import problem_at

__all__ = [
    "ChunkedPrefill",
    "ConcurrencySweep",
    "FixedBatch",
    "Goals",
    "KvCacheDtype",
    "Offline",
    "Partitions",
    "PrefixCache",
    "Saturation",
    "Serving",
    "SingleStream",
    "Speculative",
]


class Goals(YamlModel):
    """What a request must keep to count as good (goodput)."""

    ttft: Seconds | None = None
    """Longest time to the first token."""
    tpot: Seconds | None = None
    """Longest time per token after the first."""
    e2el: Seconds | None = None
    """Longest time to the last token."""


class SingleStream(RepeatedLoad):
    """One request at a time: how fast does it decode, when does it begin?"""

    output_tokens: Tokens = Lengths(256, 256)
    requests: Count = 1
    """Requests of a round, one after the other."""


class FixedBatch(LoadQuestion):
    """So many requests of one length at once: how long until all are answered?

    Also kept by pytest-benchmark, whose options store and compare.
    """

    METRICS = OF_LOADS | {"latency_mean_s"}

    batch: Count = 8
    """Requests at a time."""
    warm_up: Whole = 3
    """Whole batches that come first, once."""
    iterations: Annotated[int, Field(ge=3, strict=True)] = 5
    """Measured batches before the first look at the limits."""

    @property
    def first_rounds(self) -> int:
        """The iterations."""
        return self.iterations

    def warm_up_requests(self, streams: int) -> int:
        """Return the requests of the batches that come first."""
        return streams * self.warm_up


class Offline(RepeatedLoad):
    """Everything at once: how many tokens per second does the engine make of it?"""

    requests: Count = 256
    """Requests of a round; a multiple of max-num-seqs keeps the batch full to the end."""


class Serving(Curve):
    """Requests arrive at given rates: how long do they wait?"""

    METRICS = OF_LOADS | {"goodput_request_per_s", "good_share"}

    rates_per_s: Rates
    """Requests per second, one point each."""
    requests: Count = 200
    """Requests of a round; a p99 needs 100 and more."""
    burstiness: Positive = 1.0
    """1 is a Poisson process, less comes in bursts, more is more even."""
    goals: Goals | None = None
    """What a good request keeps, for goodput."""
    max_duration: Span = 1800.0
    """Time that the rounds may take together, at each rate."""

    @model_validator(mode="after")
    def _check_time(self) -> Self:
        for rate_per_s in self.at:
            self.check_arrivals(self.requests, rate_per_s, round_deadline=self.round_deadline)
        return self

    @model_validator(mode="after")
    def _check_goals(self) -> Self:
        wanted = {"good_share", "goodput_request_per_s"} & {name for name, _ in self.all_limits()}
        if wanted and (self.goals is None or not any(self.goals.model_dump().values())):
            raise problem_at("goals", f"{', '.join(sorted(wanted))} needs ttft, tpot or e2el")
        return self

    @property
    def at(self) -> tuple[float, ...]:
        """The rates."""
        return tuple(float(rate) for rate in self.rates_per_s)


class ConcurrencySweep(Curve):
    """Throughput against concurrency: it rises up to a knee, and does not break down behind it."""

    METRICS = OF_LOADS | {"knee_concurrency"}
    OF_ALL_POINTS = frozenset({"knee_concurrency"})

    concurrencies: Counts
    """Streams at a time, one point each."""
    requests_per_stream: Count = 4
    """Requests of a round for each stream."""
    knee_gain: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of the ideal growth between two points below which a curve counts as bent."""
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share by which throughput may surely fall below an earlier point before the shape is
    wrong."""

    @model_validator(mode="after")
    def _check_knee(self) -> Self:
        if any("knee_concurrency" in limits for limits in self.limits_at.values()):
            raise problem_at("limits_at", "knee_concurrency is of the whole curve: limits has it")
        return self

    @property
    def at(self) -> tuple[float, ...]:
        """The concurrencies."""
        return tuple(float(one) for one in self.concurrencies)


class Saturation(RepeatedLoad):
    """More requests arrive than can be answered: does the rate hold, is every one answered?"""

    METRICS = OF_LOADS | {"speedup"}

    overload: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 2.0
    """Arrivals per second as a multiple of what the engine answers at its best."""
    requests: Count = 256
    """Requests of a round."""
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of its best throughput that an engine may lose under overload."""


class PrefixCache(RepeatedLoad):
    """The same load with and without a beginning that prompts share, taking turns."""

    METRICS = OF_LOADS | {"speedup"}

    input_tokens: Tokens = Lengths(1024, 1024)
    output_tokens: Tokens = Lengths(16, 16)
    shared_prefix_tokens: Count = 896
    """Length of the beginning that prompts share."""
    prefixes: Count = 1
    """How many such beginnings there are."""
    concurrency: Count = 4
    """Streams at a time."""
    requests: Count = 32
    """Requests of a round."""

    @model_validator(mode="after")
    def _check_prefix(self) -> Self:
        if self.shared_prefix_tokens >= self.input_tokens.low_tokens:
            shortest = self.input_tokens.low_tokens
            problem = f"found {self.shared_prefix_tokens}, expected less than input_tokens"
            raise problem_at("shared_prefix_tokens", f"{problem} ({shortest})")
        return self


class ChunkedPrefill(RepeatedLoad):
    """Long prompts arrive while streams decode: how much are those held up?"""

    METRICS = OF_LOADS | {"speedup"}

    input_tokens: Tokens = Lengths(64, 64)
    output_tokens: Tokens = Lengths(128, 128)
    streams: Count = 4
    """Streams that decode."""
    long_input_tokens: Count = 2048
    """Length of each long prompt."""
    long_requests: Count = 2
    """Long prompts of a round."""

    @property
    def context_tokens(self) -> int:
        """Longest request, prompt and answer together."""
        streams = self.input_tokens.high_tokens + self.output_tokens.high_tokens
        return max(streams, self.long_input_tokens + 1)


class Speculative(RepeatedLoad):
    """Speculative decoding: how many drafted tokens are kept, and are answers still the same?"""

    METRICS = OF_LOADS | OF_SPECULATION

    requests: Count = 4
    """Requests of a round, one after the other."""
    without: Text | None = None
    """Variant (or pattern over cell ids) without speculation, of the same run: answers to the
    same prompts must be the same. It needs a ``speculative`` section of the same workload."""
    prompts: Count = 8
    """Prompts whose greedy answers are compared."""
    max_changed: Annotated[int, Field(ge=0, strict=True)] = 0
    """Answers that may differ where the model surely preferred another token."""


class KvCacheDtype(RepeatedLoad):
    """Throughput of long contexts and room of the KV cache, to be related to another variant."""

    METRICS = OF_LOADS | {"kv_cache_tokens"}

    input_tokens: Tokens = Lengths(512, 512)
    concurrency: Count = 16
    """Streams at a time."""
    requests: Count = 64
    """Requests of a round."""


class Partitions(RepeatedLoad):
    """Several instances at the same time, each on devices of its own: what do they make together?

    ``scaling_efficiency`` is their rate over that of one alone, times their number.
    """

    METRICS = OF_LOADS | {"scaling_efficiency"}

    instances: Annotated[int, Field(ge=2, strict=True)] = 2
    """Instances, the cell's own engine among them."""
    concurrency: Count = 8
    """Streams at a time of each instance."""
    requests: Count = 32
    """Requests of a round to each instance."""
