"""Throughput against load, of an engine whose answers follow from arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hwval.load import LoadPlan
from hwval.load import LoadRun
from hwval.load import Progress
from hwval.performance import questions
from hwval.performance.campaign import Campaign
from hwval.performance.promise import ConcurrencySweep
from hwval.performance.promise import Saturation
from hwval.verdict import Outcome
from tests.performance.simulated import LENGTHS
from tests.performance.simulated import SimulatedEngine
from tests.performance.simulated import ask
from tests.performance.simulated import outcomes
from tests.performance.simulated import player


def test_sweep_finds_the_knee_and_a_sound_shape() -> None:
    """Throughput grows up to the knee and stays."""
    section = ConcurrencySweep.model_validate(
        LENGTHS | {"concurrencies": [1, 2, 4, 8, 16], "limits": {"knee_concurrency": {"floor": 4}}}
    )
    campaign, checks = ask(
        section, questions.concurrency_sweep, SimulatedEngine(ttft_s=0.001, noise=0.01)
    )

    assert outcomes(checks) == {Outcome.PASS}
    assert campaign.derived["knee_concurrency"] == [4.0] * len(campaign.valid("concurrency 1"))
    assert [point.concurrency for point in campaign.measurement().points] == [1, 2, 4, 8, 16]


def test_sweep_that_breaks_down_has_the_wrong_shape() -> None:
    """A curve that surely falls behind its best point is a FAIL, without any limit."""
    section = ConcurrencySweep.model_validate(LENGTHS | {"concurrencies": [1, 4, 8]})
    engine = SimulatedEngine(ttft_s=0.001, noise=0.01, collapse=3.0, collapse_at=8)
    _, checks = ask(section, questions.concurrency_sweep, engine)

    assert [check.outcome for check in checks] == [Outcome.FAIL]
    assert checks[0].text.startswith("concurrency 8: output_tokens_per_s is")
    assert checks[0].partner == "concurrency 4"


@dataclass
class Overloaded(SimulatedEngine):
    """Takes longer for every token while requests arrive by themselves.

    Attributes:
        slower: How many times.
    """

    slower: float = 1.0

    def run(self, plan: LoadPlan, on_progress: Callable[[Progress], None] | None = None) -> LoadRun:
        """Stand in for `run_load`."""
        usual = self.ttft_s, self.itl_s
        if plan.is_open:
            self.ttft_s, self.itl_s = (self.slower * one for one in usual)
        try:
            return SimulatedEngine.run(self, plan, on_progress)
        finally:
            self.ttft_s, self.itl_s = usual


def test_sweep_that_still_grows_says_so() -> None:
    """The last point stands for a knee that was not reached."""
    section = ConcurrencySweep.model_validate(LENGTHS | {"concurrencies": [1, 2]})
    campaign, _ = ask(section, questions.concurrency_sweep, SimulatedEngine(noise=0.01))

    assert campaign.derived["knee_concurrency"] == [2.0] * 3
    assert "still grows" in campaign.notes[0]


def test_saturation_offers_more_than_the_best_rate() -> None:
    """Arrivals come at a multiple of what the engine answers when all is sent at once."""
    section = Saturation.model_validate(LENGTHS | {"requests": 20, "overload": 3.0})
    engine = SimulatedEngine(knee=20, noise=0.01)
    campaign, checks = ask(section, questions.saturation, engine)
    best = campaign.measurement().points[0].client["request_per_s"]
    arrivals = [plan.asks[-1].at_s for plan in engine.plans if plan.is_open]

    assert outcomes(checks) == {Outcome.PASS}
    assert checks[0].metric == "output_tokens_per_s"
    assert arrivals[0] is not None
    assert 19 / arrivals[0] == pytest.approx(3 * best, rel=0.6)  # Poisson
    assert len(campaign.derived["speedup"]) == len(campaign.valid("at its best"))


@pytest.mark.parametrize("requests", [6, 20, 200])
@pytest.mark.parametrize(
    ("slower", "outcome"), [(1.0, Outcome.PASS), (1.05, Outcome.PASS), (3.0, Outcome.FAIL)]
)
def test_overload_is_told_from_arrivals_that_take_time(
    requests: int, slower: float, outcome: Outcome
) -> None:
    """An engine that takes all requests as one batch ends later when they arrive one by one."""
    section = Saturation.model_validate(LENGTHS | {"requests": requests})
    engine = Overloaded(knee=requests, noise=0.01, slower=slower)
    campaign, [check] = ask(section, questions.saturation, engine)

    assert check.outcome is outcome
    assert campaign.derived["speedup"]


def test_saturation_waits_for_a_rate_that_counts() -> None:
    """A guess could be less than the engine answers, and no overload."""
    section = Saturation.model_validate(LENGTHS | {"requests": 4})
    campaign, _ = ask(section, questions.saturation, SimulatedEngine(busy=True))
    [calm, loaded] = campaign.measurement().points

    assert loaded.why_invalid == ("no round at its best counts yet: what overloads it is unknown",)
    assert calm.rounds == loaded.rounds == 0
    assert sum(one.requests for one in campaign.rounds if one.point == loaded.name) == 0


def test_points_without_a_common_round_are_not_passed_over() -> None:
    """Where no round counts at all points, what compares them is INCONCLUSIVE, never silent."""
    sweep = ConcurrencySweep.model_validate(
        LENGTHS | {"concurrencies": [1, 2], "limits": {"knee_concurrency": {"floor": 1}}}
    )
    busy = SimulatedEngine(busy=True)
    _, of_sweep = ask(sweep, questions.concurrency_sweep, busy)
    _, of_saturation = ask(
        Saturation.model_validate(LENGTHS | {"requests": 2}), questions.saturation, busy
    )

    assert {check.metric for check in of_sweep} == {"knee_concurrency", "output_tokens_per_s"}
    assert outcomes(of_sweep) == outcomes(of_saturation) == {Outcome.INCONCLUSIVE}


def test_a_curve_keeps_what_was_noted_before() -> None:
    """A note of its own does not wipe out others, and stands once."""
    section = ConcurrencySweep.model_validate(LENGTHS | {"concurrencies": [1, 2]})
    campaign = Campaign("performance/test", "cell", {})
    campaign.notes.append("lengths are approximate")
    asked = questions.Asked(player(SimulatedEngine(noise=0.05)), campaign)
    questions.concurrency_sweep(section, asked)

    assert campaign.notes[0] == "lengths are approximate"
    assert len(campaign.notes) == 2
