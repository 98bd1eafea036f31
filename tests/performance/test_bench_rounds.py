"""Rounds of `vllm bench`, and what its output says where it measured nothing."""

from __future__ import annotations

from hwval.performance.bench import BenchResult
from hwval.performance.bench_rounds import replayed
from hwval.performance.campaign import Campaign
from hwval.performance.promise import BenchLatency
from hwval.stats import Looks


def test_iterations_that_were_not_told_are_no_rounds() -> None:
    """A version that tells the mean alone has one round, not as many as were asked for."""
    section = BenchLatency(batch=2, iterations=5)
    done = BenchResult(({"latency_mean_s": 0.5},), requests=2)
    campaign = Campaign("performance/bench_latency", "cell", {})
    scene = replayed("bench", section, done, {"latency_mean_s": 0.6})
    campaign.measure([scene], Looks(first=5, most=5), 60.0)

    assert len(campaign.valid("bench")) == 1
    assert campaign.measurement().points[0].ceiling == {"latency_mean_s": 0.6}
    assert campaign.problem() == (
        "bench: 1 of 5 rounds count, too few to judge: the command told 1 iterations"
    )
