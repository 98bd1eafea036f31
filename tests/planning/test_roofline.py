"""Ceilings against measured points: none may be exceeded."""

from __future__ import annotations

from typing import Any

import pytest

from hwval.planning.model_shape import ShapeError
from hwval.planning.model_shape import read_shape
from hwval.planning.parallelism import Parallelism
from hwval.planning.roofline import Speed
from hwval.planning.roofline import active_params
from hwval.planning.roofline import ceiling_of
from hwval.planning.roofline import read_bytes
from tests.planning.configs import ALL
from tests.planning.configs import AWQ
from tests.planning.configs import LLAMA_2_7B
from tests.planning.configs import LLAMA_8B
from tests.planning.configs import LLAMA_70B
from tests.planning.configs import QWEN2_14B
from tests.planning.configs import QWEN3_30B_A3B

FP8 = {"quant_method": "fp8"}
H100 = Speed(3.35e12, {"bfloat16": 989e12, "float16": 989e12, "fp8": 1979e12})
MI300X = Speed(5.3e12, {"bfloat16": 1307.4e12, "float16": 1307.4e12, "fp8": 2614.9e12})
LLAMA_405B = LLAMA_70B | {
    "hidden_size": 16384,
    "num_hidden_layers": 126,
    "num_attention_heads": 128,
    "intermediate_size": 53248,
}


@pytest.mark.parametrize(
    ("config", "read_gb"),
    [
        (LLAMA_8B, 15.010),
        (LLAMA_2_7B, 13.215),
        (LLAMA_70B, 139.006),
        (QWEN2_14B, 27.983),
        (QWEN3_30B_A3B, 6.084),
        (LLAMA_70B | {"quantization_config": AWQ}, 37.67),
        (LLAMA_70B | {"quantization_config": FP8}, 70.552),
        (LLAMA_405B | {"quantization_config": FP8}, 405.849),
    ],
)
def test_bytes_read_for_one_token(config: dict[str, Any], read_gb: float) -> None:
    """All but the embedding; of experts only those that are used."""
    shape = read_shape(config)

    found = read_bytes(shape, shape.quantization)

    assert found / 1e9 == pytest.approx(read_gb, rel=0.005)


@pytest.mark.parametrize(
    ("bandwidth_gb_per_s", "config", "ranks", "measured", "ceiling"),
    [
        # GPU-Benchmarks-on-LLM-Inference (llama.cpp), BestBox and ROCm's vLLM notes.
        (716.8, LLAMA_8B, 1, 40.29, 47.75),
        (1008, LLAMA_8B, 1, 54.34, 67.16),
        (2000, LLAMA_8B, 1, 67.79, 133.24),
        (256, QWEN2_14B, 1, 6.41, 9.15),
        (256, QWEN3_30B_A3B, 1, 16.55, 42.08),
        (5300, LLAMA_70B | {"quantization_config": FP8}, 8, 118.82, 600.98),
        (5300, LLAMA_405B | {"quantization_config": FP8}, 8, 42.27, 104.47),
    ],
)
def test_no_measurement_exceeds_its_ceiling(
    bandwidth_gb_per_s: float,
    config: dict[str, Any],
    ranks: int,
    measured: float,
    ceiling: float,
) -> None:
    """One request, nothing behind it."""
    shape = read_shape(config)

    found = ceiling_of(
        shape,
        Speed(bandwidth_gb_per_s * 1e9, {}),
        Parallelism(ranks),
        quantization=shape.quantization,
    )

    assert found.decode_tokens_per_s == pytest.approx(ceiling, rel=0.005)
    assert measured < found.decode_tokens_per_s
    assert found.bound_by == "bandwidth"
    assert found.prefill_tokens_per_s is None


def test_published_impossibilities_are_above() -> None:
    """314 tokens a second of a 70B in 16 bits on one MI300X cannot be: 38 can."""
    found = ceiling_of(read_shape(LLAMA_70B), MI300X)

    assert found.decode_tokens_per_s == pytest.approx(38.1, rel=0.01)


def test_layer_split_does_not_speed_up_one_request() -> None:
    """Pipeline stages wait for each other; prompts do not."""
    shape = read_shape(LLAMA_70B)
    one, stages = (ceiling_of(shape, H100, Parallelism(1, count)) for count in (1, 4))

    assert stages.decode_tokens_per_s == one.decode_tokens_per_s
    assert stages.prefill_tokens_per_s == pytest.approx(4 * (one.prefill_tokens_per_s or 0))


def test_little_arithmetic_bounds_a_single_request() -> None:
    """Not the bandwidth of a device that computes slowly."""
    shape = read_shape(LLAMA_8B)
    slow = Speed(3.35e12, {"bfloat16": 1e12})

    assert ceiling_of(shape, H100).bound_by == "bandwidth"
    assert ceiling_of(shape, slow).bound_by == "compute"
    assert ceiling_of(shape, slow).decode_tokens_per_s == pytest.approx(66.6, rel=0.01)


def test_active_parameters() -> None:
    """Qwen3-30B-A3B: three billion with its head, without the embedding."""
    with_head = active_params(read_shape(QWEN3_30B_A3B)) + 151936 * 2048

    assert with_head == pytest.approx(3.0419e9, rel=0.001)


def test_faster_units_count_where_weights_allow() -> None:
    """FP8 weights may be multiplied in FP8; four bits are unpacked to sixteen."""
    shapes = {
        name: read_shape(LLAMA_8B | {"quantization_config": part})
        for name, part in (("fp8", FP8), ("awq", AWQ), ("none", None))
    }
    prefill = {
        name: ceiling_of(shape, H100, quantization=shape.quantization).prefill_tokens_per_s
        for name, shape in shapes.items()
    }

    assert prefill["fp8"] == pytest.approx((prefill["none"] or 0) * 1979 / 989)
    assert prefill["awq"] == prefill["none"]


def test_device_without_bandwidth_is_refused() -> None:
    """A division by nothing would be no ceiling."""
    with pytest.raises(ValueError, match="a bandwidth of"):
        Speed(0, {})


@pytest.mark.parametrize("name", sorted(ALL))
def test_more_ranks_never_lower_the_ceiling(name: str) -> None:
    """They read at the same time."""
    shape = read_shape(ALL[name])
    one, two = (
        ceiling_of(shape, H100, Parallelism(ranks), quantization=shape.quantization)
        for ranks in (1, 2)
    )

    assert 0 < one.decode_tokens_per_s <= two.decode_tokens_per_s


def test_files_count_where_the_format_is_not_known() -> None:
    """All of them but an embedding in 16 bits is read; of experts nobody knows how many."""
    unknown = {"quant_method": "gguf"}
    dense = read_shape(QWEN2_14B | {"quantization_config": unknown})
    sparse = read_shape(QWEN3_30B_A3B | {"quantization_config": unknown})
    speed = Speed(256e9, {})
    found = ceiling_of(dense, speed, quantization=dense.quantization, files_bytes=8_990_000_000)

    assert found.weights_bytes == 8_990_000_000 - 152_064 * 5120 * 2
    assert found.decode_tokens_per_s == pytest.approx(34.4, abs=0.1)
    with pytest.raises(ShapeError):
        ceiling_of(dense, speed, quantization=dense.quantization)
    with pytest.raises(ShapeError):
        ceiling_of(sparse, speed, quantization=sparse.quantization, files_bytes=10**10)
