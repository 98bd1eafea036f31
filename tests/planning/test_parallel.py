"""What can be divided, and what an engine refuses to divide."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.planning.model_shape import read_shape
from hwval.planning.parallel import division_refusals
from hwval.planning.parallel import tensor_sizes
from hwval.planning.parallelism import Parallelism
from tests.planning.configs import ALL
from tests.planning.configs import AWQ
from tests.planning.configs import FP8_BLOCK
from tests.planning.configs import LLAMA_8B
from tests.planning.configs import LLAMA_70B
from tests.planning.configs import NEMOTRON_4B
from tests.planning.configs import QWEN2_14B
from tests.planning.configs import QWEN3_30B_A3B
from tests.planning.configs import QWEN35_MOE


def rules(config: dict[str, Any], parallelism: Parallelism, **options: Any) -> set[str]:
    shape = read_shape(config)
    found = division_refusals(shape, parallelism, quantization=shape.quantization, **options)
    return {refusal.rule for refusal in found}


LLAMA_3B = LLAMA_8B | {
    "hidden_size": 3072,
    "num_attention_heads": 24,
    "intermediate_size": 8192,
    "head_dim": 128,
}


@pytest.mark.parametrize(
    ("config", "ranks", "expected"),
    [
        (LLAMA_8B, 8, set()),
        (LLAMA_8B, 3, {"heads", "kv-heads", "width"}),
        (LLAMA_3B, 3, {"kv-heads", "width"}),
        (QWEN2_14B, 16, {"heads"}),
        (QWEN2_14B, 5, {"kv-heads", "width"}),
        (QWEN35_MOE, 32, {"heads", "state-heads"}),
        (NEMOTRON_4B, 64, {"heads", "state-heads"}),
        (LLAMA_70B | {"quantization_config": AWQ}, 16, set()),
        (QWEN2_14B | {"quantization_config": AWQ}, 4, set()),
        (QWEN2_14B | {"quantization_config": AWQ}, 8, {"group-size"}),
        (QWEN3_30B_A3B | {"quantization_config": FP8_BLOCK}, 4, {"block-size"}),
        (QWEN3_30B_A3B | {"quantization_config": FP8_BLOCK}, 2, set()),
    ],
)
def test_rules(config: dict[str, Any], ranks: int, expected: set[str]) -> None:
    """Heads, KV heads, widths, and groups of the quantization."""
    assert rules(config, Parallelism(ranks)) == expected


def test_group_rule_tells_numbers_and_whether_it_is_certain() -> None:
    """108 groups of 128 are no whole number on each of 8 ranks; Marlin may pad."""
    shape = read_shape(QWEN2_14B | {"quantization_config": AWQ})
    options: dict[str, Any] = {"quantization": shape.quantization}

    (triton,) = division_refusals(shape, Parallelism(8), **options)
    (marlin,) = division_refusals(shape, Parallelism(8), pads_groups=True, **options)

    assert "13824 inputs on 8 ranks are 1728 each" in triton.text
    assert triton.is_certain
    assert not marlin.is_certain


def test_whole_experts_need_no_division() -> None:
    """``--enable-expert-parallel`` spreads them."""
    config = QWEN3_30B_A3B | {"quantization_config": FP8_BLOCK}

    assert rules(config, Parallelism(4, expert_parallel=True)) == set()


def test_devices_and_stages() -> None:
    """There must be enough of both."""
    assert rules(LLAMA_8B, Parallelism(4, 2), device_count=4) == {"devices"}
    assert rules(LLAMA_8B, Parallelism(4, 2), device_count=8) == set()
    assert rules(LLAMA_8B, Parallelism(1, 33)) == {"stages"}


def test_possible_sizes_are_listed() -> None:
    """Whoever asks for another is told."""
    (refusal, *_) = division_refusals(read_shape(QWEN2_14B), Parallelism(3))

    assert "40 attention heads for 3 ranks; possible: 1, 2, 4, 5, 8, 10, 20, 40" in refusal.text
    assert tensor_sizes(64, 8) == (1, 2, 4, 8)


@given(st.sampled_from(sorted(ALL)))
def test_one_rank_divides_nothing(name: str) -> None:
    """And so is never refused."""
    for quantization in (None, AWQ, FP8_BLOCK):
        assert rules(ALL[name] | {"quantization_config": quantization}, Parallelism()) == set()
