"""What a matrix may promise of speed: a workload and its limits for each question.

A question is asked only where its section stands in the matrix. A section without limits is
measured and recorded, and nothing is judged.
"""

from __future__ import annotations

from hwval.performance.promise.bench import BenchLatency
from hwval.performance.promise.bench import BenchServe
from hwval.performance.promise.bench import BenchThroughput
from hwval.performance.promise.loads import ChunkedPrefill
from hwval.performance.promise.loads import ConcurrencySweep
from hwval.performance.promise.loads import FixedBatch
from hwval.performance.promise.loads import Goals
from hwval.performance.promise.loads import KvCacheDtype
from hwval.performance.promise.loads import Offline
from hwval.performance.promise.loads import Partitions
from hwval.performance.promise.loads import PrefixCache
from hwval.performance.promise.loads import Saturation
from hwval.performance.promise.loads import Serving
from hwval.performance.promise.loads import SingleStream
from hwval.performance.promise.loads import Speculative
from hwval.performance.promise.question import Curve
from hwval.performance.promise.question import LoadQuestion
from hwval.performance.promise.question import Question
from hwval.performance.promise.section import ANSWERS
from hwval.performance.promise.section import PerformanceSection
from hwval.performance.promise.section import Related

__all__ = [
    "ANSWERS",
    "BenchLatency",
    "BenchServe",
    "BenchThroughput",
    "ChunkedPrefill",
    "ConcurrencySweep",
    "Curve",
    "FixedBatch",
    "Goals",
    "KvCacheDtype",
    "LoadQuestion",
    "Offline",
    "Partitions",
    "PerformanceSection",
    "PrefixCache",
    "Question",
    "Related",
    "Saturation",
    "Serving",
    "SingleStream",
    "Speculative",
]
