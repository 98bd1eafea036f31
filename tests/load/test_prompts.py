"""Prompts of wanted lengths."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers import models
from tokenizers import pre_tokenizers

from hwval.errors import UsageError
from hwval.load.prompts import PromptMaker
from hwval.load.prompts import load_tokenizer
from hwval.synthetic.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(1024)
BYTES = Tokenizer(models.BPE(vocab={chr(65 + n): n for n in range(58)}, merges=[]))
"""A tokenizer without a single word."""


def count(text: str, *, special: bool = True) -> int:
    return len(TOKENIZER.encode(text, add_special_tokens=special).ids)


@given(lengths=st.lists(st.integers(9, 400), min_size=1, max_size=5), seed=st.integers(0))
def test_lengths_are_exact_with_a_tokenizer(lengths: list[int], seed: int) -> None:
    """Special tokens that the server adds by itself included."""
    texts, is_exact = PromptMaker(seed, TOKENIZER).make(lengths)

    assert is_exact
    assert [count(text) for text in texts] == lengths


def test_content_of_a_chat_counts_alone() -> None:
    """The template's tokens are the server's business."""
    maker = PromptMaker(1, TOKENIZER, counts_special_tokens=False)
    texts, is_exact = maker.make([9, 50])

    assert is_exact
    assert [count(text, special=False) for text in texts] == [9, 50]


def test_lengths_are_approximate_without_one() -> None:
    """A word a token, and said so."""
    texts, is_exact = PromptMaker(1).make([1, 50])

    assert not is_exact
    assert [len(text.split()) for text in texts] == [1, 50]


def test_length_that_cannot_be_is_told() -> None:
    """With its first token taken by the tokenizer, one token leaves no room for a word."""
    texts, is_exact = PromptMaker(1, TOKENIZER).make([1])

    assert not is_exact
    assert texts[0]


def test_tokenizer_without_words_still_fits() -> None:
    """Any text will do then."""
    BYTES.pre_tokenizer = pre_tokenizers.Whitespace()
    texts, is_exact = PromptMaker(1, BYTES).make([40])

    assert is_exact == (len(BYTES.encode(texts[0]).ids) == 40)


def test_prompts_differ_and_repeat_with_the_seed() -> None:
    """No prompt is found in a cache by chance; the same seed makes the same ones."""
    texts = PromptMaker(1, TOKENIZER).make([30] * 100).texts

    assert len(set(texts)) == 100
    assert texts == PromptMaker(1, TOKENIZER).make([30] * 100).texts
    assert not set(texts) & set(PromptMaker(2, TOKENIZER).make([30] * 100).texts)


@pytest.mark.parametrize("tokenizer", [TOKENIZER, None], ids=["exact", "approximate"])
def test_prefixes_are_shared_in_turn(tokenizer: Tokenizer | None) -> None:
    """Prompts of one prefix begin alike, the others differ from the start."""
    maker = PromptMaker(5, tokenizer, prefix_tokens=40, prefixes=2)
    texts = maker.make([60] * 6).texts
    beginnings = [text.split()[:40] for text in texts]

    assert beginnings[0] == beginnings[2] == beginnings[4]
    assert beginnings[1] == beginnings[3] != beginnings[0]
    assert len(set(texts)) == 6


def test_prefix_as_long_as_the_prompt_is_refused() -> None:
    """Such prompts would all be the same."""
    with pytest.raises(UsageError, match="shared prefix of 40 tokens in prompts of 40"):
        PromptMaker(5, prefix_tokens=40).make([60, 40])


class TestLoadTokenizer:
    def test_file_and_folder_are_the_same(self, tmp_path: Path) -> None:
        """Either may be named."""
        TOKENIZER.save(str(tmp_path / "tokenizer.json"))

        for path in (tmp_path, tmp_path / "tokenizer.json"):
            assert load_tokenizer(path).get_vocab_size() == TOKENIZER.get_vocab_size()

    def test_missing_one_is_told(self, tmp_path: Path) -> None:
        """With what was expected."""
        with pytest.raises(UsageError, match=r"expected tokenizer\.json"):
            load_tokenizer(tmp_path)

    def test_broken_one_is_told(self, tmp_path: Path) -> None:
        """With the library's reason."""
        (tmp_path / "tokenizer.json").write_text("{}")
        with pytest.raises(UsageError, match="cannot be read"):
            load_tokenizer(tmp_path)
