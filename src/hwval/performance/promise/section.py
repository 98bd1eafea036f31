"""All questions of speed of a cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from typing import NamedTuple

from hwval.catalogue import Capability
from hwval.performance.promise.bench import BenchLatency
from hwval.performance.promise.bench import BenchServe
from hwval.performance.promise.bench import BenchThroughput
from hwval.performance.promise.loads import ChunkedPrefill
from hwval.performance.promise.loads import ConcurrencySweep
from hwval.performance.promise.loads import FixedBatch
from hwval.performance.promise.loads import KvCacheDtype
from hwval.performance.promise.loads import Offline
from hwval.performance.promise.loads import Partitions
from hwval.performance.promise.loads import PrefixCache
from hwval.performance.promise.loads import Saturation
from hwval.performance.promise.loads import Serving
from hwval.performance.promise.loads import SingleStream
from hwval.performance.promise.loads import Speculative
from hwval.performance.promise.question import Question
from hwval.yamlmodel import YamlModel

__all__ = ["ANSWERS", "PerformanceSection", "Related"]

ANSWERS: Final = "answers"
"""What is compared under speculation, in place of a metric."""


class Related(NamedTuple):
    """Something of a question that is held against the same question of another cell."""

    question: str
    cell: str
    """As the matrix names it."""
    metric: str
    """Name of the metric, or `ANSWERS`."""
    point: float | None
    """Point of a curve; None of a question without, and of a metric that compares points."""


class PerformanceSection(YamlModel):
    """Is it as fast as promised? Each key is a question; what is left out is not asked."""

    single_stream: SingleStream | None = None
    fixed_batch: FixedBatch | None = None
    offline: Offline | None = None
    serving: Serving | None = None
    concurrency_sweep: ConcurrencySweep | None = None
    saturation: Saturation | None = None
    prefix_cache: PrefixCache | None = None
    chunked_prefill: ChunkedPrefill | None = None
    speculative: Speculative | None = None
    kv_cache_dtype: KvCacheDtype | None = None
    partitions: Partitions | None = None
    bench_serve: BenchServe | None = None
    bench_latency: BenchLatency | None = None
    bench_throughput: BenchThroughput | None = None

    @property
    def is_asked(self) -> bool:
        """Whether any question is asked."""
        return any(getattr(self, name) is not None for name in type(self).model_fields)

    def asks(self, question: str, offered: frozenset[Capability]) -> bool:
        """Return whether a question of this suite is asked, given what image and model offer.

        A matrix promises speed for all cells; one that only embeds writes no tokens.
        """
        is_able = bool(offered & {Capability.COMPLETIONS, Capability.CHAT})
        return is_able and getattr(self, question) is not None

    @property
    def partners(self) -> frozenset[str]:
        """Cells that this one is held against, as the matrix names them."""
        return frozenset(one.cell for one in self.relations)

    @property
    def relations(self) -> Iterator[Related]:
        """What is held against which cell, question by question."""
        for name in type(self).model_fields:
            question: Question | None = getattr(self, name)
            for metric, limit, point in () if question is None else question.placed_limits():
                if limit.partner:
                    yield Related(name, limit.partner, metric, point)
        if self.speculative is not None and self.speculative.without is not None:
            yield Related("speculative", self.speculative.without, ANSWERS, None)
