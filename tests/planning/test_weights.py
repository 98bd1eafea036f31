"""Weights against what engines logged and what files weigh."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.planning.interval import GIB_BYTES
from hwval.planning.model_shape import ShapeError
from hwval.planning.model_shape import read_shape
from hwval.planning.parallelism import Parallelism
from hwval.planning.quantization import Quantization
from hwval.planning.quantization import WeightFormat
from hwval.planning.storage import Allocator
from hwval.planning.weights import stored_bytes
from hwval.planning.weights import weights_of
from tests.planning.configs import ALL
from tests.planning.configs import AWQ
from tests.planning.configs import DEEPSEEK_V3
from tests.planning.configs import FP8_BLOCK
from tests.planning.configs import GPT_OSS_20B
from tests.planning.configs import LLAMA_8B
from tests.planning.configs import LLAMA_70B
from tests.planning.configs import QWEN2_14B
from tests.planning.configs import QWEN3_30B_A3B

FP8 = {"quant_method": "fp8"}
GPT_OSS_120B = GPT_OSS_20B | {
    "num_hidden_layers": 36,
    "num_local_experts": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 18,
}


@pytest.mark.parametrize(
    ("config", "ranks", "logged_gib", "tolerance"),
    [
        # "Model loading took", public logs of vLLM 0.8 to 0.26.
        (LLAMA_8B, 1, 14.9889, 0.001),
        (LLAMA_70B, 8, 16.46, 0.001),
        (QWEN2_14B, 4, 6.9461, 0.01),
        (QWEN3_30B_A3B | {"max_position_embeddings": 262144}, 1, 56.93, 0.01),
        (QWEN3_30B_A3B | {"quantization_config": FP8_BLOCK}, 1, 29.0435, 0.01),
        (QWEN2_14B | {"quantization_config": AWQ}, 1, 9.3795, 0.03),
        (DEEPSEEK_V3 | {"quantization_config": FP8_BLOCK}, 16, 40.3172, 0.01),
        (GPT_OSS_20B, 1, 13.72, 0.03),
        (GPT_OSS_120B, 4, 17.22, 0.03),
    ],
)
def test_engines_logged_the_same(
    config: dict[str, Any], ranks: int, logged_gib: float, tolerance: float
) -> None:
    """Within one in a hundred for 16 and 8 bits, three for 4, and always inside the bounds."""
    shape = read_shape(config)

    found = weights_of(shape, Parallelism(ranks), quantization=shape.quantization)

    assert found.per_rank_bytes / GIB_BYTES == pytest.approx(logged_gib, rel=tolerance)
    assert found.bounds_bytes.low <= logged_gib * GIB_BYTES <= found.bounds_bytes.high


@pytest.mark.parametrize(
    ("config", "quantization", "files_gb"),
    [
        # Sizes of published checkpoints.
        (LLAMA_8B, None, 16.06),
        (LLAMA_8B, FP8, 9.08),
        (LLAMA_70B, AWQ, 39.77),
        (QWEN2_14B, None, 29.54),
    ],
)
def test_files_weigh_the_same(
    config: dict[str, Any], quantization: dict[str, Any] | None, files_gb: float
) -> None:
    """Four bits are not a quarter: embedding and head stay in 16."""
    shape = read_shape(config | {"quantization_config": quantization})

    assert stored_bytes(shape, shape.quantization) / 1e9 == pytest.approx(files_gb, rel=0.002)


def test_files_win_over_formulas() -> None:
    """Divided as the formula divides, with what ranks repeat."""
    shape = read_shape(LLAMA_8B)

    whole = weights_of(shape, files_bytes=17 * 10**9)
    half = weights_of(shape, Parallelism(2), files_bytes=17 * 10**9)

    assert whole.per_rank_bytes == pytest.approx(17 * 10**9, rel=0.005)
    assert half.per_rank_bytes == pytest.approx(whole.per_rank_bytes / 2, rel=0.01)


def test_unknown_quantization_needs_files() -> None:
    """A formula would be a guess."""
    shape = read_shape(LLAMA_8B)
    unknown = Quantization("gguf", WeightFormat.UNKNOWN)

    with pytest.raises(ShapeError, match="size of the files would tell"):
        weights_of(shape, quantization=unknown)
    assert weights_of(shape, quantization=unknown, files_bytes=5 * 10**9).per_rank_bytes < 6e9


def test_modules_left_alone_weigh_more() -> None:
    """In some layers or in all of them."""
    shape = read_shape(LLAMA_8B)
    plain = Quantization("fp8", WeightFormat.FP8)
    attention = Quantization("fp8", WeightFormat.FP8, ignored=("self_attn",))
    first = Quantization("fp8", WeightFormat.FP8, ignored=("model.layers.0.self_attn.q_proj",))

    sizes = [stored_bytes(shape, part) for part in (plain, first, attention, None)]

    assert sizes == sorted(sizes)
    assert sizes[1] - sizes[0] == pytest.approx(4096 * 6144, rel=0.01)


def test_towers_widen_the_bounds() -> None:
    """Nobody knows how ranks divide them."""
    shape = read_shape(ALL["gemma3-4b"])

    found = weights_of(shape, Parallelism(2))

    assert found.bounds_bytes.high - found.bounds_bytes.low > shape.tower_params
    assert weights_of(shape, allocator=Allocator(counts_reserved=True)).bounds_bytes.high > (
        weights_of(shape).bounds_bytes.high
    )


FORMATS = [None, AWQ, FP8, FP8_BLOCK]


@given(st.sampled_from(sorted(ALL)), st.sampled_from(range(4)), st.integers(0, 5))
def test_more_devices_never_need_more_each(name: str, format_: int, power: int) -> None:
    """Neither by tensor nor by pipeline parallelism."""
    shape = read_shape(ALL[name] | {"quantization_config": FORMATS[format_]})

    def size(parallelism: Parallelism) -> int:
        found = weights_of(
            shape,
            parallelism,
            quantization=shape.quantization,
            allocator=Allocator(expandable=True),
        )
        assert found.bounds_bytes.low <= found.per_rank_bytes <= found.bounds_bytes.high
        return found.per_rank_bytes

    ranks = 2**power
    assert size(Parallelism(2 * ranks)) <= size(Parallelism(ranks))
    if 2 * ranks <= shape.layer_count:
        assert size(Parallelism(1, 2 * ranks)) <= size(Parallelism(1, ranks))


@given(st.sampled_from(sorted(ALL)))
def test_fewer_bits_never_weigh_more(name: str) -> None:
    """16, 8 and 4 bits in that order."""
    shape = read_shape(ALL[name])
    formats = [
        None,
        Quantization("fp8", WeightFormat.FP8),
        Quantization("awq", WeightFormat.INT4, 128, zeros=True),
    ]

    sizes = [stored_bytes(shape, format_) for format_ in formats]

    assert sizes == sorted(sizes, reverse=True)
