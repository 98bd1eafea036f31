"""What a matrix may promise of speed: a workload and its limits for each question.

A question is asked only where its section stands in the matrix. A section without limits is
measured and recorded, and nothing is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Annotated
from typing import Any
from typing import ClassVar
from typing import Final
from typing import Literal
from typing import Self

from pydantic import AfterValidator
from pydantic import BeforeValidator
from pydantic import Field
from pydantic import PlainSerializer
from pydantic import WithJsonSchema
from pydantic import model_validator

from hwval.errors import UsageError
from hwval.load.lengths import Lengths
from hwval.load.lengths import parse_lengths
from hwval.stats import Looks
from hwval.threshold import Limit
from hwval.threshold import Limits
from hwval.yamlmodel import Duration
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import problem_at

__all__ = [
    "BenchLatency",
    "BenchServe",
    "BenchThroughput",
    "ChunkedPrefill",
    "ConcurrencySweep",
    "FixedBatch",
    "Goals",
    "KvCacheDtype",
    "LoadQuestion",
    "Offline",
    "Partitions",
    "PerformanceSection",
    "PrefixCache",
    "Question",
    "Saturation",
    "Serving",
    "SingleStream",
    "Speculative",
]


def _read_lengths(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("expected tokens as in 128, 64..256 or 128~32")  # noqa: TRY004 - pydantic collects ValueError alone
    try:
        return parse_lengths(str(value))
    except UsageError as error:
        raise ValueError(str(error)) from None


def _write_lengths(lengths: Lengths) -> str:
    """Return lengths as a person wrote them."""
    low, high, spread = lengths.low_tokens, lengths.high_tokens, lengths.spread_tokens
    if spread is not None:
        return f"{(high + low) // 2}~{spread}"
    return f"{low}" if low == high else f"{low}..{high}"


_Count = Annotated[int, Field(ge=1, strict=True)]
_Whole = Annotated[int, Field(ge=0, strict=True)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Text = Annotated[str, Field(min_length=1)]
_Seconds = Annotated[Duration, Field(gt=0)]
_Tokens = Annotated[
    Lengths,
    BeforeValidator(_read_lengths),
    PlainSerializer(_write_lengths, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\s*\d+\s*((\.\.|~)\s*\d+\s*)?$"},
            ],
            "examples": [128, "64..256", "128~32"],
        }
    ),
]


def _check_ascending(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values or list(values) != sorted(set(values)):
        raise ValueError(f"found {list(values)}, expected different numbers in rising order")
    return values


_Counts = Annotated[tuple[_Count, ...], AfterValidator(_check_ascending)]
_Rates = Annotated[tuple[_Positive, ...], AfterValidator(_check_ascending)]


_STATISTICS: Final = ("mean", "p50", "p90", "p95", "p99")
_LATENCIES: Final = frozenset(
    f"{kind}_{name}_s" for kind in ("ttft", "tpot", "itl", "e2el") for name in _STATISTICS
)
_RATES_OF_ALL: Final = frozenset(
    {"output_tokens_per_s", "input_tokens_per_s", "total_tokens_per_s", "request_per_s"}
)
_OF_DEVICES: Final = frozenset(
    {"device_memory_peak_bytes", "energy_j_per_token", "output_tokens_per_j"}
)
_OF_SPECULATION: Final = frozenset({"acceptance_rate", "accepted_length_tokens"})
_OF_LOADS: Final = (
    _LATENCIES
    | _RATES_OF_ALL
    | _OF_DEVICES
    | {"decode_tokens_per_s", "prefill_tokens_per_s", "prefix_cache_hit_rate"}
)


class Question(YamlModel):
    """What every question of speed has."""

    METRICS: ClassVar[frozenset[str]] = frozenset()
    """What it measures, and a limit may be about."""

    min_rounds: Annotated[int, Field(ge=3, strict=True)] = 5
    """Rounds before the first look at the limits."""
    max_rounds: Annotated[int, Field(ge=3, strict=True)] = 30
    """Rounds that may be spent on a decision; what is open then is INCONCLUSIVE."""
    max_duration: _Seconds = 600.0
    """Time that the rounds may take together, at each point of a curve."""
    limits: Limits = Field(default_factory=dict)
    """Metric -> what is promised of it, at every point."""

    @model_validator(mode="after")
    def _check_rounds(self) -> Self:
        if self.max_rounds < self.first_rounds:
            problem = f"max_rounds ({self.max_rounds}) is below the {self.first_rounds} rounds "
            raise problem_at("max_rounds", f"{problem}that come before the first look")
        return self

    @model_validator(mode="after")
    def _check_metrics(self) -> Self:
        for metric, _ in self.all_limits():
            if metric not in self.METRICS:
                allowed = ", ".join(sorted(self.METRICS))
                problem = f"{metric} is not measured here; allowed: {allowed}"
                raise problem_at("limits", problem)
        return self

    @property
    def looks(self) -> Looks:
        """The looks at the limits that are planned."""
        return Looks(first=self.first_rounds, most=self.max_rounds)

    @property
    def first_rounds(self) -> int:
        """Rounds before the first look."""
        return self.min_rounds

    def all_limits(self) -> Iterator[tuple[str, Limit]]:
        """Yield every metric and what is promised of it, those of single points too."""
        yield from self.limits.items()


class LoadQuestion(Question):
    """A question that is answered by the load generator."""

    METRICS = _OF_LOADS

    input_tokens: _Tokens = Lengths(128, 128)
    """Length of prompts: 128, 64..256 (uniform) or 128~32 (normal)."""
    output_tokens: _Tokens = Lengths(128, 128)
    """Length of answers, likewise."""
    endpoint: Literal["completions", "chat"] = "completions"
    """Which API is asked."""
    warm_up: _Whole = 3
    """Requests before the first round that do not count."""
    when_client_bound: Literal["refuse", "mark"] = "refuse"
    """What becomes of rounds in which the load generator was itself the limit: they do not count,
    or they count with a mark, for machines where that cannot be helped and numbers are no aim."""
    round_deadline: _Seconds = 300.0
    """Longest time of one round: a stalled one ends with what it has, and does not count."""

    @property
    def context_tokens(self) -> int:
        """Longest request, prompt and answer together."""
        return self.input_tokens.high_tokens + self.output_tokens.high_tokens


class _Curve(LoadQuestion):
    """A question that is asked at several points."""

    limits_at: dict[float, Limits] = Field(default_factory=dict)
    """Point, in quotes -> metric -> what is promised of it there, beside ``limits``."""

    @property
    def at(self) -> tuple[float, ...]:
        """The points."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _check_points(self) -> Self:
        for point in self.limits_at:
            if point not in self.at:
                allowed = ", ".join(f"{one:g}" for one in self.at)
                problem = f"nothing is measured at {point:g}; allowed: {allowed}"
                raise problem_at("limits_at", problem)
        return self

    def limits_of(self, point: float) -> Mapping[str, Limit]:
        """Return what is promised at a point."""
        return {**self.limits, **self.limits_at.get(point, {})}

    def all_limits(self) -> Iterator[tuple[str, Limit]]:
        """Yield every metric and what is promised of it, those of single points too."""
        yield from self.limits.items()
        for limits in self.limits_at.values():
            yield from limits.items()


class Goals(YamlModel):
    """What a request must keep to count as good (goodput)."""

    ttft: _Seconds | None = None
    """Longest time to the first token."""
    tpot: _Seconds | None = None
    """Longest time per token after the first."""
    e2el: _Seconds | None = None
    """Longest time to the last token."""


class SingleStream(LoadQuestion):
    """One request at a time: how fast does it decode, when does it begin?"""

    output_tokens: _Tokens = Lengths(256, 256)
    requests: _Count = 1
    """Requests of a round, one after the other."""


class FixedBatch(LoadQuestion):
    """So many requests of one length at once: how long until all are answered?

    Also kept by pytest-benchmark, whose options store and compare.
    """

    METRICS = _OF_LOADS | {"latency_mean_s"}

    batch: _Count = 8
    """Requests at a time."""
    warm_up: _Whole = 3
    """Whole batches that come first, once."""
    iterations: Annotated[int, Field(ge=3, strict=True)] = 5
    """Measured batches before the first look at the limits."""

    @property
    def first_rounds(self) -> int:
        """The iterations."""
        return self.iterations


class Offline(LoadQuestion):
    """Everything at once: how many tokens per second does the engine make of it?"""

    requests: _Count = 256
    """Requests of a round; a multiple of max-num-seqs keeps the batch full to the end."""


class Serving(_Curve):
    """Requests arrive at given rates: how long do they wait?"""

    METRICS = _OF_LOADS | {"goodput_request_per_s", "good_share"}

    rates_per_s: _Rates
    """Requests per second, one point each."""
    requests: _Count = 200
    """Requests of a round; a p99 needs 100 and more."""
    burstiness: _Positive = 1.0
    """1 is a Poisson process, less comes in bursts, more is more even."""
    goals: Goals | None = None
    """What a good request keeps, for goodput."""

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


class ConcurrencySweep(_Curve):
    """Throughput against concurrency: it rises up to a knee, and does not break down behind it."""

    METRICS = _OF_LOADS | {"knee_concurrency"}

    concurrencies: _Counts
    """Streams at a time, one point each."""
    requests_per_stream: _Count = 4
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


class Saturation(LoadQuestion):
    """More requests arrive than can be answered: does the rate hold, is every one answered?"""

    METRICS = _OF_LOADS | {"speedup"}

    overload: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 2.0
    """Arrivals per second as a multiple of what the engine answers at its best."""
    requests: _Count = 256
    """Requests of a round."""
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of its best throughput that an engine may lose under overload."""


class PrefixCache(LoadQuestion):
    """The same load with and without a beginning that prompts share, taking turns."""

    METRICS = _OF_LOADS | {"speedup"}

    input_tokens: _Tokens = Lengths(1024, 1024)
    output_tokens: _Tokens = Lengths(16, 16)
    shared_prefix_tokens: _Count = 896
    """Length of the beginning that prompts share."""
    prefixes: _Count = 1
    """How many such beginnings there are."""
    concurrency: _Count = 4
    """Streams at a time."""
    requests: _Count = 32
    """Requests of a round."""

    @model_validator(mode="after")
    def _check_prefix(self) -> Self:
        if self.shared_prefix_tokens >= self.input_tokens.low_tokens:
            shortest = self.input_tokens.low_tokens
            problem = f"found {self.shared_prefix_tokens}, expected less than input_tokens"
            raise problem_at("shared_prefix_tokens", f"{problem} ({shortest})")
        return self


class ChunkedPrefill(LoadQuestion):
    """Long prompts arrive while streams decode: how much are those held up?"""

    METRICS = _OF_LOADS | {"speedup"}

    input_tokens: _Tokens = Lengths(64, 64)
    output_tokens: _Tokens = Lengths(128, 128)
    streams: _Count = 4
    """Streams that decode."""
    long_input_tokens: _Count = 2048
    """Length of each long prompt."""
    long_requests: _Count = 2
    """Long prompts of a round."""

    @property
    def context_tokens(self) -> int:
        """Longest request, prompt and answer together."""
        streams = self.input_tokens.high_tokens + self.output_tokens.high_tokens
        return max(streams, self.long_input_tokens + 1)


class Speculative(LoadQuestion):
    """Speculative decoding: how many drafted tokens are kept, and are answers still the same?"""

    METRICS = _OF_LOADS | _OF_SPECULATION

    requests: _Count = 4
    """Requests of a round, one after the other."""
    without: _Text | None = None
    """Variant (or pattern over cell ids) without speculation, of the same run: answers to the
    same prompts must be the same. It needs a ``speculative`` section of the same workload."""
    prompts: _Count = 8
    """Prompts whose greedy answers are compared."""
    max_changed: Annotated[int, Field(ge=0, strict=True)] = 0
    """Answers that may differ where the model surely preferred another token."""


class KvCacheDtype(LoadQuestion):
    """Throughput of long contexts and room of the KV cache, to be related to another variant."""

    METRICS = _OF_LOADS | {"kv_cache_tokens"}

    input_tokens: _Tokens = Lengths(512, 512)
    concurrency: _Count = 16
    """Streams at a time."""
    requests: _Count = 64
    """Requests of a round."""


class Partitions(LoadQuestion):
    """Several instances at the same time, each on devices of its own: what do they make together?

    ``scaling_efficiency`` is their rate over that of one alone, times their number.
    """

    METRICS = _OF_LOADS | {"scaling_efficiency"}

    instances: Annotated[int, Field(ge=2, strict=True)] = 2
    """Instances, the cell's own engine among them."""
    concurrency: _Count = 8
    """Streams at a time of each instance."""
    requests: _Count = 32
    """Requests of a round to each instance."""


class BenchLatency(Question):
    """``vllm bench latency`` of the same vLLM, for numbers that are comparable with published ones.

    Its engine is one of its own; ours is away meanwhile.
    """

    METRICS = frozenset({"latency_mean_s", "output_tokens_per_s"})

    batch: _Count = 8
    input_tokens: _Count = 32
    output_tokens: _Count = 128
    warm_up: _Whole = 3
    """Iterations that do not count."""
    iterations: Annotated[int, Field(ge=3, strict=True)] = 5
    """Measured iterations; they are the rounds."""
    timeout: _Seconds = 1800.0
    """Longest time of the whole command, its start included."""


class BenchThroughput(Question):
    """``vllm bench throughput`` of the same vLLM; each run of the command is a round."""

    METRICS = _RATES_OF_ALL

    requests: _Count = 256
    input_tokens: _Count = 512
    output_tokens: _Count = 128
    min_rounds: Annotated[int, Field(ge=3, strict=True)] = 3
    max_rounds: Annotated[int, Field(ge=3, strict=True)] = 5
    max_duration: _Seconds = 7200.0
    timeout: _Seconds = 3600.0
    """Longest time of one run of the command, its start included."""


class BenchServe(Question):
    """``vllm bench serve`` beside the engine that runs; each run of the command is a round."""

    METRICS = _LATENCIES | _RATES_OF_ALL | _OF_SPECULATION

    requests: _Count = 100
    input_tokens: _Count = 512
    output_tokens: _Count = 128
    rate_per_s: _Positive | None = None
    """Requests per second; None sends all at once."""
    max_concurrency: _Count | None = None
    min_rounds: Annotated[int, Field(ge=3, strict=True)] = 3
    max_rounds: Annotated[int, Field(ge=3, strict=True)] = 5
    timeout: _Seconds = 900.0
    """Longest time of one run of the command."""


class PerformanceSection(YamlModel):
    """Is it as fast as promised? Each key is a question; what is left out is not asked."""

    single_stream: SingleStream | None = None
    fixed_batch: FixedBatch | None = None
    offline: Offline | None = None
    serving: Serving | None = None
    concurrency_sweep: ConcurrencySweep | None = None
    saturation: Saturation | None = None
    prefix_cache: PrefixCache | None = None
    chunked_prefill: ChunkedPrefill | None = None
    speculative: Speculative | None = None
    kv_cache_dtype: KvCacheDtype | None = None
    partitions: Partitions | None = None
    bench_serve: BenchServe | None = None
    bench_latency: BenchLatency | None = None
    bench_throughput: BenchThroughput | None = None

    @property
    def is_asked(self) -> bool:
        """Whether any question is asked."""
        return any(getattr(self, name) is not None for name in type(self).model_fields)

    @property
    def partners(self) -> frozenset[str]:
        """Cells that this one is held against, as the matrix names them."""
        sections = [getattr(self, name) for name in type(self).model_fields]
        limits = (
            limit
            for section in sections
            if section is not None
            for _, limit in section.all_limits()
        )
        named = {limit.relative_to.cell for limit in limits if limit.relative_to is not None}
        if self.speculative is not None and self.speculative.without is not None:
            named.add(self.speculative.without)
        return frozenset(named)
