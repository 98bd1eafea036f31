"""The architectures that a synthetic checkpoint can have, and the config.json of each.

Dimensions are small enough to load in a second and keep what makes each family special: grouped
heads, head sizes that are not hidden / heads, query and key norms, sliding windows, fused
projections, experts. Field names are those of the configuration classes of Hugging Face
transformers 5.19.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from hwval.errors import UsageError
from hwval.spelling import near_names

__all__ = [
    "ARCHITECTURES",
    "HEARING_FIELDS",
    "PATCHES_A_TOKEN_SIDE",
    "VISION_FIELDS",
    "Damage",
    "Packing",
    "SyntheticModel",
    "hf_config",
    "parse_synthetic",
]

_PREFIX: Final = "synthetic:"
# Of every synthetic model: large enough for chats and batches, small enough to be filled in a test.
_MAX_CONTEXT_TOKENS: Final = 2048
_ROPE_THETA: Final = 1_000_000.0
_NORM_EPSILON: Final = 1e-6


class Packing(StrEnum):
    """How the weights of linear layers are stored, where not in bfloat16."""

    FP8 = "fp8"
    AWQ = "awq"
    INT8 = "int8"


class Damage(StrEnum):
    """What is wrong with a checkpoint that an engine loads all the same."""

    NO_SCALES = "no-scales"
    """The scales of its quantized weights are missing."""
    UNIT_SCALES = "unit-scales"
    """Its scales are all 1, as to a kernel that leaves them out."""
    NAN = "nan"
    """A norm in the last layer is no number, so no logit is one."""


@dataclass(frozen=True, slots=True)
class SyntheticModel:
    """A checkpoint that can be made on the spot.

    Attributes:
        name: What follows ``synthetic:`` in a reference.
        architecture: Class name as in config.json, for example ``LlamaForCausalLM``.
        model_type: transformers' name of the family, of the language model if there is more.
        heads: Query heads.
        kv_heads: Key and value heads; divides ``heads``.
        head_dim: Elements of one head.
        intermediate_size: Inner width of the MLP, of one expert if there are experts.
        experts: Number of experts, 0 for a dense model.
        experts_per_token: Experts that see each token, 0 for a dense model.
        hidden_size: Width of the residual stream.
        layers: Number of decoder layers.
        vocab_size: Rows of the embedding, all of them used.
        max_context_tokens: Positions that the model knows.
        quantization: Method named in config.json's ``quantization_config``, None without one.
        packing: How linear weights are stored; None with a ``quantization`` is a checkpoint that
            claims to be quantized and is not, for validating how an engine refuses it.
        damage: What is wrong with it although it loads; None for a sound checkpoint.
    """

    name: str
    architecture: str
    model_type: str
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 32
    intermediate_size: int = 256
    experts: int = 0
    experts_per_token: int = 0
    hidden_size: int = 128
    layers: int = 2
    vocab_size: int = 1024
    max_context_tokens: int = _MAX_CONTEXT_TOKENS
    quantization: str | None = None
    packing: Packing | None = None
    damage: Damage | None = None

    @property
    def has_query_key_norm(self) -> bool:
        """Whether queries and keys are normalised per head."""
        return self.model_type in {"qwen3", "qwen3_moe", "gemma3_text"}

    @property
    def sees(self) -> bool:
        """Whether it takes pictures: eyes stand before the language model."""
        return self.architecture == "Idefics3ForConditionalGeneration"

    @property
    def hears(self) -> bool:
        """Whether it takes sounds: ears stand before the language model."""
        return self.architecture == "GlmAsrForConditionalGeneration"

    @property
    def is_gemma(self) -> bool:
        """Whether norms are stored as weight - 1 and stand before and after each block."""
        return self.model_type == "gemma3_text"


_LLAMA: Final = SyntheticModel("llama", "LlamaForCausalLM", "llama")
_LLAMA_FP8: Final = replace(_LLAMA, name="llama-fp8", quantization="fp8", packing=Packing.FP8)
_LLAMA_AWQ: Final = replace(_LLAMA, name="llama-awq", quantization="awq", packing=Packing.AWQ)
_LLAMA_INT8: Final = replace(
    _LLAMA, name="llama-int8", quantization="compressed-tensors", packing=Packing.INT8
)
_MODELS: Final = (
    _LLAMA,
    SyntheticModel("qwen3", "Qwen3ForCausalLM", "qwen3", head_dim=64),
    SyntheticModel("gemma3", "Gemma3ForCausalLM", "gemma3_text", kv_heads=1, head_dim=64),
    SyntheticModel("mistral", "MistralForCausalLM", "mistral", kv_heads=1),
    SyntheticModel("phi3", "Phi3ForCausalLM", "phi3", kv_heads=4),
    SyntheticModel(
        "qwen3-moe",
        "Qwen3MoeForCausalLM",
        "qwen3_moe",
        head_dim=64,
        intermediate_size=128,
        experts=8,
        experts_per_token=2,
    ),
    replace(_LLAMA, name="llama-bitsandbytes", quantization="bitsandbytes"),
    _LLAMA_FP8,
    _LLAMA_AWQ,
    _LLAMA_INT8,
    replace(_LLAMA, name="llama-nan", damage=Damage.NAN),
    replace(_LLAMA, name="idefics3", architecture="Idefics3ForConditionalGeneration"),
    replace(_LLAMA, name="glm-asr", architecture="GlmAsrForConditionalGeneration"),
    *(
        replace(model, name=f"{model.name}-{damage}", damage=damage)
        for model in (_LLAMA_FP8, _LLAMA_AWQ, _LLAMA_INT8)
        for damage in (Damage.NO_SCALES, Damage.UNIT_SCALES)
    ),
)

ARCHITECTURES: Final[Mapping[str, SyntheticModel]] = MappingProxyType(
    {model.name: model for model in _MODELS}
)


def parse_synthetic(name: str) -> SyntheticModel:
    """Return the model that a reference names.

    Args:
        name: A reference such as ``synthetic:llama``; the prefix may be left out.

    Raises:
        UsageError: No such synthetic model; the message lists near matches, or all.
    """
    key = name.removeprefix(_PREFIX)
    if key in ARCHITECTURES:
        return ARCHITECTURES[key]
    near = near_names(key, ARCHITECTURES, prefix=_PREFIX)
    raise UsageError(f"unknown synthetic model {name!r}; {near}")


def hf_config(model: SyntheticModel, *, bos_id: int, eos_id: int, pad_id: int) -> dict[str, object]:
    """Return config.json of ``model``."""
    config: dict[str, object] = {
        "architectures": [model.architecture],
        "model_type": model.model_type,
        "dtype": "bfloat16",
        "torch_dtype": "bfloat16",  # the name before transformers 5
        "hidden_size": model.hidden_size,
        "intermediate_size": model.intermediate_size,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "head_dim": model.head_dim,
        "vocab_size": model.vocab_size,
        "max_position_embeddings": model.max_context_tokens,
        "rms_norm_eps": _NORM_EPSILON,
        "rope_theta": _ROPE_THETA,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
        "bos_token_id": bos_id,
        "eos_token_id": eos_id,
        "pad_token_id": pad_id,
    }
    config.update(_FAMILY_FIELDS.get(model.model_type, {}))
    if model.experts:
        config["num_experts"] = model.experts
        config["num_experts_per_tok"] = model.experts_per_token
        config["moe_intermediate_size"] = model.intermediate_size
    if model.is_gemma:
        config["query_pre_attn_scalar"] = model.head_dim
    if model.quantization:
        fields = _QUANTIZATION_FIELDS[model.packing]
        config["quantization_config"] = {"quant_method": model.quantization, **fields}
    return _with_senses(model, config)


def _with_senses(model: SyntheticModel, text: dict[str, object]) -> dict[str, object]:
    if model.sees:
        return {
            **_around(model, text, "idefics3"),
            "vision_config": dict(VISION_FIELDS),
            "image_token_id": model.vocab_size - 1,
            "scale_factor": PATCHES_A_TOKEN_SIDE,
        }
    if model.hears:
        return {
            **_around(model, text, "glmasr"),
            "audio_config": dict(HEARING_FIELDS),
            "audio_token_id": text["pad_token_id"],
            "projector_hidden_act": "gelu",
        }
    return text


def _around(model: SyntheticModel, text: dict[str, object], family: str) -> dict[str, object]:
    """Return what config.json of a ``family`` says around that of its language model."""
    common = ("dtype", "torch_dtype", "tie_word_embeddings", "bos_token_id", "eos_token_id")
    return {
        **{name: text[name] for name in (*common, "pad_token_id")},
        "architectures": [model.architecture],
        "model_type": family,
        "text_config": {**text, "architectures": ["LlamaForCausalLM"]},
    }


VISION_FIELDS: Final[Mapping[str, int | str]] = {
    "model_type": "idefics3_vision",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "num_channels": 3,
    "image_size": 56,
    "patch_size": 14,
    "hidden_act": "gelu_pytorch_tanh",
}
"""Of the eyes, a SigLIP tower."""
PATCHES_A_TOKEN_SIDE: Final = 2
"""So many patches of a picture, along each side, become one token."""
HEARING_FIELDS: Final[Mapping[str, object]] = {
    "model_type": "glmasr_encoder",
    "hidden_size": 64,
    "intermediate_size": 256,  # four steps of the tower are one token: 4 * hidden_size
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "num_mel_bins": 80,
    "max_position_embeddings": 200,
    "hidden_act": "gelu",
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10_000.0,
        "partial_rotary_factor": 0.5,
    },
}
"""Of the ears, a tower as Whisper has it, but for its rotary embedding."""

_EIGHT_BITS: Final = {"num_bits": 8, "type": "int", "symmetric": True}
# What a method's configuration says beyond its name.
_QUANTIZATION_FIELDS: Final[Mapping[Packing | None, Mapping[str, object]]] = {
    None: {"load_in_4bit": True},
    Packing.FP8: {"activation_scheme": "dynamic"},
    Packing.AWQ: {"bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"},
    Packing.INT8: {
        "format": "int-quantized",
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {**_EIGHT_BITS, "strategy": "channel", "dynamic": False},
                "input_activations": {**_EIGHT_BITS, "strategy": "token", "dynamic": True},
            }
        },
    },
}
# What a family's configuration class needs beyond the common fields.
_FAMILY_FIELDS: Final[Mapping[str, Mapping[str, object]]] = {
    "gemma3_text": {
        "hidden_activation": "gelu_pytorch_tanh",
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 256,
        "rope_local_base_freq": 10_000.0,
        "rope_scaling": None,
        "final_logit_softcapping": None,
        "attn_logit_softcapping": None,
        "use_bidirectional_attention": False,
    },
    "mistral": {"sliding_window": None},
    "phi3": {
        "original_max_position_embeddings": _MAX_CONTEXT_TOKENS,
        "rope_scaling": None,
        "sliding_window": None,
        "partial_rotary_factor": 1.0,
    },
    "qwen3_moe": {
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
        "output_router_logits": False,
        "router_aux_loss_coef": 0.001,
    },
}
