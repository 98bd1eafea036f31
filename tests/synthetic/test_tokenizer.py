"""The tokenizer of synthetic checkpoints: nothing is lost, and it is always the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwval.synthetic.tokenizer import BOS_ID
from hwval.synthetic.tokenizer import SPECIAL_TOKENS
from hwval.synthetic.tokenizer import speakable_ids
from hwval.synthetic.tokenizer import train_tokenizer
from hwval.synthetic.tokenizer import write_tokenizer
from hwval.synthetic.weights import PLACES
from hwval.synthetic.weights import VOICES


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("The capital of France is", id="english"),
        pytest.param("Grüße, ¿qué tal? Żółw", id="latin"),
        pytest.param("你好,世界 こんにちは 안녕", id="cjk"),
        pytest.param("👩‍🔬 🏳️‍🌈 e\u0301 \u202e", id="joined-and-marks"),
        pytest.param("\t\n  spaces \x00", id="white-space"),
        pytest.param("", id="empty"),
    ],
)
def test_text_comes_back_unchanged(text: str) -> None:
    """Bytes are the alphabet, so that every text can be encoded."""
    tokenizer = train_tokenizer(1024)

    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_vocabulary_has_the_promised_size_and_starts_with_special_tokens() -> None:
    """Every row of the embedding belongs to a token."""
    tokenizer = train_tokenizer(1024)

    assert tokenizer.get_vocab_size() == 1024
    assert [tokenizer.id_to_token(n) for n in range(len(SPECIAL_TOKENS))] == list(SPECIAL_TOKENS)
    assert tokenizer.encode("x").ids[0] == BOS_ID


def test_enough_tokens_can_be_spoken() -> None:
    """The weights' mechanism has a token for each place and voice."""
    assert len(speakable_ids(train_tokenizer(1024))) >= PLACES * VOICES


def test_training_gives_the_same_vocabulary_again() -> None:
    """Two trainings agree in every byte."""
    assert train_tokenizer(1024).to_str() == train_tokenizer(1024).to_str()


def test_settings_name_the_special_tokens_and_a_chat_template(tmp_path: Path) -> None:
    """What transformers reads is beside the vocabulary."""
    write_tokenizer(train_tokenizer(1024), tmp_path, max_context_tokens=99)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))

    assert settings["eos_token"] == "<|eos|>"
    assert settings["model_max_length"] == 99
    assert "<|assistant|>" in settings["chat_template"]
