"""What every question does with what it sees, at an engine whose answers follow from arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from hwval.performance import questions
from hwval.performance.campaign import RequestsFailed
from hwval.performance.promise import SingleStream
from hwval.verdict import Outcome
from tests.performance.simulated import LENGTHS
from tests.performance.simulated import SimulatedEngine
from tests.performance.simulated import ask
from tests.performance.simulated import outcomes


def test_slow_engine_fails() -> None:
    """A rate that is surely below its floor is a broken promise."""
    section = SingleStream.model_validate(
        LENGTHS | {"limits": {"decode_tokens_per_s": {"floor": 150}}}
    )
    _, checks = ask(section, questions.single_stream, SimulatedEngine(noise=0.01))

    assert outcomes(checks) == {Outcome.FAIL}


def test_rounds_are_added_until_decided() -> None:
    """Noise costs rounds, and what stays open when they are spent is INCONCLUSIVE."""
    limits = {"limits": {"decode_tokens_per_s": {"floor": 100}}, "max_rounds": 8}
    section = SingleStream.model_validate(LENGTHS | limits)
    campaign, checks = ask(section, questions.single_stream, SimulatedEngine(noise=0.1))

    assert outcomes(checks) == {Outcome.INCONCLUSIVE}
    assert len(campaign.rounds) == 8


def test_failed_requests_end_a_measurement_at_once() -> None:
    """They are the server's fault: told with counts and the first example, never a rate."""
    section = SingleStream.model_validate(LENGTHS | {"requests": 4})
    engine = SimulatedEngine(fail_every=2)
    with pytest.raises(RequestsFailed, match=r"2 of 4 requests failed: 2 times status 500") as seen:
        ask(section, questions.single_stream, engine)

    assert "out of order" in str(seen.value)


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ({"busy": True}, "client-bound: process 1 of 1 used 99% of its core"),
        ({"preempted": 2}, "preempted requests 2 times"),
        ({"extra_tokens": 50}, "somebody else asks it too"),
    ],
)
def test_what_does_not_count_is_inconclusive(trouble: dict[str, Any], why: str) -> None:
    """Rounds that say nothing of the engine are tried some times, and told with their reason."""
    section = SingleStream.model_validate(
        LENGTHS | {"limits": {"decode_tokens_per_s": {"floor": 1}}}
    )
    campaign, checks = ask(section, questions.single_stream, SimulatedEngine(**trouble))
    problem = campaign.problem()

    assert outcomes(checks) == {Outcome.INCONCLUSIVE}
    assert problem is not None
    assert why in problem
    assert len(campaign.rounds) == 4


def test_client_bound_rounds_may_be_marked_instead() -> None:
    """For a smoke run on a machine that is shared, where numbers are no aim."""
    section = SingleStream.model_validate(LENGTHS)
    campaign, _ = ask(
        section, questions.single_stream, SimulatedEngine(busy=True), marks_client_bound=True
    )

    assert campaign.problem() is None
    assert all("client-bound" in one.notes[0] for one in campaign.rounds)


def test_measurement_without_limits_is_recorded() -> None:
    """Nothing is judged, and the planned rounds are there."""
    section = SingleStream.model_validate(LENGTHS)
    campaign, checks = ask(section, questions.single_stream, SimulatedEngine())

    assert checks == ()
    assert campaign.problem() is None
    assert len(campaign.rounds) == 3


def test_prompts_of_a_round_are_the_same_in_every_cell() -> None:
    """So that two cells answer the same; rounds differ, so that no cache helps."""
    section = SingleStream.model_validate(LENGTHS)
    first, second = SimulatedEngine(), SimulatedEngine()
    ask(section, questions.single_stream, first)
    ask(section, questions.single_stream, second)
    prompts = [plan.asks[0].prompt for plan in first.plans]

    assert prompts == [plan.asks[0].prompt for plan in second.plans]
    assert len(set(prompts)) == len(prompts)
