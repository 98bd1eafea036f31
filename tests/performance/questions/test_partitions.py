"""Several engines at the same time, whose answers follow from arithmetic."""

from __future__ import annotations

import pytest

from hwval.load.room import Room
from hwval.performance import questions
from hwval.performance.promise import Partitions
from hwval.verdict import Outcome
from tests.performance.simulated import LENGTHS
from tests.performance.simulated import SimulatedEngine
from tests.performance.simulated import ask
from tests.performance.simulated import outcomes
from tests.performance.simulated import player


def test_warm_ups_of_all_instances_fit() -> None:
    """What the first one adds to a prompt, the others add too."""
    section = Partitions.model_validate(LENGTHS | {"instances": 2, "requests": 4})
    engine, room = SimulatedEngine(), Room(43, added_tokens=6.0)
    first = {"room": room}
    other = player(engine, subject={"room": Room(43)}).subject
    ask(section, questions.partitions, engine, [other], subject=first)
    lengths = {ask.prompt.count(" ") for plan in engine.plans for ask in plan.asks}

    # Without the room that was learned, prompts would have their 32 words.
    assert max(lengths) < 26


def test_partitions_add_up() -> None:
    """Instances on devices of their own scale; their rates are added."""
    section = Partitions.model_validate(
        LENGTHS | {"instances": 3, "requests": 4, "limits": {"scaling_efficiency": {"floor": 0.9}}}
    )
    engine = SimulatedEngine(noise=0.001)
    others = [player(SimulatedEngine()).subject for _ in range(2)]
    campaign, checks = ask(section, questions.partitions, engine, others)
    alone, together = campaign.measurement().points

    # The warm-ups of the first, and of the others.
    assert [len(plan.asks) for plan in engine.plans[:3]] == [8, 8, 8]
    assert outcomes(checks) == {Outcome.PASS}
    assert together.name == "3 instances"
    assert together.client["output_tokens_per_s"] == pytest.approx(
        3 * alone.client["output_tokens_per_s"], rel=0.05
    )
