"""Several instances at the same time, each on devices of its own."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hwval.load.workload import Workload
from hwval.performance.campaign import Campaign
from hwval.performance.campaign import Scene
from hwval.performance.measurement import Round
from hwval.performance.play import Subject
from hwval.performance.promise import Partitions
from hwval.performance.questions.asked import Asked
from hwval.performance.questions.asked import Checks
from hwval.performance.questions.asked import derived_checks
from hwval.performance.questions.asked import others_than
from hwval.stats import Looks
from hwval.threshold import Check

__all__ = ["partitions"]

_SCALING: Final = "scaling_efficiency"


def partitions(section: Partitions, asked: Asked, others: Sequence[Subject]) -> Checks:
    """One instance alone, then all at the same time.

    Args:
        section: What is asked.
        asked: What the question works with.
        others: The further instances.
    """
    many = len(others) + 1
    player = asked.player
    # They are the same engine, and count as the first was seen to.
    others = [replace(other, room=player.subject.room) for other in others]
    alone = asked.closed(
        section,
        "1 instance",
        requests=section.requests,
        concurrency=section.concurrency,
        limits={},
    )
    together = f"{many} instances"

    def play(number: int) -> Round:
        def plan_for(place: int) -> Workload:
            return asked.workload(section, f"{together} {place}", number, section.requests)

        plan = player.plan(plan_for(0), concurrency=section.concurrency)
        beside = [
            (
                other,
                replace(player, subject=other).plan(
                    plan_for(place), concurrency=section.concurrency
                ),
            )
            for place, other in enumerate(others, 1)
        ]
        return player.round(together, number, plan, beside=beside)

    def prepare() -> None:
        for other in others:
            there = replace(asked, player=replace(player, subject=other))
            there.warm_up(section, together, section.concurrency)()

    scene = Scene(
        name=together,
        play=play,
        prepare=prepare,
        limits=others_than(_SCALING, section.limits),
        ceiling=_times(asked.ceiling(section, section.concurrency), many),
    )

    def compare(campaign: Campaign, looks: Looks) -> Iterator[Check]:
        rows = campaign.paired("output_tokens_per_s", together, alone.name)
        found = [all_ / (many * one) for all_, one in rows]
        yield from derived_checks(campaign, section, _SCALING, found, looks)

    return asked.campaign.measure(
        [alone, scene], section.looks, section.max_duration, compare=compare
    )


def _times(ceiling: Mapping[str, float], many: int) -> dict[str, float]:
    """Return the ceilings of several engines: rates of all requests add up, others stay."""
    added = {"output_tokens_per_s", "input_tokens_per_s", "total_tokens_per_s", "request_per_s"}
    return {name: value * (many if name in added else 1) for name, value in ceiling.items()}
