"""Eyes for a synthetic checkpoint: a small SigLIP tower and a connector, as Idefics3 has them.

Idefics3 (SmolVLM) sets a Llama behind its eyes, and vLLM 0.32 takes it without torchvision. The
connector writes only the directions that carry noise, so that a picture shows in the log
probabilities and the text stays what the language model alone would say.

Names of files and tensors are those of Hugging Face transformers 5.19.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwval.synthetic.architecture import PATCHES_A_TOKEN_SIDE
from hwval.synthetic.architecture import VISION_FIELDS
from hwval.synthetic.architecture import SyntheticModel
from hwval.synthetic.weights import noise_writer
from hwval.synthetic.weights import random_matrix

__all__ = ["PROCESSOR_FILES", "add_sight"]

Matrix = NDArray[np.floating]

_WIDTH, _INNER, _LAYERS, _CHANNELS, _SIDE_PIXELS, _PATCH_PIXELS = (
    int(VISION_FIELDS[name])
    for name in (
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_channels",
        "image_size",
        "patch_size",
    )
)
_PATCHES: Final = (_SIDE_PIXELS // _PATCH_PIXELS) ** 2

PROCESSOR_FILES: Final[Mapping[str, Mapping[str, object]]] = {
    "processor_config.json": {
        "processor_class": "Idefics3Processor",
        "image_seq_len": _PATCHES // PATCHES_A_TOKEN_SIDE**2,
    },
    "preprocessor_config.json": {
        "image_processor_type": "Idefics3ImageProcessor",
        "processor_class": "Idefics3Processor",
        # A picture is never larger than one view, so that it is not split into several.
        "size": {"longest_edge": _SIDE_PIXELS},
        "max_image_size": {"longest_edge": _SIDE_PIXELS},
    },
}
"""Name -> content of the files that tell how a picture becomes numbers."""


def add_sight(model: SyntheticModel, text: Mapping[str, Any]) -> dict[str, Any]:
    """Return every tensor of an Idefics3 by its name in the checkpoint.

    Args:
        model: What it is.
        text: The language model's tensors.
    """
    named = {f"model.vision_model.{name}": value for name, value in _tower(model).items()}
    named["model.connector.modality_projection.proj.weight"] = noise_writer(
        model, "eye.connector", _WIDTH * PATCHES_A_TOKEN_SIDE**2, exponent=-12
    )
    for name, value in text.items():
        inside = name.removeprefix("model.")
        named[name if inside == name else f"model.text_model.{inside}"] = value
    return named


def _tower(model: SyntheticModel) -> dict[str, Matrix]:
    patch = (_CHANNELS, _PATCH_PIXELS, _PATCH_PIXELS)
    weight = random_matrix(model, "eye.patch", _WIDTH, int(np.prod(patch)), exponent=-10)
    place = random_matrix(model, "eye.position", _PATCHES, _WIDTH, exponent=-8)
    tensors = {
        "embeddings.patch_embedding.weight": weight.reshape(_WIDTH, *patch),
        "embeddings.patch_embedding.bias": np.zeros(_WIDTH),
        "embeddings.position_embedding.weight": place,
        **_norm("post_layernorm"),
    }
    for layer in range(_LAYERS):
        prefix = f"encoder.layers.{layer}."
        tensors |= {prefix + name: value for name, value in _layer(model, layer).items()}
    return tensors


def _layer(model: SyntheticModel, layer: int) -> dict[str, Matrix]:
    tensors = _norm("layer_norm1") | _norm("layer_norm2")
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        tensors |= _linear(model, layer, f"self_attn.{name}", _WIDTH, _WIDTH)
    tensors |= _linear(model, layer, "mlp.fc1", _INNER, _WIDTH)
    return tensors | _linear(model, layer, "mlp.fc2", _WIDTH, _INNER)


def _linear(
    model: SyntheticModel, layer: int, name: str, rows: int, columns: int
) -> dict[str, Matrix]:
    weight = random_matrix(model, f"eye.{layer}.{name}", rows, columns, exponent=-10)
    return {f"{name}.weight": weight, f"{name}.bias": np.zeros(rows)}


def _norm(name: str) -> dict[str, Matrix]:
    return {f"{name}.weight": np.ones(_WIDTH), f"{name}.bias": np.zeros(_WIDTH)}
