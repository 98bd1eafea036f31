"""Which layer of a model is of which kind: full or sliding attention, states, dense, experts.

The patterns are those of transformers' configuration classes as vLLM 0.32.0 reads them; each
function names the model files that decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from typing import Final
from typing import NamedTuple

from hwval.planning.config_values import ShapeError
from hwval.planning.config_values import first
from hwval.planning.config_values import flag
from hwval.planning.config_values import number
from hwval.planning.config_values import optional
from hwval.planning.layers import Attention
from hwval.planning.layers import Experts
from hwval.planning.layers import LatentAttention
from hwval.planning.layers import Layer
from hwval.planning.layers import Mamba
from hwval.planning.layers import Mixer
from hwval.planning.layers import Mlp
from hwval.planning.layers import StateSpace

__all__ = ["LayerPattern", "layers_of"]

_MAX_LAYERS: Final = 1024
_MAX_WIDTH: Final = 2**24
_MAX_HEADS: Final = 2**12
_PLAIN_MLP: Final = frozenset({
    "opt", "gpt2", "gpt_neox", "gptj", "phi", "falcon", "bloom", "starcoder2", "bert", "roberta",
    "xlm-roberta", "nemotron", "nemotron_h", "mpt",
})  # fmt: skip
_BIASED: Final = frozenset({"qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "opt", "gpt2", "bert"})
_WITH_LAST_FULL: Final = {"gemma3_text": 6, "gemma3": 6, "cohere2": 4, "gemma2": 2, "gpt_oss": 2}
# Their sliding window is off unless the config turns it on.
_WINDOW_IF_ASKED: Final = ("qwen2", "qwen3")
_UNKNOWN_MIXERS: Final = ("falcon_h1", "zamba", "rwkv", "recurrent_gemma", "lfm2", "falcon_mamba")
_KIND_OF_LETTER: Final = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
_KIND_NAMES: Final = {
    "full_attention": "full", "attention": "full", "*": "full", "sliding_attention": "window",
    "chunked_attention": "chunk", "linear_attention": "state", "mamba": "mamba", "mlp": "none",
    "moe": "none", "global": "full", "local": "window",
}  # fmt: skip


class LayerPattern(NamedTuple):
    """What ``layers_of`` finds.

    Attributes:
        kinds: The different layers that occur.
        order: For each layer, its index in ``kinds``.
        head_dim: Elements of an attention head; 0 without attention.
    """

    kinds: tuple[Layer, ...]
    order: tuple[int, ...]
    head_dim: int


def layers_of(text: Mapping[str, Any], model_type: str, hidden: int) -> LayerPattern:
    """Return the layers of a language model.

    Args:
        text: Configuration of the language model alone.
        model_type: transformers' name of its family.
        hidden: Width of its residual stream.

    Raises:
        ShapeError: A dimension is missing or absurd, or the family mixes tokens in an unknown way.
    """
    if model_type.startswith(_UNKNOWN_MIXERS):
        raise ShapeError(f"config.json: layers of model_type {model_type!r} are not known")
    names = _layer_names(text, model_type)
    mixers = {name: _mixer(name, text, model_type, hidden) for name in set(names)}
    feeds = [
        _feed_forward(text, model_type, hidden, index, name) for index, name in enumerate(names)
    ]
    indexed = _indexer_layers(text, len(names))
    shared_from = len(names) - (optional(text, "num_kv_shared_layers", low=0, high=len(names)) or 0)
    kinds: dict[Layer, int] = {}
    order = []
    for index, (name, feed) in enumerate(zip(names, feeds, strict=True)):
        mixer = mixers[name]
        if isinstance(mixer, LatentAttention) and mixer.indexer_dim and index not in indexed:
            mixer = _without_indexer(mixer)
        if isinstance(mixer, Attention) and index >= shared_from:
            mixer = _without_cache(mixer)
        order.append(kinds.setdefault(Layer(mixer, feed), len(kinds)))
    head_dims = [layer.mixer.head_dim for layer in kinds if isinstance(layer.mixer, Attention)]
    return LayerPattern(tuple(kinds), tuple(order), max(head_dims, default=0))


def _layer_names(text: Mapping[str, Any], model_type: str) -> list[str]:
    """Return for each layer a value of ``_KIND_NAMES``, after ``only`` if it has but one part."""
    letters = text.get("hybrid_override_pattern")
    if isinstance(letters, str):  # nemotron_h.py: one letter a layer
        if len(letters) > _MAX_LAYERS or not letters or not set(letters) <= set(_KIND_OF_LETTER):
            raise ShapeError("config.json: hybrid_override_pattern has letters other than M*-E")
        return [f"only {_KIND_OF_LETTER[letter]}" for letter in letters]
    listed = first(text, "layer_types", "layers_block_type")
    count = number(text, "num_hidden_layers", "n_layer", "n_layers", "num_layers", high=_MAX_LAYERS)
    if listed is not None:
        return _listed(listed, count, model_type, text)
    interval = optional(text, "full_attention_interval", high=_MAX_LAYERS)
    if interval and text.get("linear_num_value_heads"):  # qwen3_next.py
        return ["full" if (index + 1) % interval == 0 else "state" for index in range(count)]
    if _window(text, model_type) is None:
        return ["full"] * count
    period = optional(text, "sliding_window_pattern", high=_MAX_LAYERS)
    period = period or _WITH_LAST_FULL.get(model_type)
    if period is None:  # mistral, mixtral, phi3, starcoder2: Attention takes the cache's window
        return ["window"] * count
    return ["full" if (index + 1) % period == 0 else "window" for index in range(count)]


def _listed(listed: Any, count: int, model_type: str, text: Mapping[str, Any]) -> list[str]:
    if not isinstance(listed, Sequence) or isinstance(listed, str) or len(listed) < count:
        raise ShapeError(f"config.json: layer_types does not name {count} layers")
    names = [str(name) for name in listed[:count]]
    unknown = set(names) - set(_KIND_NAMES)
    if unknown:
        raise ShapeError(f"config.json: layer type {min(unknown)!r} is not known")
    if model_type == "nemotron_h":
        return [f"only {name}" for name in names]
    windowed = _window(text, model_type) is not None
    kinds = [_KIND_NAMES[name] for name in names]
    return ["full" if kind == "window" and not windowed else kind for kind in kinds]


def _window(text: Mapping[str, Any], model_type: str) -> int | None:
    asked = text.get("use_sliding_window")
    if asked is False or (asked is None and model_type.startswith(_WINDOW_IF_ASKED)):
        return None
    return optional(text, "sliding_window", low=0, high=2**40) or None


def _mixer(name: str, text: Mapping[str, Any], model_type: str, hidden: int) -> Mixer | None:
    kind = name.removeprefix("only ")
    kind = _KIND_NAMES.get(kind, kind)
    if kind == "none":
        return None
    if kind == "state":
        return _state_space(text)
    if kind == "mamba":
        return _mamba(text)
    if text.get("kv_lora_rank"):
        return _latent(text)
    return _attention(kind, text, model_type, hidden)


def _attention(kind: str, text: Mapping[str, Any], model_type: str, hidden: int) -> Attention:
    heads = number(text, "num_attention_heads", "n_head", "n_heads", high=_MAX_HEADS)
    kv_names = ("num_key_value_heads", "n_head_kv", "num_kv_heads", "n_kv_heads")
    kv_heads = optional(text, *kv_names, high=_MAX_HEADS)
    kv_heads = kv_heads or (1 if text.get("multi_query") is True else heads)
    head_dim = optional(text, "head_dim", "attention_head_dim", "kv_channels", high=2**14)
    if head_dim is None:
        if hidden % heads:
            raise ShapeError(f"config.json: {heads} heads do not divide hidden_size {hidden}")
        head_dim = hidden // heads
    window = None
    if kind == "window":
        window = _window(text, model_type)
    elif kind == "chunk":
        window = number(text, "attention_chunk_size", high=2**40)
    elif text.get("global_head_dim"):  # gemma4.py: full layers have heads of their own
        head_dim = number(text, "global_head_dim", high=2**14)
        kv_heads = optional(text, "num_global_key_value_heads", high=_MAX_HEADS) or kv_heads
    if kv_heads > heads:
        raise ShapeError(f"config.json: {kv_heads} KV heads for {heads} heads")
    if heads % kv_heads:  # vLLM 0.32.0, layers/attention/attention.py
        raise ShapeError(f"config.json: {heads} heads cannot share {kv_heads} KV heads")
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        value_dim=optional(text, "v_head_dim", "value_head_dim", high=2**14) or head_dim,
        window_tokens=window,
        biased=bool(first(text, "attention_bias", "qkv_bias")) or model_type in _BIASED,
        normed=model_type.startswith(("qwen3", "gemma3", "gemma4")) or bool(text.get("qk_norm")),
        gated=flag(
            text, "attn_output_gate", default=model_type.startswith(("qwen3_next", "qwen3_5"))
        ),
    )


def _without_cache(mixer: Attention) -> Attention:
    """Return attention that reads the cache of an earlier layer (gemma3n.py, gemma4.py)."""
    return replace(mixer, keeps_kv=False)


def _without_indexer(mixer: LatentAttention) -> LatentAttention:
    return replace(mixer, indexer_dim=0, indexer_heads=0)


def _latent(text: Mapping[str, Any]) -> LatentAttention:
    """deepseek_v2.py DeepseekV2MLAAttention; the indexer is that of DeepSeek-V3.2."""
    return LatentAttention(
        heads=number(text, "num_attention_heads", high=_MAX_HEADS),
        kv_rank=number(text, "kv_lora_rank", high=2**16),
        rope_dim=number(text, "qk_rope_head_dim", high=2**14),
        nope_dim=number(text, "qk_nope_head_dim", high=2**14),
        value_dim=number(text, "v_head_dim", high=2**14),
        query_rank=optional(text, "q_lora_rank", high=2**16),
        indexer_dim=optional(text, "index_head_dim", low=0, high=2**14) or 0,
        indexer_heads=optional(text, "index_n_heads", low=0, high=_MAX_HEADS) or 0,
    )


def _indexer_layers(text: Mapping[str, Any], count: int) -> frozenset[int]:
    """Return the layers whose indexer is their own; the others use an earlier layer's.

    vLLM 0.32.0, deepseek_v2.py: ``index_topk_pattern``, else every ``index_topk_freq``-th layer;
    transformers' GlmMoeDsaConfig names each layer's in ``indexer_types``.
    """
    types = text.get("indexer_types")
    if isinstance(types, Sequence) and not isinstance(types, str) and len(types) >= count:
        return frozenset(index for index in range(count) if types[index] != "shared")
    pattern = text.get("index_topk_pattern")
    if isinstance(pattern, Sequence) and len(pattern) >= count:
        return frozenset(index for index in range(count) if pattern[index] != "S")
    every = optional(text, "index_topk_freq", high=_MAX_LAYERS) or 1
    offset = optional(text, "index_skip_topk_offset", low=0, high=_MAX_LAYERS)
    offset = 2 if offset is None else offset
    return frozenset(index for index in range(count) if max(index - offset + 1, 0) % every == 0)


def _state_space(text: Mapping[str, Any]) -> StateSpace:
    """qwen3_next.py and qwen3_5.py, GatedDeltaNet."""
    return StateSpace(
        key_heads=number(text, "linear_num_key_heads", high=_MAX_HEADS),
        value_heads=number(text, "linear_num_value_heads", high=_MAX_HEADS),
        key_dim=number(text, "linear_key_head_dim", high=2**14),
        value_dim=number(text, "linear_value_head_dim", high=2**14),
        kernel=number(text, "linear_conv_kernel_dim", high=256),
        state_item_bytes=4 if text.get("mamba_ssm_dtype") == "float32" else 0,
    )


def _mamba(text: Mapping[str, Any]) -> Mamba:
    """mamba_mixer2.py; the names of nemotron_h.py, then those of bamba.py and granite."""
    return Mamba(
        heads=number(text, "mamba_num_heads", "mamba_n_heads", high=_MAX_HEADS),
        head_dim=number(text, "mamba_head_dim", "mamba_d_head", high=2**14),
        groups=number(text, "n_groups", "mamba_n_groups", high=_MAX_HEADS),
        state=number(text, "ssm_state_size", "mamba_d_state", high=2**14),
        kernel=number(text, "conv_kernel", "mamba_d_conv", high=256),
        state_item_bytes=4 if text.get("mamba_ssm_cache_dtype") == "float32" else 0,
    )


def _feed_forward(
    text: Mapping[str, Any], model_type: str, hidden: int, index: int, name: str
) -> Mlp | Experts | None:
    if name in {"only mamba", "only attention", "only full"}:
        return None
    if name != "only mlp" and (name == "only moe" or _has_experts(text, index)):
        return _experts(text, model_type)
    width = optional(text, "intermediate_size_mlp", high=_MAX_WIDTH)
    names = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")
    width = width or optional(text, *names, high=_MAX_WIDTH)
    if width is None:
        if model_type not in {"gpt2", "falcon", "bloom", "mpt"}:
            raise ShapeError("config.json has no 'intermediate_size'")
        width = 4 * hidden
    return Mlp(width, gated=model_type not in _PLAIN_MLP)


_EXPERT_COUNTS: Final = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


def _has_experts(text: Mapping[str, Any], index: int) -> bool:
    """Return whether a layer has experts.

    The keys are those of deepseek_v2.py (first_k_dense_replace, moe_layer_freq), qwen2_moe.py
    (mlp_only_layers, decoder_sparse_step), llama4.py (interleave_moe_layer_step) and of
    transformers' ``mlp_layer_types``.
    """
    if not optional(text, *_EXPERT_COUNTS, low=0, high=2**16):
        return False
    types = text.get("mlp_layer_types")
    if isinstance(types, Sequence) and index < len(types):
        return bool(types[index] == "sparse")
    only = text.get("mlp_only_layers")
    first_dense = optional(text, "first_k_dense_replace", low=0, high=_MAX_LAYERS) or 0
    if index < first_dense or (isinstance(only, Sequence) and index in only):
        return False
    listed = text.get("moe_layer_freq")
    if isinstance(listed, Sequence):
        return index < len(listed) and bool(listed[index])
    every = optional(text, "moe_layer_freq", high=_MAX_LAYERS) or 1
    names = ("decoder_sparse_step", "interleave_moe_layer_step")
    step = optional(text, *names, high=_MAX_LAYERS) or 1
    return index % every == 0 and (index + 1) % step == 0


def _experts(text: Mapping[str, Any], model_type: str) -> Experts:
    count = number(text, *_EXPERT_COUNTS, high=2**16)
    names = ("num_experts_per_tok", "moe_topk", "top_k_experts", "moe_k", "experts_per_token")
    widths = ("moe_intermediate_size", "expert_intermediate_size", "intermediate_size")
    width = number(text, *widths, high=_MAX_WIDTH)
    shared = optional(
        text,
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        low=0,
        high=_MAX_WIDTH,
    )
    if shared is None:
        shared = width * (optional(text, "n_shared_experts", low=0, high=2**10) or 0)
    return Experts(
        count=count,
        active=number(text, *names, high=count),
        width=width,
        shared_width=width if model_type == "llama4_text" else shared,
        dense_width=_dense_beside(text),
        gated=model_type not in _PLAIN_MLP,
        biased=model_type == "gpt_oss",
    )


def _dense_beside(text: Mapping[str, Any]) -> int:
    """gemma4.py: layers with ``enable_moe_block`` keep their dense network beside the experts."""
    if text.get("enable_moe_block") is not True:
        return 0
    return number(text, "intermediate_size", high=_MAX_WIDTH)
