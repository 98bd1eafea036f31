"""The shape of a model, read from the dictionary that its config.json holds.

Field names are those of the configuration classes of Hugging Face transformers; which of them are
read and what they default to follows vLLM 0.32.0 (``model_executor/models`` and
``transformers_utils/model_arch_config_convertor.py``). What is absurd or missing is refused by
name: a planner that guesses dimensions would be confident and wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final

from hwval.planning.config_values import ShapeError
from hwval.planning.config_values import first
from hwval.planning.config_values import flag
from hwval.planning.config_values import number
from hwval.planning.config_values import optional
from hwval.planning.config_values import section
from hwval.planning.layer_pattern import layers_of
from hwval.planning.layers import Layer
from hwval.planning.quantization import Quantization
from hwval.planning.quantization import read_quantization
from hwval.planning.vision import tower_params

__all__ = ["ModelShape", "ShapeError", "read_shape"]

_TEXT_SECTIONS: Final = ("text_config", "llm_config", "language_config")
_DTYPE_BYTES: Final = {"float16": 2, "bfloat16": 2, "half": 2, "float32": 4, "float": 4}
# Families whose head is the embedding without their config saying so.
_TIED: Final = {"gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n", "opt", "gpt2", "gemma4_text"}
# Values that config.json may leave out: defaults of transformers' configuration classes.
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "gemma3_text": {
        "vocab_size": 262208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131072,
    },
}
_SOMETIMES_UNUSED: Final = ("intermediate_size", "num_key_value_heads", "sliding_window")
# Encoders (vLLM 0.32.0, ``EncoderOnlyAttention``).
_ENCODERS: Final = {"bert", "roberta", "xlm-roberta", "nomic_bert", "modernbert", "gte", "new"}
# Architectures that end in hidden states: embedding, rewards, classification.
_HEADLESS: Final = ("Model", "ForSequenceClassification", "ForTokenClassification")


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Everything about a model that decides its bytes.

    Attributes:
        architecture: Class name as in config.json; empty if it does not say.
        model_type: transformers' name of the family; empty if it does not say.
        hidden: Width of the residual stream.
        vocab: Rows of the embedding.
        tied: Whether the head is the embedding.
        has_head: Whether there is a head at all; embedding models have none.
        kinds: The different layers that occur.
        order: For each layer, its index in ``kinds``.
        max_positions: Positions that the model knows; None if its config does not say.
        rope_dim: Elements of a head that carry the position; 0 without rotary embedding.
        item_bytes: Bytes of an element that is not quantized, as the checkpoint says.
        quantization: How the checkpoint is quantized; None if it is not.
        tower_params: Parameters of towers and projectors, estimated from their sections; 0 for text
            alone.
        is_encoder: Whether it sees its whole input at once and keeps no cache.
    """

    architecture: str
    model_type: str
    hidden: int
    vocab: int
    tied: bool
    has_head: bool
    kinds: tuple[Layer, ...]
    order: tuple[int, ...]
    max_positions: int | None
    rope_dim: int
    item_bytes: int
    quantization: Quantization | None
    tower_params: int = 0
    is_encoder: bool = False

    def __hash__(self) -> int:
        # Shapes are keys of many caches: what tells them apart is enough, and much less to hash.
        return hash((self.model_type, self.hidden, self.vocab, self.order))

    @property
    def layer_count(self) -> int:
        """Decoder layers, > 0."""
        return len(self.order)

    def stage(self, pipeline_parallel: int) -> Counter[Layer]:
        """Return the layers of the largest pipeline stage.

        vLLM 0.32.0, ``distributed/utils.py`` get_pp_indices: what cannot be divided goes one by one
        to the stages from the last but one backwards.

        Raises:
            ValueError: More stages than layers, or less than one.
        """
        if not 0 < pipeline_parallel <= self.layer_count:
            raise ValueError(f"{self.layer_count} layers make no {pipeline_parallel} stages")
        if pipeline_parallel == 1:
            return Counter(self.kinds[index] for index in self.order)
        share, rest = divmod(self.layer_count, pipeline_parallel)
        sizes = [share] * pipeline_parallel
        for place in range(2, rest + 2):
            sizes[-place] += 1
        stages, start = [], 0
        for size in sizes:
            stages.append(Counter(self.kinds[i] for i in self.order[start : start + size]))
            start += size
        return max(stages, key=Counter.total)


def read_shape(config: Mapping[str, Any]) -> ModelShape:
    """Return the shape that a config.json describes.

    Args:
        config: The parsed file; the language model of a multimodal one may be nested in it.

    Raises:
        ShapeError: A dimension is missing, absurd, or contradicts another.
    """
    if not isinstance(config, Mapping):
        raise ShapeError(f"a config.json holds an object, not {type(config).__name__}")
    text = _text(config)
    model_type = str(text.get("model_type") or config.get("model_type") or "")
    text = {**_DEFAULTS.get(model_type, {}), **text}
    hidden = number(text, "hidden_size", "n_embd", "d_model", "dim", high=2**20)
    for name in _SOMETIMES_UNUSED:  # absurd is absurd, even where this family does not look at it
        if not isinstance(text.get(name), list):  # one value for each layer
            optional(text, name, low=0, high=2**40)
    kinds, order, head_dim = layers_of(text, model_type, hidden)
    architecture = _architecture(config)
    return ModelShape(
        architecture=architecture,
        model_type=model_type,
        hidden=hidden,
        vocab=number(text, "vocab_size", "n_vocab", high=2**26),
        tied=_tied(config, text, model_type),
        has_head=not architecture.endswith(_HEADLESS) or not architecture,
        kinds=kinds,
        order=order,
        max_positions=_max_positions(text),
        rope_dim=_rope_dim(text, model_type, head_dim),
        item_bytes=_item_bytes(config, text),
        quantization=read_quantization(
            section(config, "quantization_config", "compression_config")
            or section(text, "quantization_config", "compression_config")
        ),
        tower_params=tower_params(config, hidden),
        is_encoder=model_type in _ENCODERS,
    )


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    outer = section(config, "thinker_config") or config
    return section(outer, *_TEXT_SECTIONS) or outer


def _architecture(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else ""


def _tied(config: Mapping[str, Any], text: Mapping[str, Any], model_type: str) -> bool:
    for part in (text, config):
        if "tie_word_embeddings" in part:
            return flag(part, "tie_word_embeddings")
    return model_type in _TIED


def _max_positions(text: Mapping[str, Any]) -> int | None:
    """Return the positions: what vLLM makes max_model_len of, scaled ropes included.

    vLLM 0.32.0, ``config/model.py`` _get_and_verify_max_len: of the known keys the smallest.
    """
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
    name = next((name for name in names if text.get(name)), None)
    if name is None:
        return None
    positions = number(text, name, high=2**40)
    scaling = section(text, "rope_scaling", "rope_parameters") or {}
    kind = first(scaling, "rope_type", "type")
    if kind == "yarn" and scaling.get("original_max_position_embeddings"):
        known = number(scaling, "original_max_position_embeddings", high=2**40)
        factor = scaling.get("factor")
        if isinstance(factor, (int, float)) and 1 <= factor <= 2**20:
            return max(positions, int(known * factor))
    return positions


def _rope_dim(text: Mapping[str, Any], model_type: str, head_dim: int) -> int:
    if model_type in {"opt", "gpt2", "bloom", "bert", "roberta", "xlm-roberta"}:
        return 0
    if text.get("qk_rope_head_dim"):
        return number(text, "qk_rope_head_dim", high=2**14)
    scaling = section(text, "rope_parameters") or {}
    share = first(text, "partial_rotary_factor", "rotary_pct")
    share = first(scaling, "partial_rotary_factor") if share is None else share
    return int(head_dim * share) if isinstance(share, float) and 0 < share <= 1 else head_dim


def _item_bytes(config: Mapping[str, Any], text: Mapping[str, Any]) -> int:
    """Return bytes of an element; vLLM serves float32 checkpoints in 16 bits (``dtype: auto``)."""
    name = first(text, "dtype", "torch_dtype") or first(config, "dtype", "torch_dtype")
    return 2 if name is None else min(2, _DTYPE_BYTES.get(str(name), 2))
