"""Bytes of a model's weights on one rank: what vLLM logs as "Model loading took"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hwval.planning.interval import GIB_BYTES
from hwval.planning.interval import Interval
from hwval.planning.layers import Attention
from hwval.planning.layers import Layer
from hwval.planning.matrices import Matrix
from hwval.planning.matrices import layer_matrices
from hwval.planning.matrices import padded_vocab
from hwval.planning.model_shape import ModelShape
from hwval.planning.model_shape import ShapeError
from hwval.planning.parallelism import Parallelism
from hwval.planning.quantization import Quantization
from hwval.planning.quantization import WeightFormat
from hwval.planning.storage import Allocator
from hwval.planning.storage import allocated_bytes
from hwval.planning.storage import tensor_bytes

__all__ = ["Weights", "stored_bytes", "weights_of"]

_PLAIN: Final = Allocator()
# How far formulas were from what engines logged, low and high, as shares: wide on purpose, and
# wider for formats whose kernels pad or repack in ways that differ between versions.
_SPREAD: Final = {
    None: (0.005, 0.005),
    WeightFormat.FP8: (0.01, 0.01),
    WeightFormat.FP8_BLOCK: (0.01, 0.01),
    WeightFormat.INT8: (0.02, 0.03),
    WeightFormat.INT4: (0.02, 0.02),
    WeightFormat.NF4: (0.04, 0.04),
    WeightFormat.MXFP4: (0.1, 0.05),
    WeightFormat.NVFP4: (0.02, 0.15),
}
# Buffers that every engine has beside the weights: LoRA-free models show 0..70 MB.
_BUFFERS_BYTES: Final = 0.07 * GIB_BYTES
# ROCm engines report more for the same files, by what their allocator keeps.
_ROCM_BYTES: Final = 0.25 * GIB_BYTES


@dataclass(frozen=True, slots=True)
class Weights:
    """What the weights of a rank take.

    Attributes:
        per_rank_bytes: The best estimate for the rank that has most.
        bounds_bytes: What it may be.
    """

    per_rank_bytes: int
    bounds_bytes: Interval


@lru_cache(maxsize=4096)
def weights_of(
    shape: ModelShape,
    parallelism: Parallelism = Parallelism(),  # noqa: B008 - frozen
    *,
    quantization: Quantization | None = None,
    item_bytes: int = 2,
    allocator: Allocator = _PLAIN,
    native_fp8: bool = True,
    files_bytes: int | None = None,
) -> Weights:
    """Return what the weights take on the rank that has most of them.

    Matrices by ``matrices``, their bytes by ``storage``; added once per rank are the cache of the
    rotary embedding (vLLM 0.32.0, ``rotary_embedding/base.py``: positions x rotated elements, in
    the model's dtype, whatever ``--max-model-len`` is) and norms. With pipeline stages the largest
    one counts, with the embedding or the head, whichever is larger.

    Args:
        shape: The model.
        parallelism: How it is spread.
        quantization: How its weights are quantized as loaded; None for not at all.
        item_bytes: Bytes of an element that is not quantized.
        allocator: How device memory is handed out.
        native_fp8: Whether the device computes in FP8 rather than decompressing it.
        files_bytes: Size of the checkpoint's tensors, for example ``total_size`` of the safetensors
            index. It is used instead of the formula, divided among ranks as the formula divides.

    Raises:
        ShapeError: The bytes of the quantization are not known and no files tell them.
    """
    known = quantization is None or quantization.format is not WeightFormat.UNKNOWN
    if not known and files_bytes is None:
        raise ShapeError(
            f"the bytes of weights quantized by {quantization and quantization.method!r} are not "
            "known; the size of the files would tell"
        )
    counted = quantization if known else None
    sizes = list(_rank_sizes(shape, parallelism, counted, item_bytes, native_fp8=native_fp8))
    tower = shape.tower_params * item_bytes
    rope = (shape.max_positions or 0) * shape.rope_dim * item_bytes
    estimate = allocated_bytes([*sizes, rope], allocator) + tower // parallelism.tensor
    replicated = tower - tower // parallelism.tensor
    if files_bytes is not None:
        whole = stored_bytes(shape, counted, item_bytes) + tower
        share = (sum(sizes) + tower / parallelism.tensor) / whole
        estimate = round(files_bytes * share) + rope
    low, high = _SPREAD[counted.format if counted else None]
    slack = _BUFFERS_BYTES + (_ROCM_BYTES if allocator.counts_reserved else 0)
    bounds = Interval(
        estimate * (1 - low) - 0.2 * tower, estimate * (1 + high) + slack + replicated + 0.3 * tower
    )
    return Weights(estimate, bounds)


def stored_bytes(
    shape: ModelShape, quantization: Quantization | None = None, item_bytes: int = 2
) -> int:
    """Return the bytes of all weights of the language model once: about the size of its files."""
    return sum(_rank_sizes(shape, Parallelism(), quantization, item_bytes))


def _rank_sizes(
    shape: ModelShape,
    parallelism: Parallelism,
    quantization: Quantization | None,
    item_bytes: int,
    *,
    native_fp8: bool = True,
) -> Iterator[int]:
    stage = shape.stage(parallelism.pipeline)
    for layer, count in stage.items():
        matrices = layer_matrices(layer, shape.hidden, parallelism.tensor, parallelism.expert_ranks)
        for matrix in matrices:
            covered = quantized_layers(shape, layer, matrix, quantization, count)
            quantized = (
                tensor_bytes(matrix, quantization, item_bytes, native_fp8=native_fp8)
                if covered
                else ()
            )
            plain = tensor_bytes(matrix, None, item_bytes)
            yield from quantized * covered
            yield from plain * (count - covered)
        yield norm_elements(layer, shape.hidden) * item_bytes * count
    yield shape.hidden * item_bytes
    yield from _ends(shape, parallelism, item_bytes)


def _ends(shape: ModelShape, parallelism: Parallelism, item_bytes: int) -> Iterator[int]:
    rows = padded_vocab(shape.vocab, parallelism.tensor)
    table = rows * shape.hidden * item_bytes
    yield table
    if shape.has_head and not shape.tied and parallelism.pipeline == 1:
        yield table
    if shape.rope_dim == 0:  # learned positions
        yield (shape.max_positions or 0) * shape.hidden * item_bytes


def quantized_layers(
    shape: ModelShape, layer: Layer, matrix: Matrix, quantization: Quantization | None, count: int
) -> int:
    """Return in how many of ``count`` layers of this kind a matrix is quantized."""
    if quantization is None or not matrix.quantized:
        return 0
    ignored = quantization.ignored
    if not ignored:
        return count
    kind = shape.kinds.index(layer)
    indices = [index for index, other in enumerate(shape.order) if other == kind]
    if not any(character.isdigit() for pattern in ignored for character in pattern):
        indices = indices[:1]
    covered = sum(quantization.covers(f"model.layers.{i}.{matrix.module}") for i in indices)
    return round(count * covered / len(indices))


def norm_elements(layer: Layer, hidden: int) -> int:
    """Return the elements of the norms of a layer: before each of its parts, and of its heads."""
    elements = hidden * ((layer.mixer is not None) + (layer.feed_forward is not None))
    if isinstance(layer.mixer, Attention) and layer.mixer.normed:
        elements += 2 * layer.mixer.head_dim
    return elements
