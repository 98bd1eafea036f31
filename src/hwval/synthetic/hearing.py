"""Ears for a synthetic checkpoint: a small tower and a projector, as GLM-ASR has them.

GLM-ASR sets a Llama behind a tower of Whisper's kind, and vLLM serves it by chat and by
transcriptions alike. The projector writes only the directions that carry noise, so that a sound
shows in the log probabilities and the text stays what the language model alone would say.

Names of files and tensors are those of Hugging Face transformers 5.19.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwval.synthetic.architecture import HEARING_FIELDS
from hwval.synthetic.architecture import SyntheticModel
from hwval.synthetic.tokenizer import PAD_ID
from hwval.synthetic.tokenizer import SPECIAL_TOKENS
from hwval.synthetic.weights import noise_writer
from hwval.synthetic.weights import random_matrix

__all__ = ["HEARING_FILES", "add_hearing"]

Matrix = NDArray[np.floating]

_WIDTH, _INNER, _LAYERS, _MEL_BINS = (
    int(str(HEARING_FIELDS[name]))
    for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_mel_bins")
)
_KERNEL: Final = 3
# Sounds are filled up to it with silence, and cut beyond: short, so that a start takes no time.
_LONGEST_S: Final = 4

HEARING_FILES: Final[Mapping[str, Mapping[str, object]]] = {
    "processor_config.json": {
        "processor_class": "GlmAsrProcessor",
        "audio_token": SPECIAL_TOKENS[PAD_ID],
        "max_audio_len": _LONGEST_S,
    },
    "preprocessor_config.json": {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "GlmAsrProcessor",
        "feature_size": _MEL_BINS,
        "sampling_rate": 16_000,
        "chunk_length": _LONGEST_S,
    },
}
"""Name -> content of the files that tell how a sound becomes numbers."""


def add_hearing(model: SyntheticModel, text: Mapping[str, Any]) -> dict[str, Any]:
    """Return every tensor of a GLM-ASR by its name in the checkpoint.

    Args:
        model: What it is.
        text: The language model's tensors.
    """
    hidden = 2 * model.hidden_size
    first = random_matrix(model, "ear.projector", hidden, _INNER, exponent=-10)
    second = noise_writer(model, "ear.projector", hidden, exponent=-12)
    named = {f"audio_tower.{name}": value for name, value in _tower(model).items()}
    named |= _with_bias("multi_modal_projector.linear_1", first)
    named |= _with_bias("multi_modal_projector.linear_2", second)
    return named | {f"language_model.{name}": value for name, value in text.items()}


def _tower(model: SyntheticModel) -> dict[str, Matrix]:
    tensors = _norm("norm")
    for name, channels in (("conv1", _MEL_BINS), ("conv2", _WIDTH)):
        flat = random_matrix(model, f"ear.{name}", _WIDTH, channels * _KERNEL, exponent=-10)
        tensors |= _with_bias(name, flat.reshape(_WIDTH, channels, _KERNEL))
    for layer in range(_LAYERS):
        prefix = f"layers.{layer}."
        tensors |= {prefix + name: value for name, value in _layer(model, layer).items()}
    return tensors


def _layer(model: SyntheticModel, layer: int) -> dict[str, Matrix]:
    tensors = _norm("input_layernorm") | _norm("post_attention_layernorm")
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        weight = random_matrix(model, f"ear.{layer}.{name}", _WIDTH, _WIDTH, exponent=-10)
        tensors |= _with_bias(f"self_attn.{name}", weight)
    del tensors["self_attn.k_proj.bias"]  # the family has none
    for name, rows, columns in (("fc1", _INNER, _WIDTH), ("fc2", _WIDTH, _INNER)):
        weight = random_matrix(model, f"ear.{layer}.{name}", rows, columns, exponent=-10)
        tensors |= _with_bias(f"mlp.{name}", weight)
    return tensors


def _with_bias(name: str, weight: Matrix) -> dict[str, Matrix]:
    return {f"{name}.weight": weight, f"{name}.bias": np.zeros(len(weight))}


def _norm(name: str) -> dict[str, Matrix]:
    return {f"{name}.weight": np.ones(_WIDTH), f"{name}.bias": np.zeros(_WIDTH)}
