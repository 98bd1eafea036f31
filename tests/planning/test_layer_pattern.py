"""Every layer is of the kind that the model's code gives it."""

from __future__ import annotations

from typing import Any

import pytest

from hwval.planning.config_values import ShapeError
from hwval.planning.layer_pattern import layers_of
from hwval.planning.layers import Attention
from hwval.planning.layers import Experts
from hwval.planning.layers import LatentAttention
from hwval.planning.layers import Mamba
from hwval.planning.layers import Mlp
from hwval.planning.layers import StateSpace
from tests.planning.configs import DEEPSEEK_V3
from tests.planning.configs import GEMMA3_4B
from tests.planning.configs import GPT_OSS_20B
from tests.planning.configs import LLAMA_8B
from tests.planning.configs import NEMOTRON_4B
from tests.planning.configs import QWEN2_14B
from tests.planning.configs import QWEN35_MOE


def pattern(config: dict[str, Any]) -> list[Any]:
    text = config.get("text_config", config)
    found = layers_of(text, text.get("model_type", ""), text["hidden_size"])
    return [found.kinds[index] for index in found.order]


def windows(config: dict[str, Any]) -> list[int | None]:
    return [layer.mixer.window_tokens for layer in pattern(config)]


def test_sliding_windows_follow_the_family() -> None:
    """Gemma 3: five of six; gpt-oss: every other; Mistral: all; Qwen 2: none unless asked."""
    gemma = {**GEMMA3_4B["text_config"], "num_attention_heads": 8}
    mistral = LLAMA_8B | {"model_type": "mistral", "sliding_window": 4096}

    assert windows(gemma)[:6] == [1024] * 5 + [None]
    assert windows(GPT_OSS_20B)[:4] == [128, None, 128, None]
    assert set(windows(mistral)) == {4096}
    assert set(windows(QWEN2_14B)) == {None}
    assert set(windows(LLAMA_8B | {"sliding_window": None})) == {None}


def test_listed_layers_win() -> None:
    """``layer_types`` is what newer configs say."""
    types = ["sliding_attention", "chunked_attention", "full_attention", "full_attention"]
    config = LLAMA_8B | {
        "num_hidden_layers": 4,
        "layer_types": types,
        "sliding_window": 512,
        "attention_chunk_size": 8192,
    }

    assert windows(config) == [512, 8192, None, None]


def test_hybrid_models_have_states() -> None:
    """Qwen 3.5: one layer in four has attention, gated; the others a delta net."""
    layers = pattern(QWEN35_MOE)

    assert sum(isinstance(layer.mixer, Attention) for layer in layers) == 10
    assert sum(isinstance(layer.mixer, StateSpace) for layer in layers) == 30
    assert layers[3].mixer.gated
    assert layers[0].mixer.state_item_bytes == 4


def test_nemotron_has_one_part_a_layer() -> None:
    """A letter a layer: Mamba, attention or a plain network."""
    layers = pattern(NEMOTRON_4B)

    assert sum(isinstance(layer.mixer, Mamba) for layer in layers) == 21
    assert sum(isinstance(layer.mixer, Attention) for layer in layers) == 4
    assert sum(isinstance(layer.feed_forward, Mlp) for layer in layers) == 17
    assert not any(layer.mixer and layer.feed_forward for layer in layers)
    with pytest.raises(ShapeError, match="other than"):
        pattern(NEMOTRON_4B | {"hybrid_override_pattern": "MX"})


def test_first_layers_of_deepseek_are_dense() -> None:
    """The rest has routed and shared experts, and latent attention everywhere."""
    layers = pattern(DEEPSEEK_V3)

    assert [isinstance(layer.feed_forward, Mlp) for layer in layers[:4]] == [True] * 3 + [False]
    assert isinstance(layers[3].feed_forward, Experts)
    assert layers[3].feed_forward.shared_width == 2048
    assert all(isinstance(layer.mixer, LatentAttention) for layer in layers)


@pytest.mark.parametrize(
    ("change", "dense"),
    [
        ({"mlp_only_layers": [0, 2]}, {0, 2}),
        ({"decoder_sparse_step": 2}, {0, 2}),
        ({"moe_layer_freq": [0, 1, 1, 0]}, {0, 3}),
        ({"mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]}, {0}),
        ({"num_experts": 0}, {0, 1, 2, 3}),
    ],
)
def test_dense_layers_between_experts(change: dict[str, Any], dense: set[int]) -> None:
    """Every family has its own way to say it."""
    experts = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 512}

    layers = pattern(LLAMA_8B | {"num_hidden_layers": 4} | experts | change)

    assert {i for i, layer in enumerate(layers) if isinstance(layer.feed_forward, Mlp)} == dense


def test_indexers_are_shared_between_layers() -> None:
    """GLM-5.2: three layers, then every fourth has its own, 21 of 78."""
    glm = DEEPSEEK_V3 | {"num_hidden_layers": 78, "index_head_dim": 128, "index_n_heads": 32}
    types = ["full" if i < 3 or (i - 2) % 4 == 0 else "shared" for i in range(78)]

    def own(config: dict[str, Any]) -> int:
        return sum(layer.mixer.indexer_dim > 0 for layer in pattern(config))

    assert own(glm) == 78
    assert own(glm | {"indexer_types": types}) == 21
    assert own(glm | {"index_topk_freq": 4, "index_skip_topk_offset": 3}) == 21
    assert own(glm | {"index_topk_pattern": ["F", "S"] * 39}) == 39


def test_layers_that_read_an_earlier_cache_keep_none() -> None:
    """The last layers of Gemma 3n and 4."""
    layers = pattern(LLAMA_8B | {"num_kv_shared_layers": 12})

    assert sum(layer.mixer.keeps_kv for layer in layers) == 20
