"""Whether a model fits: weights, cache and overhead against the share of the device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from dataclasses import replace
from enum import StrEnum
from typing import Final

from hwval.planning.config_values import ShapeError
from hwval.planning.engine_settings import KV_CACHE_FLAG
from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import MemoryDevice
from hwval.planning.interval import GIB_BYTES
from hwval.planning.interval import Interval
from hwval.planning.kv_cache import DEFAULT_BLOCK_TOKENS
from hwval.planning.kv_cache import KvCache
from hwval.planning.kv_cache import kv_cache_of
from hwval.planning.model_shape import ModelShape
from hwval.planning.overhead import overhead_of
from hwval.planning.quantization import Quantization
from hwval.planning.refusal import Refusal
from hwval.planning.storage import Allocator
from hwval.planning.weights import Weights
from hwval.planning.weights import weights_of
from hwval.units import format_bytes

__all__ = ["Cause", "Fit", "MemoryPlan", "files_refusal", "plan_memory"]

_CPU_BLOCK_TOKENS: Final = 128
# Graphs that are not part of the share need memory beside it: about this much for the usual sizes
# of batches in half of the logs, and little where batches are small.
_GRAPHS_OUTSIDE_BYTES: Final = 1.0 * GIB_BYTES
_SMALL_GRAPHS_OUTSIDE_BYTES: Final = 0.2 * GIB_BYTES
_SMALL_BATCH: Final = 8


class Fit(StrEnum):
    """Whether an engine's memory suffices."""

    RUN = "run"
    """Even with the largest overhead that is believed."""
    UNCERTAIN = "uncertain"
    """The bounds lie on both sides of what is needed."""
    IMPOSSIBLE = "impossible"
    """Not even with the smallest overhead."""


class Cause(StrEnum):
    """What decided whether an engine's memory suffices."""

    WEIGHTS = "weights"
    """The weights alone are too much."""
    CACHE = "cache"
    """What is left for the cache, against one request."""
    GRAPHS = "graphs"
    """Graphs are captured outside of the engine's share, and there is not much outside."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The memory of one rank, in bytes.

    Attributes:
        fit: Whether it suffices.
        cause: What decided that.
        weights: What the weights take.
        overhead_bytes: What else is taken.
        cache: How the cache is laid out.
        capacity_bytes: Memory of the device.
        requested_bytes: Share of it that the engine may take; all of it for a cache of given size.
        available_bytes: What is left for the cache; negative for what is missing of it.
        needed_bytes: What one request of the longest length takes of the cache.
        length_tokens: That length.
        batch_tokens: Tokens of one step.
        asked_bytes: Size that the cell gives the cache; None for what is left of the share.
        cache_key: The flag or variable that says so.
    """

    fit: Fit
    cause: Cause
    weights: Weights
    overhead_bytes: Interval
    cache: KvCache
    capacity_bytes: int
    requested_bytes: int
    available_bytes: Interval
    needed_bytes: int
    length_tokens: int
    batch_tokens: int
    asked_bytes: int | None = None
    cache_key: str = KV_CACHE_FLAG

    @property
    def longest_tokens(self) -> tuple[int, int]:
        """The longest request, up to the asked length, that surely fits and that may fit."""
        surely, perhaps = (
            self.cache.longest_request(available, self.length_tokens, self.batch_tokens)
            for available in (self.available_bytes.low, self.available_bytes.high)
        )
        return surely, perhaps

    @property
    def reason(self) -> str:
        """Why it fits or not, in a sentence with numbers."""
        requested, capacity = self.requested_bytes, self.capacity_bytes
        share = _size(requested)
        if requested < capacity:
            share += f" ({requested / capacity:.0%} of {_size(capacity)})"
        if self.cause is Cause.WEIGHTS:
            return f"weights take {_size(self.weights.bounds_bytes.low)} of {share}"
        if self.cause is Cause.GRAPHS:
            return f"graphs find only {_size(capacity - requested)} beside {share}"
        return self._reason_of_cache(share)

    def _reason_of_cache(self, share: str) -> str:
        need = f"the cache needs {_size(self.needed_bytes)} for one request"
        if self.asked_bytes is None:
            return f"{need}, {self._rest} are left of {share}"
        if self.asked_bytes < self.needed_bytes:
            return f"{need}, {self.cache_key} gives it {_size(self.asked_bytes)}"
        asks = f"{self.cache_key} asks for {_size(self.asked_bytes)}"
        if self.asked_bytes > self.capacity_bytes:
            return f"{asks} of {share}"
        return f"{asks}, {self._rest} are left of {share}"

    @property
    def _rest(self) -> str:
        """What weights and overhead leave for a cache."""
        rest = self.left_bytes
        low, high = (_size(max(0, bound)) for bound in (rest.low, rest.high))
        return low if low == high else f"{low}..{high}"

    @property
    def left_bytes(self) -> Interval:
        """What weights and overhead leave of what the engine may take; negative if too little."""
        return Interval(self.requested_bytes, self.requested_bytes) - self._taken_bytes

    @property
    def _taken_bytes(self) -> Interval:
        return self.weights.bounds_bytes + self.overhead_bytes

    @property
    def required_bytes(self) -> Interval:
        """Weights, overhead and cache: one longest request, or the size that the cell gives it."""
        cache = max(self.needed_bytes, self.asked_bytes or 0)
        return self._taken_bytes + Interval(cache, cache)

    @property
    def margin_bytes(self) -> Interval:
        """What is left over of what the engine may take; negative for what is missing.

        A given cache that is too small for one request is missing the rest of it, whatever is left.
        """
        asked = self.asked_bytes
        if asked is not None and asked < self.needed_bytes:
            return Interval(asked - self.needed_bytes, asked - self.needed_bytes)
        return Interval(self.requested_bytes, self.requested_bytes) - self.required_bytes


def plan_memory(
    shape: ModelShape,
    settings: EngineSettings,
    device: MemoryDevice,
    *,
    quantization: Quantization | None = None,
    draft: ModelShape | None = None,
    files_bytes: int | None = None,
) -> MemoryPlan:
    """Return whether an engine finds room on its devices.

    vLLM 0.32.0: requested = ceil(total x utilization) (``v1/worker/utils.py`` request_memory); the
    cache gets requested - weights - overhead and must hold one request of ``max_model_len``
    (``v1/core/kv_cache_utils.py`` check_enough_kv_cache_memory). ``--kv-cache-memory-bytes``
    replaces the first, as ``VLLM_CPU_KVCACHE_SPACE`` does on CPUs (``cpu_worker.py``).

    Args:
        shape: The model.
        settings: How the engine is started.
        device: What each rank runs on.
        quantization: How the weights are quantized as loaded; None for not at all.
        draft: Draft model of speculative decoding.
        files_bytes: Size of the checkpoint's tensors, if it is known.

    Raises:
        ShapeError: The model's length, or bytes of a format, are not known.
    """
    length = _length(shape, settings)
    weights = _weights(shape, settings, device, quantization, files_bytes)
    if draft is not None:
        extra = _weights(draft, settings, device, draft.quantization, None)
        weights = _sum(weights, extra)
    overhead = overhead_of(shape, settings, device, length)
    cache = kv_cache_of(
        shape,
        settings.parallelism,
        dtype=_kv_dtype(settings, quantization),
        item_bytes=settings.item_bytes,
        block_tokens=_block_tokens(settings, device),
        windows_are_full=settings.windows_are_full,
        draft=draft,
    )
    requested = math.ceil(device.capacity_bytes * settings.utilization)
    taken = weights.bounds_bytes + overhead
    available = Interval(requested, requested) - taken
    if settings.kv_cache_memory_bytes is not None:
        available, requested = _explicit(settings.kv_cache_memory_bytes, device, taken)
    batch = settings.batch_tokens(device, length)
    needed = cache.request_bytes(length, batch)
    fit, cause = _judge(settings, device, requested, weights, available=available, needed=needed)
    return MemoryPlan(
        fit=fit,
        cause=cause,
        weights=weights,
        overhead_bytes=overhead,
        cache=cache,
        capacity_bytes=device.capacity_bytes,
        requested_bytes=requested,
        available_bytes=available,
        needed_bytes=needed,
        length_tokens=length,
        batch_tokens=batch,
        asked_bytes=settings.kv_cache_memory_bytes,
        cache_key=settings.cache_key,
    )


def _length(shape: ModelShape, settings: EngineSettings) -> int:
    if settings.max_model_len_tokens is not None:
        return settings.max_model_len_tokens
    if shape.max_positions is None:
        raise ShapeError("neither the model nor the engine says how long a request may be")
    return shape.max_positions


def _kv_dtype(settings: EngineSettings, quantization: Quantization | None) -> str:
    """Return the cache's type; ``auto`` follows the checkpoint (resolve_kv_cache_dtype_string)."""
    asked = settings.kv_cache_dtype
    return (quantization.kv_cache if quantization and asked == "auto" else "") or asked


def _block_tokens(settings: EngineSettings, device: MemoryDevice) -> int:
    default = _CPU_BLOCK_TOKENS if device.vendor == "cpu" else DEFAULT_BLOCK_TOKENS
    return settings.block_tokens or default


def _weights(
    shape: ModelShape,
    settings: EngineSettings,
    device: MemoryDevice,
    quantization: Quantization | None,
    files_bytes: int | None,
) -> Weights:
    weights = weights_of(
        shape,
        settings.parallelism,
        quantization=quantization,
        item_bytes=settings.item_bytes,
        allocator=Allocator(settings.expandable_segments, device.vendor == "rocm"),
        native_fp8=device.native_fp8,
        files_bytes=files_bytes,
    )
    if not settings.cpu_offload_bytes:
        return weights
    kept = max(0, weights.per_rank_bytes - settings.cpu_offload_bytes)
    moved = min(settings.cpu_offload_bytes, weights.bounds_bytes.low)
    return replace(
        weights,
        per_rank_bytes=kept,
        bounds_bytes=Interval(weights.bounds_bytes.low - moved, weights.bounds_bytes.high - moved),
    )


def _sum(first: Weights, second: Weights) -> Weights:
    return Weights(
        first.per_rank_bytes + second.per_rank_bytes,
        first.bounds_bytes + second.bounds_bytes,
    )


def _explicit(asked_bytes: int, device: MemoryDevice, taken: Interval) -> tuple[Interval, int]:
    """Return what a cache of a given size gets: all of it, or a negative number that is missing."""
    rest = Interval(device.capacity_bytes, device.capacity_bytes) - taken
    low, high = (
        asked_bytes if bound >= asked_bytes else bound - asked_bytes
        for bound in (rest.low, rest.high)
    )
    return Interval(low, high), device.capacity_bytes


def _judge(
    settings: EngineSettings,
    device: MemoryDevice,
    requested: int,
    weights: Weights,
    *,
    available: Interval,
    needed: int,
) -> tuple[Fit, Cause]:
    if weights.bounds_bytes.low > requested:
        return Fit.IMPOSSIBLE, Cause.WEIGHTS
    if available.high < needed or available.high <= 0:
        return Fit.IMPOSSIBLE, Cause.CACHE
    if available.low < needed or available.low <= 0:
        return Fit.UNCERTAIN, Cause.CACHE
    graphs = not settings.enforce_eager and not settings.estimates_graphs
    graphs &= settings.kv_cache_memory_bytes is None
    outside = device.capacity_bytes - requested
    small = settings.seqs(device) <= _SMALL_BATCH
    room = _SMALL_GRAPHS_OUTSIDE_BYTES if small else _GRAPHS_OUTSIDE_BYTES
    if graphs and device.vendor != "cpu" and outside < room:
        return Fit.UNCERTAIN, Cause.GRAPHS
    return Fit.RUN, Cause.CACHE


def _size(size_bytes: float) -> str:
    return format_bytes(round(size_bytes))


def files_refusal(
    files_bytes: int, settings: EngineSettings, device: MemoryDevice
) -> Refusal | None:
    """Return why a model of unknown shape cannot fit by the size of its files alone, if it cannot.

    Ranks divide the files at best evenly; some of them may hold a tenth that is not loaded
    (duplicated heads, layers for speculation).

    Args:
        files_bytes: Size of the checkpoint's tensors.
        settings: How the engine is started.
        device: What each rank runs on.
    """
    least = 0.9 * files_bytes / (settings.parallelism.tensor * settings.parallelism.pipeline)
    least -= settings.cpu_offload_bytes
    budget = device.capacity_bytes * settings.utilization
    if least <= budget:
        return None
    return Refusal("memory", f"the files alone take {_size(least)} a rank of {_size(budget)}")
