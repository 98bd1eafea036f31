"""Ears before a synthetic language model: complete, and of no harm to what it says."""

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
from hwval.synthetic.hearing import HEARING_FILES
from hwval.synthetic.hearing import add_hearing
from hwval.synthetic.tokenizer import SOUND_TOKENS
from hwval.synthetic.tokenizer import speakable_ids
from hwval.synthetic.tokenizer import train_tokenizer
from hwval.synthetic.weights import build_weights

MODEL = ARCHITECTURES["glm-asr"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that hears."""
    return prepare_synthetic("synthetic:glm-asr", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def config(folder: Path) -> dict[str, Any]:
    """What its config.json says."""
    content: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    return content


def test_only_one_family_hears() -> None:
    """Ears belong to the architecture, and no model has two senses."""
    assert {name for name, model in ARCHITECTURES.items() if model.hears} == {"glm-asr"}
    assert not MODEL.sees


def test_shapes_follow_the_configuration(folder: Path, config: dict[str, Any]) -> None:
    """The tower's, the projector's and the language model's."""
    ears, hidden = config["audio_config"], config["text_config"]["hidden_size"]
    width, inner = ears["hidden_size"], ears["intermediate_size"]
    with safe_open(folder / "model.safetensors", "numpy") as file:
        names = file.keys()
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}

    assert shapes["audio_tower.conv1.weight"] == (width, ears["num_mel_bins"], 3)
    assert shapes["audio_tower.conv2.weight"] == (width, width, 3)
    assert shapes["multi_modal_projector.linear_1.weight"][1] == inner
    assert shapes["multi_modal_projector.linear_2.weight"] == (hidden, 2 * hidden)
    layers = {name.split(".")[2] for name in shapes if name.startswith("audio_tower.layers")}
    assert len(layers) == ears["num_hidden_layers"]
    assert "language_model.model.embed_tokens.weight" in shapes
    assert "language_model.lm_head.weight" in shapes


def test_four_steps_of_the_tower_are_one_token(config: dict[str, Any]) -> None:
    """The engine counts a sound's tokens by four, whatever the widths say."""
    ears = config["audio_config"]

    assert ears["intermediate_size"] == 4 * ears["hidden_size"]


def test_tower_knows_as_many_steps_as_the_longest_sound_has(config: dict[str, Any]) -> None:
    """A hundred frames a second, of which the convolutions make half as many steps."""
    features = HEARING_FILES["preprocessor_config.json"]
    longest_s = features["chunk_length"]

    assert features["feature_size"] == config["audio_config"]["num_mel_bins"]
    assert longest_s == HEARING_FILES["processor_config.json"]["max_audio_len"]
    assert config["audio_config"]["max_position_embeddings"] == 50 * int(str(longest_s))


def test_tokens_of_sounds_are_whole(folder: Path, config: dict[str, Any]) -> None:
    """Each is one token, and that of a sound is the one that the configuration means."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    part = str(HEARING_FILES["processor_config.json"]["audio_token"])

    for token in (*SOUND_TOKENS, part):
        assert len(tokenizer.encode(token, add_special_tokens=False).ids) == 1
    assert tokenizer.token_to_id(part) == config["audio_token_id"]
    assert tokenizer.get_vocab_size() == MODEL.vocab_size


def test_sound_says_nothing_to_the_mechanism_that_speaks() -> None:
    """What the ears write is orthogonal to places, voices and ranks."""
    tokenizer = train_tokenizer(MODEL.vocab_size, more_tokens=SOUND_TOKENS)
    text = build_weights(MODEL, speakable_ids(tokenizer))
    tensors = add_hearing(MODEL, text)
    written = tensors["multi_modal_projector.linear_2.weight"]
    listens = text["model.layers.1.self_attn.v_proj.weight"][:16]

    assert np.abs(written).max() > 0
    assert np.abs(listens @ written).max() < 1e-6 * np.abs(listens).max() * np.abs(written).max()
    assert not tensors["multi_modal_projector.linear_2.bias"].any()
