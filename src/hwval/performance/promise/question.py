"""What questions of speed have in common, by the way in which they are answered."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Annotated
from typing import ClassVar
from typing import Final
from typing import Literal
from typing import Self

from pydantic import Field
from pydantic import model_validator

from hwval.catalogue import Capability
from hwval.load.lengths import Lengths
from hwval.performance.promise.fields import Span
from hwval.performance.promise.fields import Tokens
from hwval.performance.promise.fields import Whole
from hwval.stats import Looks
from hwval.threshold import Limit
from hwval.threshold import Limits
from hwval.units import format_duration_s
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import problem_at

__all__ = [
    "LATENCIES",
    "OF_LOADS",
    "OF_SPECULATION",
    "RATES_OF_ALL",
    "Curve",
    "LoadQuestion",
    "Question",
    "Repeated",
    "RepeatedLoad",
]

_STATISTICS: Final = ("mean", "p50", "p90", "p95", "p99")
LATENCIES: Final = frozenset(
    f"{kind}_{name}_s" for kind in ("ttft", "tpot", "itl", "e2el") for name in _STATISTICS
)
RATES_OF_ALL: Final = frozenset(
    {"output_tokens_per_s", "input_tokens_per_s", "total_tokens_per_s", "request_per_s"}
)
_OF_DEVICES: Final = frozenset(
    {"device_memory_peak_bytes", "energy_j_per_token", "output_tokens_per_j"}
)
OF_SPECULATION: Final = frozenset({"acceptance_rate", "accepted_length_tokens"})
OF_LOADS: Final = (
    LATENCIES
    | RATES_OF_ALL
    | _OF_DEVICES
    | {"decode_tokens_per_s", "prefill_tokens_per_s", "prefix_cache_hit_rate"}
)
# The first requests of all are slow whatever the batch: imports, compilers, allocators.
_LEAST_WARM_UP: Final = 3


class Question(YamlModel):
    """What every question of speed has."""

    METRICS: ClassVar[frozenset[str]] = frozenset()
    """What it measures, and a limit may be about."""

    limits: Limits = Field(default_factory=dict)
    """Metric -> what is promised of it, at every point."""

    @model_validator(mode="after")
    def _check_metrics(self) -> Self:
        for metric, _ in self.all_limits():
            if metric not in self.METRICS:
                allowed = ", ".join(sorted(self.METRICS))
                problem = f"{metric} is not measured here; allowed: {allowed}"
                raise problem_at("limits", problem)
        return self

    @property
    def capability(self) -> Capability:
        """What an engine must be able to do for it to be asked."""
        return Capability.COMPLETIONS

    @property
    def looks(self) -> Looks:
        """The looks at the limits that are planned."""
        raise NotImplementedError

    def all_limits(self) -> Iterator[tuple[str, Limit]]:
        """Yield every metric and what is promised of it, those of single points too."""
        yield from self.limits.items()

    def placed_limits(self) -> Iterator[tuple[str, Limit, float | None]]:
        """Yield every metric, what is promised of it and at which point of a curve, if at one."""
        for metric, limit in self.limits.items():
            yield metric, limit, None


class Bounded(Question):
    """A question whose rounds are added until all is decided, within bounds."""

    max_rounds: Annotated[int, Field(ge=3, strict=True)] = 30
    """Rounds that may be spent on a decision; what is open then is INCONCLUSIVE."""
    max_duration: Span = 600.0
    """Time that the rounds may take together, at each point of a curve."""

    @model_validator(mode="after")
    def _check_rounds(self) -> Self:
        if self.max_rounds < self.first_rounds:
            problem = f"max_rounds ({self.max_rounds}) is below the {self.first_rounds} rounds "
            raise problem_at("max_rounds", f"{problem}that come before the first look")
        return self

    @property
    def looks(self) -> Looks:
        """The looks at the limits that are planned."""
        return Looks(first=self.first_rounds, most=self.max_rounds)

    @property
    def first_rounds(self) -> int:
        """Rounds before the first look."""
        raise NotImplementedError

    def check_arrivals(self, requests: int, rate_per_s: float, **deadline_s: float) -> None:
        """Refuse rounds whose requests take longer to arrive than a round or all may take.

        Args:
            requests: Of a round.
            rate_per_s: Requests per second, > 0.
            deadline_s: Key of the section that bounds a round -> its value, seconds.

        Raises:
            PydanticCustomError: Such rounds can never count.
        """
        arrive_s = requests / rate_per_s
        what = f"{requests} requests at {rate_per_s:g}/s to arrive"
        for key, most_s in deadline_s.items():
            if arrive_s >= most_s:
                problem = f"found {format_duration_s(most_s)}, expected more than the "
                raise problem_at(
                    key, f"{problem}{format_duration_s(arrive_s)} that it takes {what}"
                )
        rounds, most_s = self.first_rounds, self.max_duration
        if rounds * arrive_s > most_s:
            problem = f"found {format_duration_s(most_s)}, expected the "
            least = (
                f"{format_duration_s(rounds * arrive_s)} or more that {rounds} rounds take, each"
            )
            raise problem_at("max_duration", f"{problem}{least} with {what}")


class Repeated(Bounded):
    """A question that says how many rounds come before the first look."""

    min_rounds: Annotated[int, Field(ge=3, strict=True)] = 5
    """Rounds before the first look at the limits."""

    @property
    def first_rounds(self) -> int:
        """Rounds before the first look."""
        return self.min_rounds


class LoadQuestion(Bounded):
    """A question that is answered by the load generator."""

    METRICS = OF_LOADS

    input_tokens: Tokens = Lengths(128, 128)
    """Length of prompts: 128, 64..256 (uniform) or 128~32 (normal)."""
    output_tokens: Tokens = Lengths(128, 128)
    """Length of answers, likewise."""
    endpoint: Literal["completions", "chat"] = "completions"
    """Which API is asked."""
    warm_up: Whole | None = None
    """Requests before the first round that do not count. None sends as many as the point has
    streams, all at once, and 3 at least: a batch is slow when its size is seen first."""
    when_client_bound: Literal["refuse", "mark"] = "refuse"
    """What becomes of rounds in which the load generator was itself the limit: they do not count,
    or they count with a mark, for machines where that cannot be helped and numbers are no aim."""
    round_deadline: Span = 300.0
    """Longest time of one round: a stalled one ends with what it has, and does not count."""

    @property
    def capability(self) -> Capability:
        """What its endpoint is."""
        return Capability.CHAT if self.endpoint == "chat" else Capability.COMPLETIONS

    @property
    def context_tokens(self) -> int:
        """Longest request, prompt and answer together."""
        return self.input_tokens.high_tokens + self.output_tokens.high_tokens

    def warm_up_requests(self, streams: int) -> int:
        """Return how many requests come before the first round of a point.

        Args:
            streams: Requests at a time there, >= 1.
        """
        return max(_LEAST_WARM_UP, streams) if self.warm_up is None else self.warm_up


class RepeatedLoad(LoadQuestion, Repeated):
    """A question that is answered by rounds of a load."""


class Curve(RepeatedLoad):
    """A question that is asked at several points."""

    OF_ALL_POINTS: ClassVar[frozenset[str]] = frozenset()
    """Metrics that compare points."""

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

    def placed_limits(self) -> Iterator[tuple[str, Limit, float | None]]:
        """Yield every metric, what is promised of it and at which point, if at one."""
        for metric in sorted(self.OF_ALL_POINTS & self.limits.keys()):
            yield metric, self.limits[metric], None
        for point in self.at:
            for metric, limit in self.limits_of(point).items():
                if metric not in self.OF_ALL_POINTS:
                    yield metric, limit, point
