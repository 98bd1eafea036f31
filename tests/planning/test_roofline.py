"""Ceilings against measured points: none may be exceeded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.planning.layers import Experts
from hwval.planning.model_shape import ShapeError
from hwval.planning.model_shape import read_shape
from hwval.planning.parallelism import Parallelism
from hwval.planning.roofline import Speed
from hwval.planning.roofline import active_params
from hwval.planning.roofline import ceiling_of
from hwval.planning.roofline import read_bytes
from hwval.planning.roofline import touched_experts
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


def test_context_is_read_too() -> None:
    """Qwen2.5-14B on 256 GB/s: 9.15 without, 8.65 at 8192 tokens."""
    shape = read_shape(QWEN2_14B)

    found = ceiling_of(shape, Speed(256e9, {}), context_tokens=8192)

    assert found.decode_tokens_per_s == pytest.approx(8.65, rel=0.005)
    assert found.traffic.kv_bytes == 8192 * 196_608


def test_large_batches_are_bound_by_compute() -> None:
    """From about 295 requests on for 16 bits on an H100 (weights alone)."""
    shape = read_shape(LLAMA_8B)

    assert ceiling_of(shape, H100, batch=290).bound_by == "bandwidth"
    assert ceiling_of(shape, H100, batch=300).bound_by == "compute"


def test_experts_of_a_batch() -> None:
    """One request uses 8 of 128, a large batch all of them."""
    experts = Experts(128, 8, 768)

    assert touched_experts(experts, 1) == pytest.approx(8)
    assert touched_experts(experts, 32) == pytest.approx(128 * (1 - (1 - 1 / 16) ** 32))
    assert touched_experts(experts, 10_000) == pytest.approx(128)


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


@pytest.mark.parametrize(("batch", "context"), [(0, 0), (-1, 0), (1, -1)])
def test_nonsense_is_refused(batch: int, context: int) -> None:
    """So is a device without bandwidth."""
    with pytest.raises(ValueError, match="a batch of"):
        ceiling_of(read_shape(LLAMA_8B), H100, batch=batch, context_tokens=context)
    with pytest.raises(ValueError, match="a bandwidth of"):
        Speed(0, {})


@given(st.sampled_from(sorted(ALL)), st.integers(1, 512), st.integers(0, 8192))
def test_ceilings_move_the_right_way(name: str, batch: int, context: int) -> None:
    """More requests never lower the sum, more context never raises it, more ranks never lower."""
    shape = read_shape(ALL[name])

    def decode(batch: int, context: int, ranks: int = 1) -> float:
        found = ceiling_of(
            shape,
            H100,
            Parallelism(ranks),
            quantization=shape.quantization,
            batch=batch,
            context_tokens=context,
        )
        assert found.decode_tokens_per_s > 0
        return found.decode_tokens_per_s * (1 + 1e-9)

    assert decode(batch, context) <= decode(batch + 1, context) * (1 + 1e-9)
    assert decode(batch, context + 1000) <= decode(batch, context)
    assert decode(batch, context) <= decode(batch, context, 2)


def test_files_count_where_the_format_is_not_known() -> None:
    """All of them but an embedding in 16 bits is read; of experts nobody knows how many."""
    unknown = {"quant_method": "gguf"}
    dense = read_shape(QWEN2_14B | {"quantization_config": unknown})
    sparse = read_shape(QWEN3_30B_A3B | {"quantization_config": unknown})
    speed = Speed(256e9, {})
    found = ceiling_of(dense, speed, quantization=dense.quantization, files_bytes=8_990_000_000)

    assert found.traffic.weights_bytes == 8_990_000_000 - 152_064 * 5120 * 2
    assert found.decode_tokens_per_s == pytest.approx(34.4, abs=0.1)
    with pytest.raises(ShapeError):
        ceiling_of(dense, speed, quantization=dense.quantization)
    with pytest.raises(ShapeError):
        ceiling_of(sparse, speed, quantization=sparse.quantization, files_bytes=10**10)
