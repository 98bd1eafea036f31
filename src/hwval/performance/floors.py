"""What no engine could keep: promises of speed beyond what the roofline allows."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import Final
from typing import NamedTuple

from hwval.load.lengths import Lengths
from hwval.performance.ceilings import Roofline
from hwval.performance.promise import BenchLatency
from hwval.performance.promise import BenchServe
from hwval.performance.promise import BenchThroughput
from hwval.performance.promise import ChunkedPrefill
from hwval.performance.promise import ConcurrencySweep
from hwval.performance.promise import FixedBatch
from hwval.performance.promise import KvCacheDtype
from hwval.performance.promise import Offline
from hwval.performance.promise import PerformanceSection
from hwval.performance.promise import PrefixCache
from hwval.performance.promise import Question
from hwval.performance.promise import Saturation
from hwval.performance.promise import Serving
from hwval.performance.promise import SingleStream
from hwval.threshold import METRICS
from hwval.threshold import Limit

__all__ = ["impossible_promises"]


class _Point(NamedTuple):
    """A place of a workload: its requests at a time at most, and what is promised there."""

    batch: int
    limits: Mapping[str, Limit]
    is_cached: bool = False


def impossible_promises(
    section: PerformanceSection, roofline: Roofline, *, doubt: float = 1.0
) -> Iterator[str]:
    """Yield what is promised and physically impossible, with both numbers.

    Args:
        section: What a cell promises.
        roofline: What its hardware allows.
        doubt: How many times faster than its figures the hardware may be, >= 1.
    """
    for name in type(section).model_fields:
        question = getattr(section, name)
        for point in _points(question):
            lengths = question.input_tokens, question.output_tokens
            ceilings = roofline.at(
                batch=point.batch,
                input_tokens=_shortest(lengths[0]),
                output_tokens=_shortest(lengths[1]),
                is_cached=point.is_cached,
            )
            for problem in _beyond(point.limits, ceilings, doubt):
                yield f"promises.performance.{name}: {problem} (batch of {point.batch} at most)"


def _points(question: Question | None) -> Iterator[_Point]:
    if isinstance(question, Serving):
        yield from (_Point(question.requests, question.limits_of(rate)) for rate in question.at)
    elif isinstance(question, ConcurrencySweep):
        yield from (_Point(round(many), question.limits_of(many)) for many in question.at)
    elif question is not None and type(question) in _BATCH:
        batch = _BATCH[type(question)](question)
        yield _Point(batch, question.limits, is_cached=isinstance(question, PrefixCache))


# Most requests at a time. Speculation and partitions are missing: what they make is not bounded
# by the steps of one instance.
_BATCH: Final[Mapping[type[Question], Callable[[Any], int]]] = {
    SingleStream: lambda _: 1,
    FixedBatch: lambda one: one.batch,
    BenchLatency: lambda one: one.batch,
    Offline: lambda one: one.requests,
    Saturation: lambda one: one.requests,
    BenchThroughput: lambda one: one.requests,
    BenchServe: lambda one: one.requests,
    KvCacheDtype: lambda one: one.concurrency,
    PrefixCache: lambda one: one.concurrency,
    ChunkedPrefill: lambda one: one.streams + one.long_requests,
}


def _shortest(tokens: Lengths | int) -> int:
    return tokens if isinstance(tokens, int) else tokens.low_tokens


def _beyond(
    limits: Mapping[str, Limit], ceilings: Mapping[str, float], doubt: float
) -> Iterator[str]:
    for name, limit in limits.items():
        metric, bound, ceiling = METRICS[name], limit.bound, ceilings.get(name)
        if bound is None or ceiling is None:
            continue
        is_beyond = bound > ceiling * doubt if metric.higher_is_better else bound < ceiling / doubt
        if is_beyond:
            word = "at least" if metric.higher_is_better else "at most"
            limit_word = "at most" if metric.higher_is_better else "at least"
            yield (
                f"{name}: {word} {metric.format(bound)} is promised, the roofline allows "
                f"{limit_word} {metric.format(ceiling)}"
            )
