"""What a quantization_config means."""

from __future__ import annotations

from typing import Any

import pytest

from hwval.planning.config_values import ShapeError
from hwval.planning.quantization import WeightFormat
from hwval.planning.quantization import of_flag
from hwval.planning.quantization import read_quantization

QUARK = {
    "quant_method": "quark",
    "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}},
    "kv_cache_quant_config": {"*k_proj": {}},
    "exclude": ["lm_head"],
}


def compressed(**weights: Any) -> dict[str, Any]:
    return {
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": {"weights": weights}},
        "ignore": ["lm_head", "re:.*self_attn.*"],
    }


@pytest.mark.parametrize(
    ("config", "expected", "group"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 64}, WeightFormat.INT4, 64),
        ({"quant_method": "gptq", "bits": 4, "group_size": -1}, WeightFormat.INT4, 0),
        ({"quant_method": "gptq", "bits": 8}, WeightFormat.INT8, 128),
        ({"quant_method": "gptq", "bits": 3}, WeightFormat.UNKNOWN, 0),
        ({"quant_method": "fp8"}, WeightFormat.FP8, 0),
        ({"quant_method": "fp8", "weight_block_size": [128, 64]}, WeightFormat.FP8_BLOCK, 64),
        ({"quant_method": "mxfp4"}, WeightFormat.MXFP4, 0),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, WeightFormat.NF4, 0),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, WeightFormat.INT8, 0),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, WeightFormat.NVFP4, 0),
        (compressed(type="int", num_bits=4, group_size=32), WeightFormat.INT4, 32),
        (compressed(type="float", num_bits=8, strategy="channel"), WeightFormat.FP8, 0),
        (compressed(type="float", num_bits=4, group_size=16), WeightFormat.NVFP4, 0),
        (compressed(type="int", num_bits=8), WeightFormat.INT8, 0),
        (QUARK, WeightFormat.FP8, 0),
        ({"quant_method": "aqlm"}, WeightFormat.UNKNOWN, 0),
    ],
)
def test_methods_are_read(config: dict[str, Any], expected: WeightFormat, group: int) -> None:
    """Format and group size are those of the checkpoint."""
    found = read_quantization(config)

    assert found is not None
    assert (found.format, found.group) == (expected, group)


def test_nothing_is_no_quantization() -> None:
    """A checkpoint without the section is in 16 bits."""
    assert read_quantization(None) is None
    assert read_quantization({}) is None


@pytest.mark.parametrize(
    "config",
    [
        {"quant_method": "fp8", "weight_block_size": [128]},
        {"quant_method": "fp8", "weight_block_size": "big"},
        {"quant_method": "awq", "group_size": 10**9},
        {"quant_method": "awq", "bits": "four"},
        compressed(type="float", num_bits=8, block_structure="128x128"),
    ],
)
def test_absurd_sizes_are_refused(config: dict[str, Any]) -> None:
    """The error names the key."""
    with pytest.raises(ShapeError, match=r"config\.json"):
        read_quantization(config)


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("lm_head", True),
        ("self_attn", False),
        ("model.layers.3.self_attn.q_proj", False),
        ("model.layers.4.self_attn.q_proj", True),
        ("re:.*self_attn.*", False),
        ("re:(", True),
        ("model.layers.*.self_attn.*", False),
        ("q_proj", False),
        ("k_proj", True),
    ],
)
def test_modules_that_are_left_alone(pattern: str, covered: bool) -> None:  # noqa: FBT001
    """Names, parts of names, globs and expressions."""
    config = {"quant_method": "fp8", "modules_to_not_convert": [pattern]}

    found = read_quantization(config)

    assert found is not None
    assert found.covers("model.layers.3.self_attn.q_proj") is covered


def test_checkpoints_may_ask_for_a_cache() -> None:
    """``auto`` follows them."""
    found = read_quantization(QUARK)

    assert found is not None
    assert found.kv_cache == "fp8"


def test_quantizing_while_loading() -> None:
    """Some methods do, others need a checkpoint."""
    assert of_flag("fp8").format is WeightFormat.FP8
    assert of_flag("bitsandbytes").format is WeightFormat.NF4
    with pytest.raises(ShapeError, match="awq needs a checkpoint"):
        of_flag("awq")
