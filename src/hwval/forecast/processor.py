"""The cache of an engine on a processor, which lies in the host's own memory.

Sources: vLLM 0.32.0, ``platforms/cpu.py`` check_and_update_config (the variable, which stands over
the flag) and ``v1/worker/cpu_worker.py`` determine_available_memory (the share without it).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from hwval.catalogue import Vendor
from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import Version
from hwval.planning.interval import GIB_BYTES
from hwval.planning.memory import Fit
from hwval.planning.memory import MemoryPlan
from hwval.planning.plan import Accelerator
from hwval.planning.refusal import Note
from hwval.planning.refusal import Refusal
from hwval.units import format_bytes
from hwval.units import parse_bytes

__all__ = ["CACHE_RULE", "CACHE_SPACE", "cache_note", "space_gib", "space_refusals"]

CACHE_SPACE: Final = "VLLM_CPU_KVCACHE_SPACE"
CACHE_RULE: Final = "host-memory"
# A share up to this leaves a host enough for its other programs: whoever wrote it thought of them.
_MODEST_SHARE: Final = 0.5
_MOST_GIB: Final = 2**20
# Where the model's need is not known: what engines before 0.25 took (0.11.0, ``platforms/cpu.py``).
_USUAL_GIB: Final = 4


def space_gib(environment: Mapping[str, str]) -> int | None:
    """Return what ``VLLM_CPU_KVCACHE_SPACE`` asks for, in GiB, > 0.

    None where it is not set, is empty or 0, or is a value that `space_refusals` tells of.
    """
    try:
        found = int(environment.get(CACHE_SPACE, ""))
    except ValueError:
        return None
    return found if 0 < found < _MOST_GIB else None


def space_refusals(
    environment: Mapping[str, str], vendor: Vendor, version: Version | None
) -> tuple[Refusal, ...]:
    """Return whether an engine on a processor refuses the variable's value.

    All releases read a whole number. 0 was 4 GiB before 0.25; 0.32 makes a cache of nothing.

    Args:
        environment: Variables of the engine.
        vendor: Whose software drives the hardware; others than processors do not read it.
        version: Release of vLLM; None for an unknown one.
    """
    value = environment.get(CACHE_SPACE, "")
    if vendor is not Vendor.CPU or not value or space_gib(environment):
        return ()
    try:
        is_zero = int(value) == 0
    except ValueError:
        is_zero = False
    if is_zero and version is not None and version < (0, 25):
        return ()
    text = f"{CACHE_SPACE} is {value!r}; write {_meant(value)}, a whole number; GiB are meant"
    is_certain = not is_zero or (version is not None and version >= (0, 32))
    return (Refusal("cache-space", text, is_certain),)


def cache_note(
    environment: Mapping[str, str],
    settings: EngineSettings,
    accelerator: Accelerator,
    memory: MemoryPlan | None,
) -> tuple[Note, ...]:
    """Return that an engine takes most of the host's memory for its cache, if nobody limits it.

    Args:
        environment: Variables of the engine.
        settings: How the engine is started.
        accelerator: What it runs on.
        memory: What was planned; None where the model is not known.
    """
    device = accelerator.memory
    is_told = environment.get(CACHE_SPACE) or settings.kv_cache_memory_bytes is not None
    if device.vendor != Vendor.CPU or is_told or settings.utilization <= _MODEST_SHARE:
        return ()
    most, gib = device.capacity_bytes * settings.utilization, _USUAL_GIB
    if memory is not None:
        if memory.fit is Fit.IMPOSSIBLE or not memory.needed_bytes:
            return ()
        most, gib = memory.available_bytes.high, math.ceil(memory.needed_bytes / GIB_BYTES)
    text = (
        f"nothing limits the cache: the engine takes up to {format_bytes(round(most))} of "
        f"{format_bytes(device.capacity_bytes)} for it, and other programs may be killed; "
        f"set `environment: {{{CACHE_SPACE}: {gib}}}` (GiB) or more"
    )
    return (Note(CACHE_RULE, text),)


def _meant(value: str) -> int:
    """Return the whole GiB that somebody meant, 1 and more; as many as are usual if unclear."""
    for text in (value, f"{value.rstrip('GgIiBb ')} GiB"):
        try:
            gib = math.ceil(parse_bytes(text) / GIB_BYTES)
        except (ValueError, OverflowError):
            continue
        if 0 < gib < _MOST_GIB:
            return gib
    return _USUAL_GIB
