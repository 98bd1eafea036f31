"""What to change so that a cell finds room in memory, and takes all the devices that it has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from hwval.planning.engine_settings import KV_CACHE_FLAG
from hwval.planning.engine_settings import EngineSettings
from hwval.planning.interval import GIB_BYTES
from hwval.planning.memory import Fit
from hwval.planning.memory import MemoryPlan
from hwval.planning.parallelism import Parallelism
from hwval.planning.partition import Partition
from hwval.planning.refusal import Note

__all__ = ["IDLE_RULE", "advice_of", "idle_note"]

IDLE_RULE: Final = "devices"
"""Rule of the note that tells of devices without work."""


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


def idle_note(
    hardware: str, count: int, parallelism: Parallelism, *, can_spread: bool, fits: bool
) -> tuple[Note, ...]:
    """Return that devices of a cell are left idle, and what to write; nothing if none are.

    Args:
        hardware: Name of its hardware.
        count: Devices that it has, >= 1.
        parallelism: How its engine is spread.
        can_spread: Whether the model can be divided among all of them.
        fits: Whether it may find room on those that it takes.
    """
    ranks = parallelism.ranks
    if ranks >= count:
        return ()
    copies = parallelism.pipeline * parallelism.data
    remedies = []
    if can_spread and not count % copies:
        remedies.append(f"`engine: {{tensor-parallel-size: {count // copies}}}`")
    if fits:
        remedies.append(f"`hardware: {hardware}{f' x{ranks}' if ranks > 1 else ''}`")
    write = f"; write {' or '.join(remedies)}" if remedies else ""
    text = f"the engine takes {ranks} of the {count} devices of this cell{write}"
    return (Note(IDLE_RULE, text),)


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
