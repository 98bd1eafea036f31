"""From a section of the matrix to the loads that answer it.

Each function takes a section, a player for the engine and the campaign that keeps what is
measured, and returns what every limit came to.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from hwval.load import Ask
from hwval.load import Goals
from hwval.load.lengths import Lengths
from hwval.load.schedule import Rate
from hwval.load.workload import Workload
from hwval.performance.campaign import Campaign
from hwval.performance.campaign import Scene
from hwval.performance.curve import find_knee
from hwval.performance.curve import worst_drop
from hwval.performance.measurement import Round
from hwval.performance.play import Player
from hwval.performance.play import Subject
from hwval.performance.promise import ChunkedPrefill
from hwval.performance.promise import ConcurrencySweep
from hwval.performance.promise import FixedBatch
from hwval.performance.promise import KvCacheDtype
from hwval.performance.promise import LoadQuestion
from hwval.performance.promise import Offline
from hwval.performance.promise import Partitions
from hwval.performance.promise import PrefixCache
from hwval.performance.promise import Saturation
from hwval.performance.promise import Serving
from hwval.performance.promise import SingleStream
from hwval.performance.promise import Speculative
from hwval.stats import Decision
from hwval.stats import Interval
from hwval.stats import Looks
from hwval.stats import decide
from hwval.stats import ratio_interval
from hwval.threshold import Check
from hwval.threshold import Limit
from hwval.verdict import Outcome

__all__ = [
    "Asked",
    "chunked_prefill",
    "concurrency_sweep",
    "fixed_batch",
    "kv_cache_dtype",
    "offline",
    "partitions",
    "prefix_cache",
    "saturation",
    "serving",
    "single_stream",
    "speculative",
]

_OUTCOMES: Final = {
    Decision.HOLDS: Outcome.PASS,
    Decision.BREAKS: Outcome.FAIL,
    Decision.OPEN: Outcome.INCONCLUSIVE,
}
Checks = tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question works with.

    Attributes:
        player: Plays loads against the cell's engine.
        campaign: Keeps what is measured.
    """

    player: Player
    campaign: Campaign

    def workload(self, section: LoadQuestion, point: str, number: int, requests: int) -> Workload:
        """Return the requests of a round."""
        return Workload(
            requests=requests,
            input_tokens=section.input_tokens,
            output_tokens=section.output_tokens,
            kind=section.endpoint,
            tokenizer=self.player.subject.tokenizer,
            seed=self.player.seed(point, number),
        )

    def ceiling(
        self, section: LoadQuestion, batch: int, *, is_cached: bool = False
    ) -> Mapping[str, float]:
        """Return what the roofline allows at a point."""
        roofline = self.player.subject.roofline
        if roofline is None:
            return {}
        return roofline.at(
            batch=batch,
            input_tokens=section.input_tokens.low_tokens,
            output_tokens=section.output_tokens.low_tokens,
            is_cached=is_cached,
        )

    def warm_up(self, section: LoadQuestion, point: str, concurrency: int) -> Callable[[], None]:
        """Return what is done once before the rounds of a point."""

        def work() -> None:
            workload = self.workload(section, point, 0, section.warm_up)
            self.player.warm_up(workload, concurrency=concurrency, point=point)

        return work

    def closed(
        self,
        section: LoadQuestion,
        name: str,
        *,
        requests: int,
        concurrency: int,
        limits: Mapping[str, Limit] | None = None,
        **place: int,
    ) -> Scene:
        """Return a point with so many streams at a time."""

        def play(number: int) -> Round:
            workload = self.workload(section, name, number, requests)
            plan = self.player.plan(workload, concurrency=concurrency)
            return self.player.round(name, number, plan)

        return Scene(
            name=name,
            play=play,
            prepare=self.warm_up(section, name, concurrency),
            limits=section.limits if limits is None else limits,
            ceiling=self.ceiling(section, concurrency),
            concurrency=place.get("concurrency_shown"),
        )


def single_stream(section: SingleStream, asked: Asked) -> Checks:
    """One request at a time."""
    scene = asked.closed(section, "single stream", requests=section.requests, concurrency=1)
    return asked.campaign.measure([scene], section.looks, section.max_duration)


def fixed_batch(section: FixedBatch, asked: Asked) -> Checks:
    """So many requests of one length at once, answered together."""
    batch = section.batch
    name = f"batch {batch}"
    loads = asked.closed(section, name, requests=batch, concurrency=batch, concurrency_shown=batch)

    def play(number: int) -> Round:
        one = loads.play(number)
        if one.duration_s is None:
            return one
        return replace(one, client={**one.client, "latency_mean_s": one.duration_s})

    def warm_up() -> None:
        workload = asked.workload(section, name, 0, batch * section.warm_up)
        asked.player.warm_up(workload, concurrency=batch, point=name)

    scene = replace(loads, play=play, prepare=warm_up)
    return asked.campaign.measure([scene], section.looks, section.max_duration)


def offline(section: Offline, asked: Asked) -> Checks:
    """Everything at once."""
    many = section.requests
    scene = asked.closed(section, "all at once", requests=many, concurrency=many)
    return asked.campaign.measure([scene], section.looks, section.max_duration)


def serving(section: Serving, asked: Asked) -> Checks:
    """Requests arrive at given rates; points come one after the other."""
    checks: Checks = ()
    for rate_per_s in section.at:
        scene = _at_rate(section, asked, rate_per_s)
        checks += asked.campaign.measure([scene], section.looks, section.max_duration)
    return checks


def _at_rate(section: Serving, asked: Asked, rate_per_s: float) -> Scene:
    name = f"{rate_per_s:g} requests/s"
    wanted = section.goals
    goals = None if wanted is None else Goals(wanted.ttft, wanted.tpot, wanted.e2el)

    def play(number: int) -> Round:
        workload = replace(
            asked.workload(section, name, number, section.requests),
            rate=Rate(rate_per_s, rate_per_s),
            burstiness=section.burstiness,
        )
        plan = asked.player.plan(workload, concurrency=None, rate_per_s=rate_per_s)
        return asked.player.round(name, number, plan, goals=goals)

    return Scene(
        name=name,
        play=play,
        prepare=asked.warm_up(section, name, section.warm_up or 1),
        limits=section.limits_of(rate_per_s),
        ceiling=asked.ceiling(section, section.requests),
        rate_per_s=rate_per_s,
    )


def concurrency_sweep(section: ConcurrencySweep, asked: Asked) -> Checks:
    """Throughput against concurrency: the points take turns, so that drift bends no curve."""
    scenes = [
        asked.closed(
            section,
            f"concurrency {many}",
            requests=many * section.requests_per_stream,
            concurrency=many,
            limits={
                metric: limit
                for metric, limit in section.limits_of(float(many)).items()
                if metric != _KNEE
            },
            concurrency_shown=many,
        )
        for many in section.concurrencies
    ]

    def compare(campaign: Campaign, looks: Looks) -> Iterator[Check]:
        rows = campaign.paired("output_tokens_per_s", *(scene.name for scene in scenes))
        found = [find_knee(section.at, row, section.knee_gain) for row in rows]
        campaign.derived[_KNEE] = [knee for knee, _ in found]
        if not all(is_reached for _, is_reached in found) and _BEYOND not in campaign.notes:
            campaign.notes.append(_BEYOND)
        if limit := section.limits.get(_KNEE):
            yield from campaign.judge_values(_KNEE, limit, campaign.derived[_KNEE], looks=looks)
        if len(scenes) > 1 and not rows:
            yield _untold("output_tokens_per_s", where=scenes[-1].name, than=scenes[0].name)
        else:
            yield from _shape(section, list(zip(*rows, strict=True)), looks)

    return asked.campaign.measure(scenes, section.looks, section.max_duration, compare=compare)


_KNEE: Final = "knee_concurrency"
_BEYOND: Final = "throughput still grows at the last concurrency; the knee may lie beyond"


def _shape(
    section: ConcurrencySweep, curves: Sequence[Sequence[float]], looks: Looks
) -> Iterator[Check]:
    if len(curves) < 2:
        return
    drop = worst_drop(curves, section.tolerance, looks.confidence)
    if drop is not None:
        where = f"concurrency {section.concurrencies[drop.at]}"
        than = f"concurrency {section.concurrencies[drop.best]}"
        yield _ratio_check(
            "output_tokens_per_s", drop.ratio, 1 - section.tolerance, where=where, than=than
        )


def saturation(section: Saturation, asked: Asked) -> Checks:
    """More requests arrive than can be answered; what the engine does at its best is the scale."""
    best, over = "at its best", f"{section.overload:g} times as many arrivals"
    campaign, player = asked.campaign, asked.player
    calm = asked.closed(
        section, best, requests=section.requests, concurrency=section.requests, limits={}
    )

    def play(number: int) -> Round:
        # Of this round or the ones before: the order of the two changes from round to round.
        rates = [value for one in campaign.valid(best) if (value := one.value("request_per_s"))]
        if not rates:
            calm_round = calm.play(0)
            rates = [calm_round.value("request_per_s") or 1.0]
        rate_per_s = section.overload * statistics.fmean(rates)
        workload = replace(
            asked.workload(section, over, number, section.requests),
            rate=Rate(rate_per_s, rate_per_s),
        )
        plan = player.plan(workload, concurrency=None, rate_per_s=rate_per_s)
        return player.round(over, number, plan)

    loaded = Scene(
        name=over,
        play=play,
        limits={metric: limit for metric, limit in section.limits.items() if metric != _SPEEDUP},
        ceiling=asked.ceiling(section, section.requests),
    )

    def compare(campaign: Campaign, looks: Looks) -> Iterator[Check]:
        rows = campaign.paired("output_tokens_per_s", over, best)
        campaign.derived[_SPEEDUP] = [above / below for above, below in rows]
        if limit := section.limits.get(_SPEEDUP):
            yield from campaign.judge_values(
                _SPEEDUP, limit, campaign.derived[_SPEEDUP], looks=looks
            )
        yield from _kept(rows, 1 - section.tolerance, looks, where=over, than=best)

    return campaign.measure([calm, loaded], section.looks, section.max_duration, compare=compare)


_SPEEDUP: Final = "speedup"


def prefix_cache(section: PrefixCache, asked: Asked) -> Checks:
    """The same load with and without a shared beginning, taking turns."""
    shared = _sharing(section, asked, "with a shared prefix", section.shared_prefix_tokens)
    apart = replace(_sharing(section, asked, "without", 0), limits={})

    def compare(campaign: Campaign, looks: Looks) -> Iterator[Check]:
        rows = campaign.paired("ttft_mean_s", apart.name, shared.name)
        campaign.derived[_SPEEDUP] = [without_s / with_s for without_s, with_s in rows]
        if limit := section.limits.get(_SPEEDUP):
            yield from campaign.judge_values(
                _SPEEDUP, limit, campaign.derived[_SPEEDUP], looks=looks
            )

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
        limits={metric: limit for metric, limit in section.limits.items() if metric != _SPEEDUP},
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
            limits={m: limit for m, limit in section.limits.items() if m != _SPEEDUP},
            ceiling=asked.ceiling(section, section.streams + section.long_requests),
        ),
    ]

    def compare(campaign: Campaign, looks: Looks) -> Iterator[Check]:
        rows = campaign.paired("itl_p99_s", alone, disturbed)
        campaign.derived[_SPEEDUP] = [calm_s / held_s for calm_s, held_s in rows if held_s]
        if limit := section.limits.get(_SPEEDUP):
            yield from campaign.judge_values(
                _SPEEDUP, limit, campaign.derived[_SPEEDUP], looks=looks
            )

    return campaign.measure(scenes, section.looks, section.max_duration, compare=compare)


def _long_prompts(
    section: ChunkedPrefill, asked: Asked, number: int, span_s: float
) -> Iterator[Ask]:
    """Yield the long prompts, spread over the middle of the time that the streams take."""
    length = Lengths(section.long_input_tokens, section.long_input_tokens)
    workload = replace(
        asked.workload(section, "long prompts", number, section.long_requests),
        input_tokens=length,
        output_tokens=Lengths(1, 1),
    )
    for place, one in enumerate(workload.make().asks, 1):
        yield replace(one, at_s=span_s * place / (section.long_requests + 1))


def speculative(section: Speculative, asked: Asked) -> Checks:
    """Requests one after the other; what the engine says of its drafts is among the numbers."""
    scene = asked.closed(section, "single stream", requests=section.requests, concurrency=1)
    return asked.campaign.measure([scene], section.looks, section.max_duration)


def kv_cache_dtype(section: KvCacheDtype, asked: Asked, kv_cache_tokens: float | None) -> Checks:
    """Long contexts at a fixed concurrency, and the room of the cache.

    Args:
        section: What is asked.
        asked: What the question works with.
        kv_cache_tokens: Room of the KV cache as the engine told at its start; None if it did not.
    """
    many = section.concurrency
    scene = asked.closed(
        section, f"concurrency {many}", requests=section.requests, concurrency=many
    )

    def play(number: int) -> Round:
        one = scene.play(number)
        if kv_cache_tokens is None:
            return one
        return replace(one, engine={**one.engine, "kv_cache_tokens": kv_cache_tokens})

    return asked.campaign.measure([replace(scene, play=play)], section.looks, section.max_duration)


def partitions(section: Partitions, asked: Asked, others: Sequence[Subject]) -> Checks:
    """One instance alone, then all at the same time.

    Args:
        section: What is asked.
        asked: What the question works with.
        others: The further instances.
    """
    many = len(others) + 1
    player = asked.player
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
            workload = asked.workload(section, together, 0, section.warm_up)
            replace(player, subject=other).warm_up(
                workload, concurrency=section.concurrency, point=together
            )

    scene = Scene(
        name=together,
        play=play,
        prepare=prepare,
        limits={m: limit for m, limit in section.limits.items() if m != _SCALING},
        ceiling=_times(asked.ceiling(section, section.concurrency), many),
    )

    def compare(campaign: Campaign, looks: Looks) -> Iterator[Check]:
        rows = campaign.paired("output_tokens_per_s", together, alone.name)
        campaign.derived[_SCALING] = [all_ / (many * one) for all_, one in rows]
        if limit := section.limits.get(_SCALING):
            yield from campaign.judge_values(
                _SCALING, limit, campaign.derived[_SCALING], looks=looks
            )

    return asked.campaign.measure(
        [alone, scene], section.looks, section.max_duration, compare=compare
    )


_SCALING: Final = "scaling_efficiency"


def _times(ceiling: Mapping[str, float], many: int) -> dict[str, float]:
    """Return the ceilings of several engines: rates of all requests add up, others stay."""
    added = {"output_tokens_per_s", "input_tokens_per_s", "total_tokens_per_s", "request_per_s"}
    return {name: value * (many if name in added else 1) for name, value in ceiling.items()}


def _kept(
    rows: Iterable[Sequence[float]], least: float, looks: Looks, *, where: str, than: str
) -> Iterator[Check]:
    pairs = list(rows)
    if not pairs:
        yield _untold("output_tokens_per_s", where=where, than=than)
        return
    ratio = ratio_interval(
        [above for above, _ in pairs],
        [below for _, below in pairs],
        looks.confidence,
        paired=True,
    )
    yield _ratio_check("output_tokens_per_s", ratio, least, where=where, than=than)


def _untold(metric: str, *, where: str, than: str) -> Check:
    """Return that two points cannot be held against each other; silence would pass."""
    return Check(
        metric=metric,
        unit="times",
        kind="relative_to",
        outcome=Outcome.INCONCLUSIVE,
        text=f"{where}: {metric} cannot be held against {than}: no round counts at both",
        is_open=True,
        partner=than,
    )


def _ratio_check(metric: str, ratio: Interval, least: float, *, where: str, than: str) -> Check:
    """Return the check that throughput at one point is at least a share of that at another."""
    decision = decide(ratio, least, higher_is_better=True)
    verb = {
        Decision.HOLDS: "keeps",
        Decision.BREAKS: "breaks",
        Decision.OPEN: "does not decide",
    }[decision]
    return Check(
        metric=metric,
        unit="times",
        kind="relative_to",
        outcome=_OUTCOMES[decision],
        text=(
            f"{where}: {metric} is {ratio.mean:.3g} times that of {than} ({ratio.low:.3g} to "
            f"{ratio.high:.3g}, {ratio.n} rounds): {verb} at least {least:.3g} times"
        ),
        value=ratio.mean,
        low=ratio.low if math.isfinite(ratio.low) else None,
        high=ratio.high if math.isfinite(ratio.high) else None,
        confidence=ratio.confidence,
        n=ratio.n,
        limit=f"at least {least:.3g} times {than}",
        limit_value=least,
        is_open=decision is Decision.OPEN,
        partner=than,
    )
