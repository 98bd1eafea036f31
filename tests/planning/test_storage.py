"""Bytes of a stored matrix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.planning.config_values import ShapeError
from hwval.planning.matrices import Matrix
from hwval.planning.quantization import Quantization
from hwval.planning.quantization import WeightFormat
from hwval.planning.storage import Allocator
from hwval.planning.storage import allocated_bytes
from hwval.planning.storage import tensor_bytes

MIB = 2**20
MATRIX = Matrix("mlp.down_proj", 4096, 14336)
ELEMENTS = 4096 * 14336


@pytest.mark.parametrize(
    ("quantization", "bits"),
    [
        (None, 16),
        (Quantization("awq", WeightFormat.INT4, 128, zeros=True), 4 + 16 / 128 + 4 / 128),
        (Quantization("gptq", WeightFormat.INT4, 128), 4 + 16 / 128),
        (Quantization("fp8", WeightFormat.FP8_BLOCK, 128, 128), 8 + 32 / 128 / 128),
        (Quantization("fp8", WeightFormat.FP8), 8 + 32 / 14336),
        (Quantization("modelopt", WeightFormat.NVFP4), 4 + 8 / 16),
        (Quantization("bitsandbytes", WeightFormat.NF4), 4 + 32 / 64),
    ],
)
def test_bits_an_element(quantization: Quantization | None, bits: float) -> None:
    """Elements, scales and zero points together."""
    assert sum(tensor_bytes(MATRIX, quantization)) == pytest.approx(ELEMENTS * bits / 8)


def test_decompressed_fp8_has_larger_scales() -> None:
    """Marlin repeats a block's scale for every output, in 16 bits."""
    blocks = Quantization("fp8", WeightFormat.FP8_BLOCK, 128, 128)

    native = tensor_bytes(MATRIX, blocks)
    marlin = tensor_bytes(MATRIX, blocks, native_fp8=False)

    assert native == (ELEMENTS, 4 * 32 * 112)
    assert marlin == (ELEMENTS, 2 * 4096 * 112)


def test_mxfp4_is_of_experts_and_padded() -> None:
    """gpt-oss: 2880 becomes 3072 and 2944; what is not an expert stays in 16 bits."""
    mxfp4 = Quantization("mxfp4", WeightFormat.MXFP4)
    down = Matrix("mlp.experts.0.down_proj", 2880, 2880, copies=32, routed=True)

    assert tensor_bytes(down, mxfp4)[0] == 3072 * 2944 * 32 // 2
    assert tensor_bytes(MATRIX, mxfp4) == (ELEMENTS * 2,)


def test_what_is_not_quantized_stays() -> None:
    """Routers and the like."""
    router = Matrix("mlp.gate", 128, 2048, quantized=False)

    assert tensor_bytes(router, Quantization("fp8", WeightFormat.FP8)) == (128 * 2048 * 2,)
    assert tensor_bytes(router, None, 4) == (128 * 2048 * 4,)


def test_unknown_bytes_are_not_guessed() -> None:
    """The error names the method."""
    with pytest.raises(ShapeError, match="'aqlm'"):
        tensor_bytes(MATRIX, Quantization("aqlm", WeightFormat.UNKNOWN))


def test_large_tensors_are_rounded_up() -> None:
    """259 MiB take 260; of 24.5 the rest of 1.5 is split off; 9.5 share a segment."""
    whole = Allocator(expandable=False)

    assert allocated_bytes([259 * MIB], whole) == 260 * MIB
    assert allocated_bytes([49 * MIB // 2], whole) == 49 * MIB // 2
    assert allocated_bytes([19 * MIB // 2], whole) == 19 * MIB // 2
    assert allocated_bytes([49 * MIB // 2], Allocator(counts_reserved=True)) == 26 * MIB


@given(st.lists(st.integers(1, 500 * MIB), max_size=20))
def test_allocators_are_in_order(sizes: list[int]) -> None:
    """Expandable segments lose nothing, an unknown allocator is between."""
    exact = allocated_bytes(sizes, Allocator(expandable=True))
    unknown = allocated_bytes(sizes, Allocator())
    rounded = allocated_bytes(sizes, Allocator(expandable=False))
    reserved = allocated_bytes(sizes, Allocator(counts_reserved=True))

    assert sum(sizes) == exact <= unknown <= rounded <= reserved
