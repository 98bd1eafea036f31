"""Parameters of the towers that stand beside a language model: images, video, sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from typing import Final

from hwval.planning.config_values import number
from hwval.planning.config_values import optional
from hwval.planning.config_values import section

__all__ = ["tower_params"]

_SECTIONS: Final = ("vision_config", "audio_config")
_GATED: Final = ("qwen2_5_vl", "pixtral", "mistral3", "llama4", "gemma4_vision")


def tower_params(config: Mapping[str, Any], hidden: int) -> int:
    """Return an estimate of the parameters of all towers and projectors, 0 without towers.

    A transformer encoder (arXiv:2010.11929): four square projections and two or three of the MLP a
    layer, the patch embedding, and a projector of two layers into the language model. Projectors
    differ between families, so this is good to about a tenth of the tower.

    Args:
        config: The whole config.json.
        hidden: Width of the language model's residual stream.

    Raises:
        ShapeError: A dimension is absurd.
    """
    outer = section(config, "thinker_config") or config
    return sum(_tower(tower, hidden) for name in _SECTIONS if (tower := section(outer, name)))


def _tower(tower: Mapping[str, Any], hidden: int) -> int:
    names = ("num_hidden_layers", "depth", "encoder_layers", "layers")
    layers = optional(tower, *names, high=1024)
    # In Qwen2-VL the tower's width is embed_dim and hidden_size is the language model's.
    width = optional(tower, "embed_dim", "hidden_size", "d_model", "width", high=2**20)
    if layers is None or width is None:
        return 0
    inner = optional(tower, "intermediate_size", "encoder_ffn_dim", high=2**24)
    if inner is None:
        ratio = tower.get("mlp_ratio")
        inner = int(width * (ratio if isinstance(ratio, (int, float)) and 0 < ratio < 64 else 4))
    matrices = 3 if str(tower.get("model_type", "")).startswith(_GATED) else 2
    merge = number({"merge": 1, **tower}, "spatial_merge_size", "merge", high=64) ** 2
    patch = optional(tower, "patch_size", high=1024) or 14
    times = optional(tower, "temporal_patch_size", high=64) or 1
    merged = width * merge
    return (
        layers * (4 * width * width + matrices * width * inner)
        + 3 * patch * patch * times * width
        + merged * merged * (merge > 1)
        + merged * hidden
    )
