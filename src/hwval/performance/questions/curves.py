"""Questions about throughput against load: it grows, bends, and must not break down."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hwval.load.schedule import Rate
from hwval.performance.campaign import Campaign
from hwval.performance.campaign import Scene
from hwval.performance.campaign import at_point
from hwval.performance.curve import find_knee
from hwval.performance.curve import worst_drop
from hwval.performance.measurement import Round
from hwval.performance.promise import ConcurrencySweep
from hwval.performance.promise import Saturation
from hwval.performance.questions.asked import Asked
from hwval.performance.questions.asked import Checks
from hwval.performance.questions.asked import derived_checks
from hwval.performance.questions.asked import others_than
from hwval.stats import Looks
from hwval.threshold import Check
from hwval.threshold import judge_ratio

__all__ = ["concurrency_sweep", "saturation"]

_KNEE: Final = "knee_concurrency"
_BEYOND: Final = "throughput still grows at the last concurrency; the knee may lie beyond"
_RATE: Final = "output_tokens_per_s"
_SPEEDUP: Final = "speedup"


def concurrency_sweep(section: ConcurrencySweep, asked: Asked) -> Checks:
    """Throughput against concurrency: the points take turns, so that drift bends no curve."""
    scenes = [
        asked.closed(
            section,
            f"concurrency {many}",
            requests=many * section.requests_per_stream,
            concurrency=many,
            limits=others_than(_KNEE, section.limits_of(float(many))),
            concurrency_shown=many,
        )
        for many in section.concurrencies
    ]

    def compare(campaign: Campaign, looks: Looks) -> Iterator[Check]:
        rows = campaign.paired(_RATE, *(scene.name for scene in scenes))
        found = [find_knee(section.at, row, section.knee_gain) for row in rows]
        if not all(is_reached for _, is_reached in found) and _BEYOND not in campaign.notes:
            campaign.notes.append(_BEYOND)
        knees = [knee for knee, _ in found]
        yield from derived_checks(campaign, section, _KNEE, knees, looks)
        if len(scenes) > 1:
            yield _shape(section, _turned(rows, len(scenes)), looks)

    return asked.campaign.measure(scenes, section.looks, section.max_duration, compare=compare)


def _shape(section: ConcurrencySweep, curves: Sequence[Sequence[float]], looks: Looks) -> Check:
    """Return whether throughput breaks down behind its best point."""
    drop = worst_drop(curves, section.tolerance, looks.confidence) if curves[0] else None
    at, best = (len(curves) - 1, 0) if drop is None else (drop.at, drop.best)
    where, than = (f"concurrency {section.concurrencies[place]}" for place in (at, best))
    confidence = looks.confidence if drop is None else drop.ratio.confidence
    return _held(curves[at], curves[best], section.tolerance, confidence, where=where, than=than)


def saturation(section: Saturation, asked: Asked) -> Checks:
    """More requests arrive than can be answered; what the engine does at its best is the scale.

    All requests at once may be one batch, of which the engine is never full. Then arrivals take
    time that no engine can make up for, and the scale is what its best would make of them.
    """
    arrivals_s: dict[int, float] = {}
    best, over = "at its best", f"{section.overload:g} times as many arrivals"
    campaign, player = asked.campaign, asked.player
    calm = asked.closed(
        section, best, requests=section.requests, concurrency=section.requests, limits={}
    )

    def play(number: int) -> Round:
        # Of this round or the ones before: the order of the two changes from round to round.
        rates = campaign.values(best, "request_per_s")
        if not rates:  # a guess could be less than it answers, and no overload
            why = f"no round {best} counts yet: what overloads it is unknown"
            return _unplayed(over, number, why)
        rate_per_s = section.overload * statistics.fmean(rates)
        workload = replace(
            asked.workload(section, over, number, section.requests),
            rate=Rate(rate_per_s, rate_per_s),
        )
        plan = player.plan(workload, concurrency=None, rate_per_s=rate_per_s)
        times_s = [one.at_s or 0.0 for one in plan.asks]
        arrivals_s[number] = max(times_s) - min(times_s)
        return player.round(over, number, plan)

    loaded = Scene(
        name=over,
        play=play,
        limits=others_than(_SPEEDUP, section.limits),
        ceiling=asked.ceiling(section, section.requests),
    )

    def compare(campaign: Campaign, looks: Looks) -> Iterator[Check]:
        calm_rounds = {one.number: one for one in campaign.valid(best)}
        ttft_s = min(player.ttft_values_s.get(best, ()), default=0.0)
        rows = [
            (one.client[_RATE], _best_of(calm_rounds[one.number], ttft_s, arrivals_s[one.number]))
            for one in campaign.valid(over)
            if one.number in calm_rounds
        ]
        found = [above / below for above, below in rows]
        yield from derived_checks(campaign, section, _SPEEDUP, found, looks)
        own, other = _turned(rows, 2)
        yield _held(own, other, section.tolerance, looks.confidence, where=over, than=best)

    return campaign.measure([calm, loaded], section.looks, section.max_duration, compare=compare)


def _best_of(calm: Round, ttft_s: float, arrival_s: float) -> float:
    """Return the throughput of an engine at its best, of requests that take time to arrive.

    It cannot end before the last one has come and was answered.

    Args:
        calm: A round of all requests at once.
        ttft_s: Time to first token of a request that waits for no other.
        arrival_s: When the last of them arrives, seconds after the first.
    """
    calm_s = calm.duration_s or 0.0
    answer_s = ttft_s + calm.client["e2el_mean_s"] - calm.client["ttft_mean_s"]
    return calm.client[_RATE] * calm_s / max(calm_s, arrival_s + answer_s)


def _unplayed(point: str, number: int, why: str) -> Round:
    return Round(
        point=point, number=number, duration_s=None, requests=0, valid=False, why_invalid=(why,)
    )


def _held(
    own: Sequence[float],
    other: Sequence[float],
    tolerance: float,
    confidence: float,
    *,
    where: str,
    than: str,
) -> Check:
    """Return whether throughput at a point is that at another one, less the tolerance."""
    least = 1 - tolerance
    check = judge_ratio(_RATE, least, own, other, than=than, confidence=confidence, paired=True)
    return at_point(where, check)


def _turned(rows: Sequence[Sequence[float]], points: int) -> list[list[float]]:
    """Return the values of each point, from those of each round."""
    return [[row[place] for row in rows] for place in range(points)]
