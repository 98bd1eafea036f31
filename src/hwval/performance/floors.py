"""Promises of speed that nothing comes of: no engine can keep them, break them or tell."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from itertools import chain
from typing import Any
from typing import Final
from typing import NamedTuple

from hwval.cell import Cell
from hwval.performance.bounds import Bound
from hwval.performance.bounds import bounds_of
from hwval.performance.bounds import deadline_of
from hwval.performance.bounds import lengths_of
from hwval.performance.ceilings import Roofline
from hwval.performance.promise import BenchLatency
from hwval.performance.promise import BenchServe
from hwval.performance.promise import BenchThroughput
from hwval.performance.promise import ChunkedPrefill
from hwval.performance.promise import ConcurrencySweep
from hwval.performance.promise import FixedBatch
from hwval.performance.promise import KvCacheDtype
from hwval.performance.promise import Offline
from hwval.performance.promise import Partitions
from hwval.performance.promise import PerformanceSection
from hwval.performance.promise import PrefixCache
from hwval.performance.promise import Question
from hwval.performance.promise import Saturation
from hwval.performance.promise import Serving
from hwval.performance.promise import SingleStream
from hwval.performance.promise import Speculative
from hwval.threshold import METRICS
from hwval.threshold import Limit
from hwval.threshold import Metric
from hwval.threshold import is_duration
from hwval.units import format_duration_s

__all__ = ["impossible_promises"]

# Fewer than so many milliseconds are hardly written without a unit.
_LEAST_MS: Final = 10


class _Point(NamedTuple):
    """A place of a workload: its requests, those at a time at most, and what is promised there."""

    at: float | None
    requests: int
    batch: int
    limits: Mapping[str, Limit]


class _Asked(NamedTuple):
    """A number of a promise that rounds are held against."""

    key: str
    metric: Metric
    value: float
    has_unit: bool


def impossible_promises(
    section: PerformanceSection,
    roofline: Roofline | None = None,
    *,
    doubt: float = 1.0,
    cell: Cell | None = None,
) -> Iterator[str]:
    """Yield what is promised and means nothing, with both numbers and what to write instead.

    Args:
        section: What a cell promises.
        roofline: What its hardware allows; None where that is not known.
        doubt: How many times faster than its figures the hardware may be, >= 1.
        cell: How its engine is started; None where that is not known.
    """
    for name in type(section).model_fields:
        question = getattr(section, name)
        if question is None:
            continue
        points = list(_points(question))
        found = [_of_point(question, point, roofline, doubt, cell) for point in points]
        times = () if roofline is None else _too_short(question, points, roofline, doubt)
        for problem in dict.fromkeys(chain(*found, times)):
            yield f"promises.performance.{name}: {problem}"


def _of_point(
    question: Question,
    point: _Point,
    roofline: Roofline | None,
    doubt: float,
    cell: Cell | None,
) -> Iterator[str]:
    numbers = [*_of_limits(point.limits), *_of_goals(question)]
    if not point.limits and not numbers:
        return
    yield from _of_one_request(point)
    bounds = list(bounds_of(question, point.at, cell))
    if roofline is not None:
        ceilings = _ceilings(question, point, roofline)
        yield from _without_ceiling(point.limits, ceilings, roofline)
        words = f"by the roofline, with a batch of {point.batch} at most"
        for name, value in ceilings.items():
            most = value * doubt if METRICS[name].higher_is_better else value / doubt
            bounds.append(Bound(name, "best", most, words))
    for bound in bounds:
        if bound.kind == "never" and bound.metric in point.limits:
            yield f"{bound.metric} is never measured: {bound.because}, or promise nothing of it"
    for asked in numbers:
        for bound in bounds:
            if bound.metric == asked.metric.name and (problem := _problem(asked, bound)):
                yield problem


def _without_ceiling(
    limits: Mapping[str, Limit], ceilings: Mapping[str, float], roofline: Roofline
) -> Iterator[str]:
    if roofline.ceiling.prefill_tokens_per_s is None:
        return  # its figures are not all known, and may be known elsewhere
    for name, limit in limits.items():
        if limit.of_ceiling is None or name in ceilings:
            continue
        instead = "a floor" if METRICS[name].higher_is_better else "a ceiling"
        why = "the roofline does not bound it here"
        if roofline.is_speculative:
            why = "a step of speculative decoding may answer several tokens"
            # What a variant does not write it has from the others.
            instead += " and `of_ceiling: null` in this variant, or null for the whole section"
        yield f"{name}: of_ceiling is part of nothing, since {why}; write {instead}"


def _of_one_request(point: _Point) -> Iterator[str]:
    for name in point.limits if point.requests == 1 else ():
        if METRICS[name].fewest_requests > 1:
            kind = name.partition("_")[0]
            why = "a round has 1 request, which is every percentile of it"
            yield f"{name}: {why}; promise {kind}_mean_s, or let a round have more requests"


def _of_limits(limits: Mapping[str, Limit]) -> Iterator[_Asked]:
    for name, limit in limits.items():
        for key, value in limit.demands(METRICS[name]).items():
            has_unit = key == "baseline" or is_duration(value)
            yield _Asked(f"{name}: {key}", METRICS[name], value, has_unit)


def _of_goals(question: Question) -> Iterator[_Asked]:
    """Yield what each request has to keep; a round's mean keeps it where all requests do."""
    if isinstance(question, Serving) and question.goals is not None:
        for kind, value in question.goals.model_dump().items():
            if value is not None:
                yield _Asked(f"goals: {kind}", METRICS[f"{kind}_mean_s"], value, True)


def _problem(asked: _Asked, bound: Bound) -> str | None:
    """Return why a number cannot be broken or kept, None if it can be both."""
    metric = asked.metric
    more = metric.higher_is_better
    if bound.kind == "best" and _is_better(metric, asked.value, bound.value):
        word, other, instead = ("least", "most", "less") if more else ("most", "least", "more")
        number, possible = metric.format(asked.value), metric.format(bound.value)
        asks = f"{asked.key} asks for at {word} {number}, possible is at {other} {possible}"
        return f"{asks} ({bound.because}); write that or {instead}"
    if bound.kind == "worst" and not _is_better(metric, asked.value, bound.value):
        number, reached = metric.format(asked.value), metric.format(bound.value)
        instead = f"write {'more' if more else 'less'} than {reached}"
        if _may_be_ms(asked, bound.value):
            instead += f", or {asked.value:g} ms if that is meant"
        instead += f", or raise {bound.key}" if bound.key else ""
        return f"{asked.key} of {number} can never be missed: {bound.because}; {instead}"
    return None


def _may_be_ms(asked: _Asked, reached_s: float) -> bool:
    """Return whether a number of seconds was likelier meant as milliseconds."""
    is_plain = asked.metric.unit == "s" and not asked.has_unit
    return is_plain and _LEAST_MS <= asked.value < 1000 * reached_s


def _is_better(metric: Metric, value: float, than: float) -> bool:
    return value > than if metric.higher_is_better else value < than


def _points(question: Question) -> Iterator[_Point]:
    if isinstance(question, Serving):
        for rate in question.at:
            yield _Point(rate, question.requests, question.requests, question.limits_of(rate))
    elif isinstance(question, ConcurrencySweep):
        for many in question.at:
            requests = round(many) * question.requests_per_stream
            yield _Point(many, requests, round(many), question.limits_of(many))
    else:
        requests, batch = _SHAPES[type(question)](question)
        yield _Point(None, requests, batch, question.limits)


# Requests of a round, and those at a time at most.
_SHAPES: Final[Mapping[type[Question], Callable[[Any], tuple[int, int]]]] = {
    SingleStream: lambda one: (one.requests, 1),
    Speculative: lambda one: (one.requests, 1),
    FixedBatch: lambda one: (one.batch, one.batch),
    BenchLatency: lambda one: (one.batch, one.batch),
    Offline: lambda one: (one.requests, one.requests),
    Saturation: lambda one: (one.requests, one.requests),
    BenchThroughput: lambda one: (one.requests, one.requests),
    BenchServe: lambda one: (one.requests, min(one.requests, one.max_concurrency or one.requests)),
    KvCacheDtype: lambda one: (one.requests, min(one.requests, one.concurrency)),
    PrefixCache: lambda one: (one.requests, min(one.requests, one.concurrency)),
    ChunkedPrefill: lambda one: (one.streams, one.streams + one.long_requests),
    Partitions: lambda one: (one.instances * one.requests, one.instances * one.concurrency),
}
# Prompts may have been read before: they share a beginning, or are the same in every round.
_CACHED: Final = (PrefixCache, BenchLatency, BenchServe, BenchThroughput)
_OF_ALL_INSTANCES: Final = frozenset(
    {"input_tokens_per_s", "output_tokens_per_s", "request_per_s", "total_tokens_per_s"}
)


def _ceilings(question: Question, point: _Point, roofline: Roofline) -> dict[str, float]:
    instances = question.instances if isinstance(question, Partitions) else 1
    ceilings = roofline.at(
        batch=max(1, point.batch // instances),
        input_tokens=lengths_of(question, "input_tokens").low_tokens,
        output_tokens=lengths_of(question, "output_tokens").low_tokens,
        is_cached=isinstance(question, _CACHED),
    )
    return {
        name: value * (instances if name in _OF_ALL_INSTANCES else 1)
        for name, value in ceilings.items()
    }


def _too_short(
    question: Question, points: list[_Point], roofline: Roofline, doubt: float
) -> Iterator[str]:
    """Yield times that are shorter than the roofline lets rounds be: none would count."""
    least_s = []
    for point in points:
        rate_per_s = _ceilings(question, point, roofline).get("request_per_s")
        if rate_per_s is None:
            return
        least_s.append(point.requests / rate_per_s / doubt)
    key, allowed_s, many = deadline_of(question)
    longest_s = many * max(least_s)
    if longest_s > allowed_s:
        what = "a round takes" if many == 1 else f"{many} iterations take"
        yield _raise(key, allowed_s, what, longest_s)
    budget_s: float | None = getattr(question, "max_duration", None)
    rounds = question.looks.first
    mean_s = sum(least_s) / len(least_s)
    if budget_s is not None and rounds * mean_s > budget_s:
        yield _raise("max_duration", budget_s, f"{rounds} rounds take", rounds * mean_s)


def _raise(key: str, found_s: float, what: str, least_s: float) -> str:
    found, least = format_duration_s(found_s), format_duration_s(least_s)
    return f"{key} is {found}, and {what} at least {least} by the roofline; raise it"
