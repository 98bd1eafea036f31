"""Ceilings: what no measurement may exceed, and no floor should ask for.

A decode step reads every weight that it uses once, and every key and value of its requests; it
takes at least bytes / bandwidth and at least operations / peak (S. Williams and others, "Roofline",
CACM 52(4), 2009; for transformers R. Pope and others, arXiv:2211.05102). Peaks are those of the
data sheet, without sparsity. Speculative decoding answers more than one token a step and is the
only honest way above the decode ceiling of one request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hwval.planning.kv_cache import kv_cache_of
from hwval.planning.layers import Experts
from hwval.planning.layers import Layer
from hwval.planning.matrices import Matrix
from hwval.planning.matrices import layer_matrices
from hwval.planning.matrices import padded_vocab
from hwval.planning.model_shape import ModelShape
from hwval.planning.parallelism import Parallelism
from hwval.planning.quantization import Quantization
from hwval.planning.quantization import WeightFormat
from hwval.planning.storage import tensor_bytes
from hwval.planning.weights import quantized_layers

__all__ = ["Ceiling", "Speed", "Traffic", "ceiling_of", "read_bytes", "touched_experts"]

_W8A8: Final = {
    WeightFormat.FP8: "fp8",
    WeightFormat.FP8_BLOCK: "fp8",
    WeightFormat.INT8: "int8",
}
"""Formats whose activations may be quantized too, so that the faster units count."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Data-sheet figures of one device, or one partition.

    Attributes:
        bandwidth_bytes_per_s: Peak of its memory, > 0.
        peak_flops_per_s: Data type (``float16``, ``bfloat16``, ``fp8``, ``int8``, ``float32``) ->
            dense peak, two operations a multiply-add.
    """

    bandwidth_bytes_per_s: float
    peak_flops_per_s: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.bandwidth_bytes_per_s > 0:
            raise ValueError(f"a bandwidth of {self.bandwidth_bytes_per_s} bytes/s")


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a step moves and computes.

    Attributes:
        weights_bytes: Weights that it reads.
        kv_bytes: Keys and values that it reads.
        flops: Operations.
    """

    weights_bytes: float
    kv_bytes: float
    flops: float


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that physics allows, for all ranks together.

    Attributes:
        decode_tokens_per_s: Tokens of all requests of the batch together.
        prefill_tokens_per_s: Prompt tokens; None where no peak is known.
        bound_by: What bounds decoding: ``bandwidth`` or ``compute``.
        traffic: What one decode step moves.
    """

    decode_tokens_per_s: float
    prefill_tokens_per_s: float | None
    bound_by: str
    traffic: Traffic


def ceiling_of(
    shape: ModelShape,
    speed: Speed,
    parallelism: Parallelism = Parallelism(),  # noqa: B008 - frozen
    *,
    quantization: Quantization | None = None,
    dtype: str = "bfloat16",
    kv_cache_dtype: str = "auto",
    batch: int = 1,
    context_tokens: int = 0,
    files_bytes: int | None = None,
) -> Ceiling:
    """Return the ceilings of an engine.

    Tensor-parallel ranks read at the same time; pipeline stages one after the other, so that they
    add nothing for a batch that goes through them together.

    Args:
        shape: The model.
        speed: What one device does.
        parallelism: How the model is spread.
        quantization: How its weights are quantized as loaded; None for not at all.
        dtype: ``--dtype``.
        kv_cache_dtype: ``--kv-cache-dtype``.
        batch: Requests in a step, >= 1.
        context_tokens: Tokens that each of them has behind it; 0 gives the highest ceiling.
        files_bytes: Size of the checkpoint's tensors, which counts where the bytes of its format
            are not known; of a model without experts, as all of it is read.

    Raises:
        ValueError: A batch without requests.
        ShapeError: The bytes of the quantization are not known.
    """
    if batch < 1 or context_tokens < 0:
        raise ValueError(f"a batch of {batch} requests of {context_tokens} tokens")
    item_bytes = 4 if dtype == "float32" else 2
    traffic = _traffic(
        shape,
        quantization,
        item_bytes,
        kv_cache_dtype,
        batch=batch,
        context_tokens=context_tokens,
        files_bytes=files_bytes,
    )
    ranks = parallelism.tensor * parallelism.data
    seconds = (traffic.weights_bytes + traffic.kv_bytes) / (speed.bandwidth_bytes_per_s * ranks)
    peak = _peak(speed, quantization, dtype)
    bound_by = "bandwidth"
    if peak is not None and traffic.flops / (peak * ranks) > seconds:
        seconds, bound_by = traffic.flops / (peak * ranks), "compute"
    prefill = None
    if peak is not None:
        # Stages work on different prompts at the same time.
        prefill = peak * parallelism.ranks / (2 * active_params(shape))
    return Ceiling(batch / seconds, prefill, bound_by, traffic)


@lru_cache(maxsize=4096)
def _traffic(
    shape: ModelShape,
    quantization: Quantization | None,
    item_bytes: int,
    kv_cache_dtype: str,
    *,
    batch: int,
    context_tokens: int,
    files_bytes: int | None,
) -> Traffic:
    asked = kv_cache_dtype
    if quantization is not None and asked == "auto":
        asked = quantization.kv_cache or asked
    cache = kv_cache_of(shape, dtype=asked, item_bytes=item_bytes, block_tokens=1)
    # A sliding window is read without the tokens of a step that it is stored with.
    kv = cache.request_bytes(context_tokens, 1) if context_tokens else 0
    params = active_params(shape) + (padded_vocab(shape.vocab) * shape.hidden) * shape.has_head
    is_unknown = quantization is not None and quantization.format is WeightFormat.UNKNOWN
    if is_unknown and files_bytes is not None and not _has_experts(shape):
        weights = _least_read_bytes(shape, files_bytes, item_bytes)
    else:
        weights = read_bytes(shape, quantization, item_bytes, batch)
    return Traffic(weights, kv * batch, 2 * params * batch)


def _has_experts(shape: ModelShape) -> bool:
    return any(isinstance(layer.feed_forward, Experts) for layer in shape.kinds)


def _least_read_bytes(shape: ModelShape, files_bytes: int, item_bytes: int) -> float:
    """Return what a step reads of files at least: all but an embedding in full precision."""
    apart = 0 if shape.tied else shape.vocab * shape.hidden * item_bytes
    return max(files_bytes - apart, 1)


def touched_experts(experts: Experts, batch: int) -> float:
    """Return how many routed experts a step of ``batch`` tokens uses, if they choose independently.

    E x (1 - (1 - k/E)^B): the expected number of E urns that B draws of k hit. Routers that favour
    some experts use fewer, so it is an average and not a bound; for one token it is exact.
    """
    return experts.count * (1 - (1 - experts.active / experts.count) ** batch)


def read_bytes(
    shape: ModelShape, quantization: Quantization | None = None, item_bytes: int = 2, batch: int = 1
) -> float:
    """Return the weights that one decode step of ``batch`` requests reads.

    The embedding is a look-up of one row a token and left out, unless it is the head too.
    """
    total_bytes = 0.0
    for layer, count in shape.stage(1).items():
        for matrix in layer_matrices(layer, shape.hidden):
            if matrix.module.endswith("absorbed"):
                continue  # decoding uses either kv_b_proj or its absorbed form
            covered = quantized_layers(shape, layer, matrix, quantization, count)
            size = sum(tensor_bytes(matrix, quantization, item_bytes)) * covered if covered else 0
            size += matrix.elements * item_bytes * (count - covered)
            total_bytes += size * _used(layer, matrix, batch)
    if shape.has_head:
        total_bytes += padded_vocab(shape.vocab) * shape.hidden * item_bytes
    return total_bytes


def _used(layer: Layer, matrix: Matrix, batch: int) -> float:
    feed = layer.feed_forward
    if not isinstance(feed, Experts) or matrix.copies == 1:
        return 1.0
    return touched_experts(feed, batch) / feed.count


@lru_cache(maxsize=1024)
def active_params(shape: ModelShape) -> float:
    """Return the parameters of the layers that a token is multiplied with, without the head."""
    params = 0.0
    for layer, count in shape.stage(1).items():
        for matrix in layer_matrices(layer, shape.hidden):
            if not matrix.module.endswith(("absorbed", "bias")):
                params += matrix.elements * count * _used(layer, matrix, 1)
    return params


def _peak(speed: Speed, quantization: Quantization | None, dtype: str) -> float | None:
    names = [dtype]
    if quantization is not None and quantization.format in _W8A8:
        names.append(_W8A8[quantization.format])
    if quantization is not None and quantization.format in {
        WeightFormat.MXFP4,
        WeightFormat.NVFP4,
    }:
        names += ["fp8", "fp4"]
    peaks = [peak for name in names if (peak := speed.peak_flops_per_s.get(name))]
    return max(peaks, default=None)
