"""What an engine takes beside weights and cache, as bounds: nobody knows a point.

vLLM measures it: the difference of the device's free memory before the engine and after a step of
``max_num_batched_tokens``, plus the peak of that step (vLLM 0.32.0, ``utils/mem_utils.py``
memory_profiling and ``v1/worker/gpu_worker.py`` determine_available_memory). The activations below
follow from the tensors of that step; the other bounds are round numbers that are wider than what
engines logged.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import MemoryDevice
from hwval.planning.interval import GIB_BYTES
from hwval.planning.interval import Interval
from hwval.planning.interval import total
from hwval.planning.layers import Attention
from hwval.planning.layers import Experts
from hwval.planning.layers import LatentAttention
from hwval.planning.layers import Layer
from hwval.planning.layers import Mlp
from hwval.planning.layers import StateSpace
from hwval.planning.matrices import ceil_div
from hwval.planning.model_shape import ModelShape

__all__ = ["activations_bytes", "logits_bytes", "overhead_of"]

# Driver context, kernels, workspaces of the linear-algebra library (not PyTorch's own memory).
_CONTEXT_BYTES: Final = {
    "cuda": Interval(0.05 * GIB_BYTES, 0.9 * GIB_BYTES),
    "rocm": Interval(0.1 * GIB_BYTES, 1.6 * GIB_BYTES),
    "cpu": Interval(0.3 * GIB_BYTES, 3 * GIB_BYTES),
    "tpu": Interval(0.1 * GIB_BYTES, 2 * GIB_BYTES),
}
# Buffers of NCCL or RCCL and of the custom all-reduce, by having more than one rank at all.
_COLLECTIVES_BYTES: Final = Interval(0.1 * GIB_BYTES, 1.5 * GIB_BYTES)
# What the estimate for graphs came to, where it is subtracted.
_GRAPHS_BYTES: Final = Interval(0, 2 * GIB_BYTES)
# A step of the encoder with the largest input and its cache.
_TOWER_BYTES: Final = Interval(0, 8 * GIB_BYTES)
# Other processes and the page cache move the free memory of a unified device while it is measured.
_UNIFIED_BYTES: Final = Interval(0, 4 * GIB_BYTES)


def overhead_of(
    shape: ModelShape, settings: EngineSettings, device: MemoryDevice, length_tokens: int
) -> Interval:
    """Return what a rank takes beside weights and cache, in bytes.

    Args:
        shape: The model.
        settings: How the engine is started.
        device: What one rank runs on.
        length_tokens: Longest request.
    """
    tokens = settings.batch_tokens(device, length_tokens)
    seqs = min(settings.seqs(device), tokens)
    ranks = settings.parallelism.tensor
    parts = [
        _CONTEXT_BYTES.get(device.vendor, _CONTEXT_BYTES["cuda"]),
        activations_bytes(shape, tokens, ranks, settings.item_bytes),
        logits_bytes(shape, seqs),
    ]
    if settings.parallelism.ranks > 1:
        parts.append(_COLLECTIVES_BYTES)
    if settings.estimates_graphs and device.vendor in {"cuda", "rocm"}:
        parts.append(_GRAPHS_BYTES)
    if shape.tower_params and not settings.text_only:
        parts.append(_TOWER_BYTES)
    if device.unified:
        parts.append(_UNIFIED_BYTES)
    return total(parts)


@lru_cache(maxsize=4096)
def activations_bytes(shape: ModelShape, tokens: int, ranks: int, item_bytes: int) -> Interval:
    """Return the peak of one step of ``tokens`` tokens on one of ``ranks`` ranks.

    The largest layer decides. At its peak live at least one copy of the residual stream and the
    output of its widest projection, at most eight copies of the stream and twice the inputs and
    outputs of its projections (kernels that work in place or not, all-reduce buffers, ropes).
    """
    inner = [_inner_elements(layer, shape.hidden, ranks) for layer in shape.kinds]
    low = shape.hidden + max(bounds.low for bounds in inner)
    high = 8 * shape.hidden + max(bounds.high for bounds in inner)
    return Interval(tokens * item_bytes * low * 0.5, tokens * item_bytes * high)


def _inner_elements(layer: Layer, hidden: int, ranks: int) -> Interval:
    feed = layer.feed_forward
    low, high = _mixer_elements(layer, ranks)
    if isinstance(feed, Mlp):
        width = ceil_div(feed.width, ranks)
        low, high = max(low, width), max(high, 4 * width)
    elif isinstance(feed, Experts):
        width = ceil_div(feed.width, ranks)
        shared = ceil_div(feed.shared_width + feed.dense_width, ranks)
        # Kernels work through the experts of a step in chunks, or at once.
        high = max(high, feed.active * (3 * width + 2 * hidden) + 4 * shared)
        low = max(low, width)
    return Interval(low, high)


def _mixer_elements(layer: Layer, ranks: int) -> tuple[int, int]:
    mixer = layer.mixer
    if isinstance(mixer, Attention):
        outputs = ceil_div(mixer.heads, ranks) * mixer.head_dim
        outputs += 2 * max(1, mixer.kv_heads // ranks) * mixer.head_dim
    elif isinstance(mixer, LatentAttention):
        outputs = ceil_div(mixer.heads, ranks) * (mixer.nope_dim + mixer.rope_dim + mixer.value_dim)
    elif mixer is None:
        return 0, 0
    elif isinstance(mixer, StateSpace):
        outputs = 3 * ceil_div(mixer.value_heads, ranks) * mixer.value_dim
    else:
        outputs = 3 * ceil_div(mixer.heads, ranks) * mixer.head_dim
    return outputs, 4 * outputs


def logits_bytes(shape: ModelShape, seqs: int) -> Interval:
    """Return the peak of sampling for ``seqs`` requests.

    Logits of the whole vocabulary in float32 at least; with top-k and top-p they are sorted, with
    indices of eight bytes, and summed up (vLLM 0.32.0, ``v1/sample/ops/topk_topp_sampler.py``).
    """
    if not shape.has_head:
        return Interval(0, 0)
    return Interval(2 * seqs * shape.vocab, 36 * seqs * shape.vocab)
