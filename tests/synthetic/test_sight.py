"""Eyes before a synthetic language model: complete, and of no harm to what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from tokenizers import Tokenizer

from hwval.synthetic import prepare_synthetic
from hwval.synthetic.architecture import ARCHITECTURES
from hwval.synthetic.sight import PROCESSOR_FILES
from hwval.synthetic.sight import add_sight
from hwval.synthetic.tokenizer import PICTURE_TOKENS
from hwval.synthetic.tokenizer import speakable_ids
from hwval.synthetic.tokenizer import train_tokenizer
from hwval.synthetic.weights import build_weights

MODEL = ARCHITECTURES["idefics3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that sees."""
    return prepare_synthetic("synthetic:idefics3", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def config(folder: Path) -> dict[str, Any]:
    """What its config.json says."""
    content: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    return content


def test_only_one_family_sees() -> None:
    """Eyes belong to the architecture."""
    assert {name for name, model in ARCHITECTURES.items() if model.sees} == {"idefics3"}


def test_shapes_follow_the_configuration(folder: Path, config: dict[str, Any]) -> None:
    """The tower's, the connector's and the language model's."""
    vision, hidden = config["vision_config"], config["text_config"]["hidden_size"]
    width, patch = vision["hidden_size"], vision["patch_size"]
    with safe_open(folder / "model.safetensors", "numpy") as file:
        names = file.keys()
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
    eyes = "model.vision_model."

    assert shapes[f"{eyes}embeddings.patch_embedding.weight"] == (width, 3, patch, patch)
    assert shapes[f"{eyes}embeddings.position_embedding.weight"][0] == _patches(config)
    assert shapes["model.connector.modality_projection.proj.weight"] == (
        hidden,
        width * config["scale_factor"] ** 2,
    )
    layers = {name.split(".")[4] for name in shapes if name.startswith(f"{eyes}encoder.layers")}
    assert len(layers) == vision["num_hidden_layers"]
    assert {"model.text_model.embed_tokens.weight", "lm_head.weight"} <= shapes.keys()


def _patches(config: dict[str, Any]) -> int:
    vision = config["vision_config"]
    return int((vision["image_size"] // vision["patch_size"]) ** 2)


def test_picture_takes_as_many_tokens_as_are_made_of_it(config: dict[str, Any]) -> None:
    """Processor and connector agree, and a picture is looked at in one piece."""
    told = PROCESSOR_FILES["processor_config.json"]["image_seq_len"]
    sizes = PROCESSOR_FILES["preprocessor_config.json"]

    assert told == _patches(config) // config["scale_factor"] ** 2
    assert sizes["size"] == sizes["max_image_size"] == {"longest_edge": 56}
    assert config["vision_config"]["image_size"] == 56


def test_tokens_of_pictures_are_whole(folder: Path, config: dict[str, Any]) -> None:
    """Each is one token, and the picture's is the one that the configuration means."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    ids = [tokenizer.encode(token, add_special_tokens=False).ids for token in PICTURE_TOKENS]
    assert [len(one) for one in ids] == [1] * len(PICTURE_TOKENS)
    assert ids[-1] == [config["image_token_id"]]
    assert tokenizer.get_vocab_size() == MODEL.vocab_size


def test_picture_says_nothing_to_the_mechanism_that_speaks() -> None:
    """What the eyes write is orthogonal to places, voices and ranks."""
    tokenizer = train_tokenizer(MODEL.vocab_size, more_tokens=PICTURE_TOKENS)
    text = build_weights(MODEL, speakable_ids(tokenizer))
    written = add_sight(MODEL, text)["model.connector.modality_projection.proj.weight"]
    listens = text["model.layers.1.self_attn.v_proj.weight"][:16]

    assert np.abs(written).max() > 0
    assert np.abs(listens @ written).max() < 1e-6 * np.abs(listens).max() * np.abs(written).max()
