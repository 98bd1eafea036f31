"""Several engines at the same time, whose answers follow from arithmetic."""

from __future__ import annotations

import pytest

from hwval.performance import questions
from hwval.performance.promise import Partitions
from hwval.verdict import Outcome
from tests.performance.simulated import LENGTHS
from tests.performance.simulated import SimulatedEngine
from tests.performance.simulated import ask
from tests.performance.simulated import outcomes
from tests.performance.simulated import player


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
