"""Questions that are one load, or one load at each of several rates."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hwval.load import Goals
from hwval.load.schedule import Rate
from hwval.performance.campaign import Scene
from hwval.performance.measurement import Round
from hwval.performance.promise import FixedBatch
from hwval.performance.promise import KvCacheDtype
from hwval.performance.promise import Offline
from hwval.performance.promise import Serving
from hwval.performance.promise import SingleStream
from hwval.performance.promise import Speculative
from hwval.performance.questions.asked import Asked
from hwval.performance.questions.asked import Checks

__all__ = ["fixed_batch", "kv_cache_dtype", "offline", "serving", "single_stream", "speculative"]

# vLLM takes so many requests at a time on most devices unless it is told otherwise (max-num-seqs).
_MOST_AT_ONCE: Final = 256


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

    return asked.campaign.measure([replace(loads, play=play)], section.looks, section.max_duration)


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
        # Where arrivals outrun the engine, all of them are there at the same time.
        prepare=asked.warm_up(section, name, min(section.requests, _MOST_AT_ONCE)),
        limits=section.limits_of(rate_per_s),
        ceiling=asked.ceiling(section, section.requests),
        rate_per_s=rate_per_s,
    )


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
