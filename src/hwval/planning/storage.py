"""Bytes of a matrix as it lies on the device, by quantization, and as the allocator rounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hwval.planning.config_values import ShapeError
from hwval.planning.matrices import Matrix
from hwval.planning.matrices import ceil_div
from hwval.planning.quantization import Quantization
from hwval.planning.quantization import WeightFormat

__all__ = ["Allocator", "allocated_bytes", "tensor_bytes"]

_MIB: Final = 2**20


def tensor_bytes(
    matrix: Matrix,
    quantization: Quantization | None,
    item_bytes: int = 2,
    *,
    native_fp8: bool = True,
) -> tuple[int, ...]:
    """Return the bytes of each tensor that a matrix is stored as: elements, scales, zero points.

    vLLM 0.32.0, ``model_executor/layers/quantization``: fp8.py, auto_awq.py, auto_gptq.py,
    mxfp4.py, modelopt.py, bitsandbytes.py and ``compressed_tensors/schemes``. ``--load-format
    dummy`` makes the same tensors.

    Args:
        matrix: The matrix on one rank.
        quantization: How it is quantized; None if it is not.
        item_bytes: Bytes of an element that is not quantized.
        native_fp8: Whether the device computes in FP8. Without, Marlin kernels decompress, and
            block scales are repeated for every output in 16 bits (``utils/marlin_utils_fp8.py``).

    Raises:
        ShapeError: The bytes of that quantization are not known.
    """
    if quantization is None or not matrix.quantized:
        return (matrix.elements * item_bytes,)
    format_ = quantization.format
    if format_ is WeightFormat.UNKNOWN:
        raise ShapeError(f"the bytes of weights quantized by {quantization.method!r} are not known")
    if format_ in {WeightFormat.MXFP4, WeightFormat.NVFP4, WeightFormat.NF4}:
        return _four_bit_float(matrix, format_)
    if format_ is WeightFormat.INT4:
        return _int4(matrix, quantization)
    if format_ is WeightFormat.FP8_BLOCK:
        groups = _groups(matrix, quantization.group) * matrix.copies
        repeated = 2 * matrix.outputs
        scales = 4 * ceil_div(matrix.outputs, quantization.block) if native_fp8 else repeated
        return matrix.elements, scales * groups
    scales = matrix.outputs * _groups(matrix, quantization.group) * matrix.copies
    return matrix.elements, (2 if quantization.group else 4) * scales


def _groups(matrix: Matrix, group: int) -> int:
    return ceil_div(matrix.inputs, group) if group else 1


def _int4(matrix: Matrix, quantization: Quantization) -> tuple[int, ...]:
    scales = matrix.outputs * _groups(matrix, quantization.group) * matrix.copies
    zeros = (scales // 2,) if quantization.zeros else ()
    return (matrix.elements // 2, 2 * scales, *zeros)


def _four_bit_float(matrix: Matrix, format_: WeightFormat) -> tuple[int, ...]:
    if format_ is WeightFormat.MXFP4:
        return _mxfp4(matrix)
    scales = matrix.elements // 16 if format_ is WeightFormat.NVFP4 else matrix.elements // 64 * 4
    return matrix.elements // 2, scales


def _mxfp4(matrix: Matrix) -> tuple[int, ...]:
    """Only experts are in MXFP4; kernels pad them.

    vLLM 0.32.0, ``fused_moe/oracle/mxfp4.py``: for most kernels the inner width grows to a multiple
    of 128 and the hidden one to a multiple of 256.
    """
    if not matrix.routed:
        return (matrix.elements * 2,)
    is_down = matrix.module.endswith("down_proj")
    outputs = _up_to(matrix.outputs, 256 if is_down else 128)
    inputs = _up_to(matrix.inputs, 128 if is_down else 256)
    elements = outputs * inputs * matrix.copies
    return elements // 2, elements // 32


def _up_to(number: int, multiple: int) -> int:
    return ceil_div(number, multiple) * multiple


@dataclass(frozen=True, slots=True)
class Allocator:
    """PyTorch's caching allocator (``c10/cuda/CUDACachingAllocator.cpp``, 2.5 to 2.13).

    Attributes:
        expandable: Whether ``expandable_segments`` is on, which splits blocks to the byte; None
            where that is not known, which takes the middle.
        counts_reserved: Whether the engine counts what is taken from the device rather than what
            was asked for: vLLM's ROCm platform reads the device's free memory in older versions.
    """

    expandable: bool | None = None
    counts_reserved: bool = False


def allocated_bytes(sizes_bytes: Iterable[int], allocator: Allocator) -> int:
    """Return what tensors take of the allocator.

    From 10 MiB on a tensor has a segment of its own, rounded up to 2 MiB; what is left over is
    split off only if it is more than 1 MiB. Smaller tensors share segments.
    """
    asked = rounding = 0
    for size in sizes_bytes:
        asked += size
        rest = -size % (2 * _MIB) if size >= 10 * _MIB else 0
        rounding += rest if rest <= _MIB or allocator.counts_reserved else 0
    if allocator.expandable is None and not allocator.counts_reserved:
        return asked + rounding // 2
    return asked if allocator.expandable else asked + rounding
