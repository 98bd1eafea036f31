"""Questions that hold a load with something against one without; both take turns."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from hwval.load import Ask
from hwval.load.lengths import Lengths
from hwval.load.workload import Workload
from hwval.performance.campaign import Campaign
from hwval.performance.campaign import Scene
from hwval.performance.measurement import Round
from hwval.performance.promise import ChunkedPrefill
from hwval.performance.promise import PrefixCache
from hwval.performance.questions.asked import Asked
from hwval.performance.questions.asked import Checks
from hwval.performance.questions.asked import derived_checks
from hwval.performance.questions.asked import others_than
from hwval.stats import Looks
from hwval.threshold import Check

__all__ = ["chunked_prefill", "prefix_cache"]

_SPEEDUP: Final = "speedup"


def prefix_cache(section: PrefixCache, asked: Asked) -> Checks:
    """The same load with and without a shared beginning, taking turns."""
    shared = _sharing(section, asked, "with a shared prefix", section.shared_prefix_tokens)
    apart = replace(_sharing(section, asked, "without", 0), limits={})

    def compare(campaign: Campaign, looks: Looks) -> Iterator[Check]:
        rows = campaign.paired("ttft_mean_s", apart.name, shared.name)
        found = [without_s / with_s for without_s, with_s in rows if with_s > 0]
        yield from derived_checks(campaign, section, _SPEEDUP, found, looks)

    return asked.campaign.measure(
        [shared, apart], section.looks, section.max_duration, compare=compare
    )


def _sharing(section: PrefixCache, asked: Asked, name: str, prefix_tokens: int) -> Scene:
    def play(number: int) -> Round:
        workload = replace(
            asked.workload(section, name, number, section.requests),
            prefix_tokens=prefix_tokens,
            prefixes=section.prefixes if prefix_tokens else 1,
        )
        plan = asked.player.plan(workload, concurrency=section.concurrency)
        return asked.player.round(name, number, plan)

    return Scene(
        name=name,
        play=play,
        prepare=asked.warm_up(section, name, section.concurrency),
        limits=others_than(_SPEEDUP, section.limits),
        ceiling=asked.ceiling(section, section.concurrency, is_cached=bool(prefix_tokens)),
    )


def chunked_prefill(section: ChunkedPrefill, asked: Asked) -> Checks:
    """Streams decode, with and without long prompts that arrive meanwhile."""
    alone, disturbed = "streams alone", "with long prompts"
    campaign, player = asked.campaign, asked.player

    def streams(name: str, number: int) -> list[Ask]:
        made = asked.workload(section, name, number, section.streams).make()
        return [replace(one, at_s=0.0) for one in made.asks]

    def play_alone(number: int) -> Round:
        plan = player.plan_of(streams(alone, number), kind=section.endpoint)
        return player.round(alone, number, plan)

    def play_disturbed(number: int) -> Round:
        lasted_s = [one.duration_s for one in campaign.valid(alone) if one.duration_s]
        # Where nothing is known yet, early enough to meet any stream.
        span_s = statistics.fmean(lasted_s) if lasted_s else 0.2
        asks = [*streams(disturbed, number), *_long_prompts(section, asked, number, span_s)]
        plan = player.plan_of(asks, kind=section.endpoint)
        return player.round(
            disturbed, number, plan, counted=lambda sample: sample.index < section.streams
        )

    def warm_up_long() -> None:
        if section.warm_up != 0:
            workload = _long_ones(section, asked, 0)
            player.warm_up(workload, concurrency=section.long_requests, point=disturbed)

    scenes = [
        Scene(
            name=alone,
            play=play_alone,
            prepare=asked.warm_up(section, alone, section.streams),
            ceiling=asked.ceiling(section, section.streams),
        ),
        Scene(
            name=disturbed,
            play=play_disturbed,
            prepare=warm_up_long,
            limits=others_than(_SPEEDUP, section.limits),
            ceiling=asked.ceiling(section, section.streams + section.long_requests),
        ),
    ]

    def compare(campaign: Campaign, looks: Looks) -> Iterator[Check]:
        rows = campaign.paired("itl_p99_s", alone, disturbed)
        found = [calm_s / held_s for calm_s, held_s in rows if min(calm_s, held_s) > 0]
        yield from derived_checks(campaign, section, _SPEEDUP, found, looks)

    return campaign.measure(scenes, section.looks, section.max_duration, compare=compare)


def _long_prompts(
    section: ChunkedPrefill, asked: Asked, number: int, span_s: float
) -> Iterator[Ask]:
    """Yield the long prompts, spread over the middle of the time that the streams take."""
    for place, one in enumerate(_long_ones(section, asked, number).make().asks, 1):
        yield replace(one, at_s=span_s * place / (section.long_requests + 1))


def _long_ones(section: ChunkedPrefill, asked: Asked, number: int) -> Workload:
    return replace(
        asked.workload(section, "long prompts", number, section.long_requests),
        input_tokens=Lengths(section.long_input_tokens, section.long_input_tokens),
        output_tokens=Lengths(1, 1),
    )
