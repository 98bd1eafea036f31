"""Is the engine as fast as promised?

Workloads and limits stand in the matrix. Each question repeats its measurement until its limits
are decided or its budget is spent; what failed, throttled or was held up by the load generator is
no measurement, and never a fast one.
"""

from __future__ import annotations

import pytest

from fixtures.bench import Bench
from fixtures.performance import BATCH_CLOCK
from fixtures.performance import Speed
from fixtures.record import Record

pytestmark = pytest.mark.performance


def test_single_stream(speed: Speed, record: Record) -> None:
    """One request at a time decodes and begins as fast as promised."""
    record.judge(speed.single_stream())


@pytest.mark.benchmark(group="fixed batch", timer=BATCH_CLOCK)
def test_fixed_batch(speed: Speed, record: Record, benchmark: object) -> None:
    """A batch of requests of one length is answered as fast as promised."""
    record.judge(speed.fixed_batch(benchmark))


def test_offline(speed: Speed, record: Record) -> None:
    """Everything at once gives the promised throughput."""
    record.judge(speed.offline())


def test_serving(speed: Speed, record: Record) -> None:
    """Requests that arrive at given rates wait no longer than promised."""
    record.judge(speed.serving())


def test_concurrency_sweep(speed: Speed, record: Record) -> None:
    """Throughput grows with concurrency up to a knee, and does not break down behind it."""
    record.judge(speed.concurrency_sweep())


def test_saturation(speed: Speed, record: Record) -> None:
    """Under more requests than it can answer, the engine answers them all, as fast as ever."""
    record.judge(speed.saturation())


def test_prefix_cache(speed: Speed, record: Record) -> None:
    """Prompts that begin alike are found in the prefix cache, and begin sooner for it."""
    record.judge(speed.prefix_cache())


def test_chunked_prefill(speed: Speed, record: Record) -> None:
    """Long prompts hold running streams up no more than promised."""
    record.judge(speed.chunked_prefill())


def test_speculative(speed: Speed, record: Record) -> None:
    """Speculative decoding keeps as many drafted tokens as promised, and changes no answer."""
    checks = speed.speculative()

    # An answer that changed weighs more than a rate that is not decided.
    assert speed.changed_answers == ()
    record.judge(checks)


def test_kv_cache_dtype(speed: Speed, record: Record) -> None:
    """Long contexts are as fast, and the KV cache is as roomy, as its data type promises."""
    record.judge(speed.kv_cache_dtype())


def test_partitions(speed: Speed, record: Record) -> None:
    """Several instances on devices of their own add up to the promised throughput."""
    record.judge(speed.partitions())


def test_bench_serve(bench_beside: Bench, record: Record) -> None:
    """`vllm bench serve` beside the engine reports what is promised."""
    record.judge(bench_beside.serve())


# The two that follow need the devices for themselves and come last: the engine is removed.


def test_bench_latency(bench_alone: Bench, record: Record) -> None:
    """`vllm bench latency` of the same vLLM reports what is promised."""
    record.judge(bench_alone.latency())


def test_bench_throughput(bench_alone: Bench, record: Record) -> None:
    """`vllm bench throughput` of the same vLLM reports what is promised."""
    record.judge(bench_alone.throughput())
