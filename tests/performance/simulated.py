"""An engine in numbers: what it answers to a load follows from a few times, and nothing waits."""

from __future__ import annotations

import heapq
import random
from array import array
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from typing import Any

from hwval.engine.base import Endpoint
from hwval.load import LoadPlan
from hwval.load import LoadRun
from hwval.load import Progress
from hwval.load.failure import Failure
from hwval.load.failure import FailureKind
from hwval.load.health import Health
from hwval.load.sample import Sample
from hwval.performance import questions
from hwval.performance.campaign import Campaign
from hwval.performance.play import Player
from hwval.performance.play import Subject
from hwval.performance.promise import LoadQuestion
from hwval.threshold import Check
from hwval.verdict import Outcome

START_NS = 10**12
STATUS = Failure(FailureKind.STATUS, "out of order", 500)
LENGTHS: dict[str, Any] = {"input_tokens": 32, "output_tokens": 11, "min_rounds": 3}


@dataclass
class SimulatedEngine:
    """Answers loads by arithmetic.

    Attributes:
        ttft_s: Time to the first token.
        itl_s: Time between tokens, alone.
        knee: Streams up to which tokens of one stream cost the others nothing.
        collapse: Factor on every token beyond ``collapse_at`` streams.
        collapse_at: Streams from which it breaks down.
        noise: Standard deviation of a round's speed, as a share.
        fail_every: Every k-th request fails; 0 for none.
        failure: How.
        busy: Whether the generator reports that it was itself the limit.
        extra_tokens: Tokens that the engine counts for somebody else, each round.
        preempted: Preemptions that it counts, each round.
        hit_share: Share of prompt tokens that it finds cached if prompts begin alike.
        finish_reason: Why answers end, as it says.
        lost_tokens: Tokens that each answer has fewer than it was asked for.
    """

    ttft_s: float = 0.05
    itl_s: float = 0.01
    knee: int = 4
    collapse: float = 1.0
    collapse_at: int = 1000
    noise: float = 0.0
    fail_every: int = 0
    failure: Failure = STATUS
    busy: bool = False
    extra_tokens: int = 0
    preempted: int = 0
    hit_share: float = 0.0
    finish_reason: str | None = "length"
    lost_tokens: int = 0
    plans: list[LoadPlan] = field(default_factory=list)
    counters: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(1)

    def metrics(self) -> Mapping[str, float]:
        """Return its counters, as /metrics has them."""
        return {"process_start_time_seconds": 1.0, **self.counters}

    def run(self, plan: LoadPlan, on_progress: Callable[[Progress], None] | None = None) -> LoadRun:
        """Stand in for `run_load`."""
        self.plans.append(plan)
        many = plan.concurrency or len(plan.asks)
        pace = 1 + self.noise * self._random.gauss(0, 1)
        itl_s = self.itl_s * max(1.0, many / self.knee) / pace
        if many >= self.collapse_at:
            itl_s *= self.collapse
        free = [0.0] * many
        samples = []
        for index, ask in enumerate(plan.asks):
            at_s = max(heapq.heappop(free), ask.at_s or 0.0)
            first_s = at_s + self.ttft_s / pace
            times_s = [
                first_s + itl_s * step for step in range(ask.output_tokens - self.lost_tokens)
            ]
            heapq.heappush(free, times_s[-1])
            samples.append(self._sample(index, ask.at_s, at_s, times_s))
        self._count(plan, samples)
        if on_progress is not None:
            on_progress(Progress("requests", len(samples), 0, len(samples)))
        health = Health(1.0, 0.99 if self.busy else 0.1, 0.0, array("q", [0]))
        return LoadRun(tuple(samples), (), (health,), "uvloop", plan.concurrency)

    def _sample(self, index: int, due_s: float | None, at_s: float, times_s: list[float]) -> Sample:
        fails = self.fail_every and index % self.fail_every == 0
        return Sample(
            index=index,
            due_ns=None if due_s is None else _ns(due_s),
            sent_ns=_ns(at_s),
            ended_ns=_ns(times_s[-1]),
            token_ns=array("q", [_ns(time_s) for time_s in times_s]),
            output_tokens=len(times_s),
            is_counted=True,
            input_tokens=32,
            finish_reason=self.finish_reason,
            failure=self.failure if fails else None,
        )

    def _count(self, plan: LoadPlan, samples: list[Sample]) -> None:
        prompts = [ask.prompt for ask in plan.asks]
        begins_alike = len({prompt[:40] for prompt in prompts}) == 1 < len(prompts)
        grown: dict[str, float] = {
            "vllm:generation_tokens_total": sum(one.output_tokens for one in samples)
            + self.extra_tokens,
            "vllm:prompt_tokens_total": 32 * len(samples),
            "vllm:num_preemptions_total": self.preempted,
            "vllm:prefix_cache_queries_total": 32 * len(samples),
            "vllm:prefix_cache_hits_total": 32 * len(samples) * self.hit_share * begins_alike,
            "vllm:time_to_first_token_seconds_sum": sum(one.ttft_s for one in samples),
            "vllm:time_to_first_token_seconds_count": len(samples),
        }
        for name, value in grown.items():
            self.counters[name] = self.counters.get(name, 0.0) + value


def player(engine: SimulatedEngine, question: str = "performance/test", **others: Any) -> Player:
    """Return a player for an engine that answers by arithmetic."""
    subject = Subject(
        cell="cpu__image__model__bfloat16",
        endpoint=Endpoint("http://127.0.0.1:1", "key"),
        model="model",
        metrics=engine.metrics,
    )
    others = dict(others)
    subject = replace(subject, **others.pop("subject", {}))
    return Player(subject, question, deadline_s=60.0, run=engine.run, **others)


def ask(
    section: LoadQuestion,
    measure: Callable[..., tuple[Check, ...]],
    engine: SimulatedEngine,
    *others: Any,
    **of_player: Any,
) -> tuple[Campaign, tuple[Check, ...]]:
    """Measure a section of an engine; return what was measured and what every limit came to."""
    campaign = Campaign("performance/test", "cell", {})
    asked = questions.Asked(player(engine, **of_player), campaign)
    return campaign, measure(section, asked, *others)


def outcomes(checks: tuple[Check, ...]) -> set[Outcome]:
    """Return all outcomes that there are."""
    return {check.outcome for check in checks}


def _ns(time_s: float) -> int:
    return START_NS + round(time_s * 1e9)
