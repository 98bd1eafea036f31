"""What to change so that a cell finds room in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hwval.planning.engine_settings import KV_CACHE_FLAG
from hwval.planning.engine_settings import EngineSettings
from hwval.planning.interval import GIB_BYTES
from hwval.planning.memory import Fit
from hwval.planning.memory import MemoryPlan
from hwval.planning.partition import Partition

__all__ = ["advice_of"]


def advice_of(
    memory: MemoryPlan, tensor: int | None, settings: EngineSettings, partition: Partition | None
) -> tuple[str, ...]:
    """Return what would make a cell's memory suffice; nothing for one that fits.

    Args:
        memory: The memory of one rank.
        tensor: The smallest tensor-parallel size that surely fits; None if none does.
        settings: How the engine is started.
        partition: What part of an accelerator each device is; None for a whole one.
    """
    if memory.fit is Fit.RUN:
        return ()
    found = []
    surely, perhaps = memory.longest_tokens
    if 0 < surely < memory.length_tokens:
        found.append(f"--max-model-len {surely} fits")
    elif 0 < perhaps < memory.length_tokens:
        found.append(f"--max-model-len {perhaps} may fit")
    if memory.asked_bytes is not None:
        found.extend(_cache_sizes(memory))
    if tensor is not None:
        devices = tensor * settings.parallelism.pipeline * settings.parallelism.data
        where = f"{devices} such devices" if partition is None else partition.count(devices)
        found.append(f"--tensor-parallel-size {tensor} fits, on {where}")
    return tuple(found)


def _cache_sizes(memory: MemoryPlan) -> Iterator[str]:
    """Yield the sizes of the cache that hold a request and surely fit, if there are any.

    ``VLLM_CPU_KVCACHE_SPACE`` is whole GiB; the flag's G is one, too.
    """
    least = max(1, math.ceil(memory.needed_bytes / GIB_BYTES))
    most = math.floor(memory.left_bytes.low / GIB_BYTES)
    if least > most:
        return
    unit = "G" if memory.cache_key == KV_CACHE_FLAG else ""
    sizes = f"{least}{unit}" if least == most else f"{least}{unit}..{most}{unit}"
    yield f"{memory.cache_key} {sizes} fits"
