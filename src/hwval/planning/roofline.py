"""Ceilings: what no measurement may exceed, and no floor should ask for.

A decode step reads every weight that it uses once; it takes at least bytes / bandwidth and at least
operations / peak (S. Williams and others, "Roofline", CACM 52(4), 2009; for transformers R. Pope
and others, arXiv:2211.05102). Peaks are those of the data sheet, without sparsity. Speculative
decoding answers more than one token a step and is the only honest way above the decode ceiling of
one request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

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

__all__ = ["Ceiling", "Speed", "active_params", "ceiling_of", "read_bytes"]

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
class Ceiling:
    """The most that physics allows one request without context, for all ranks together.

    Attributes:
        decode_tokens_per_s: Tokens of its answer.
        prefill_tokens_per_s: Prompt tokens; None where no peak is known.
        bound_by: What bounds decoding: ``bandwidth`` or ``compute``.
        weights_bytes: Weights that one decode step reads.
    """

    decode_tokens_per_s: float
    prefill_tokens_per_s: float | None
    bound_by: str
    weights_bytes: float


def ceiling_of(
    shape: ModelShape,
    speed: Speed,
    parallelism: Parallelism = Parallelism(),  # noqa: B008 - frozen
    *,
    quantization: Quantization | None = None,
    dtype: str = "bfloat16",
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
        files_bytes: Size of the checkpoint's tensors, which counts where the bytes of its format
            are not known; of a model without experts, as all of it is read.

    Raises:
        ShapeError: The bytes of the quantization are not known.
    """
    item_bytes = 4 if dtype == "float32" else 2
    weights_bytes = _weights_bytes(shape, quantization, item_bytes, files_bytes)
    ranks = parallelism.tensor * parallelism.data
    seconds = weights_bytes / (speed.bandwidth_bytes_per_s * ranks)
    peak = _peak(speed, quantization, dtype)
    if peak is None:
        return Ceiling(1 / seconds, None, "bandwidth", weights_bytes)
    bound_by = "bandwidth"
    params = active_params(shape) + padded_vocab(shape.vocab) * shape.hidden * shape.has_head
    computing_s = 2 * params / (peak * ranks)
    if computing_s > seconds:
        seconds, bound_by = computing_s, "compute"
    # Stages work on different prompts at the same time.
    prefill = peak * parallelism.ranks / (2 * active_params(shape))
    return Ceiling(1 / seconds, prefill, bound_by, weights_bytes)


@lru_cache(maxsize=4096)
def _weights_bytes(
    shape: ModelShape, quantization: Quantization | None, item_bytes: int, files_bytes: int | None
) -> float:
    is_unknown = quantization is not None and quantization.format is WeightFormat.UNKNOWN
    if is_unknown and files_bytes is not None and not _has_experts(shape):
        # All of the files is read but an embedding in full precision.
        apart = 0 if shape.tied else shape.vocab * shape.hidden * item_bytes
        return max(files_bytes - apart, 1)
    return read_bytes(shape, quantization, item_bytes)


def _has_experts(shape: ModelShape) -> bool:
    return any(isinstance(layer.feed_forward, Experts) for layer in shape.kinds)


def read_bytes(
    shape: ModelShape, quantization: Quantization | None = None, item_bytes: int = 2
) -> float:
    """Return the weights that one decode step of one request reads.

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
            total_bytes += size * _used(layer, matrix)
    if shape.has_head:
        total_bytes += padded_vocab(shape.vocab) * shape.hidden * item_bytes
    return total_bytes


def _used(layer: Layer, matrix: Matrix) -> float:
    """Return the part of a matrix that one token uses: of the routed experts, those it chooses."""
    feed = layer.feed_forward
    if not isinstance(feed, Experts) or matrix.copies == 1:
        return 1.0
    return feed.active / feed.count


@lru_cache(maxsize=1024)
def active_params(shape: ModelShape) -> float:
    """Return the parameters of the layers that a token is multiplied with, without the head."""
    params = 0.0
    for layer, count in shape.stage(1).items():
        for matrix in layer_matrices(layer, shape.hidden):
            if not matrix.module.endswith(("absorbed", "bias")):
                params += matrix.elements * count * _used(layer, matrix)
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
