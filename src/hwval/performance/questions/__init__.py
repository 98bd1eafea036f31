"""From a section of the matrix to the loads that answer it.

Each function takes a section, a player for the engine and the campaign that keeps what is
measured, and returns what every limit came to.
"""

from __future__ import annotations

from hwval.performance.questions.asked import Asked
from hwval.performance.questions.curves import concurrency_sweep
from hwval.performance.questions.curves import saturation
from hwval.performance.questions.loads import fixed_batch
from hwval.performance.questions.loads import kv_cache_dtype
from hwval.performance.questions.loads import offline
from hwval.performance.questions.loads import serving
from hwval.performance.questions.loads import single_stream
from hwval.performance.questions.loads import speculative
from hwval.performance.questions.pairs import chunked_prefill
from hwval.performance.questions.pairs import prefix_cache
from hwval.performance.questions.partitions import partitions

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
