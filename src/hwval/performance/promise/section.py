"""All questions of speed of a cell."""

from __future__ import annotations

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
from hwval.yamlmodel import YamlModel

__all__ = ["PerformanceSection"]


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
        sections = [getattr(self, name) for name in type(self).model_fields]
        limits = (
            limit
            for section in sections
            if section is not None
            for _, limit in section.all_limits()
        )
        named = {limit.partner for limit in limits if limit.partner}
        if self.speculative is not None and self.speculative.without is not None:
            named.add(self.speculative.without)
        return frozenset(named)
