"""The tokenizer of synthetic checkpoints: byte-level BPE, trained on the text beside this module.

Byte-level, so that every text can be encoded and comes back unchanged; trained on the spot, because
a thousand tokens from five kilobytes take less time than reading a downloaded vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tokenizers import AddedToken
from tokenizers import Tokenizer
from tokenizers import decoders
from tokenizers import models
from tokenizers import pre_tokenizers
from tokenizers import processors
from tokenizers import trainers

__all__ = [
    "BOS_ID",
    "EOS_ID",
    "PAD_ID",
    "PICTURE_TOKENS",
    "SOUND_TOKENS",
    "SPECIAL_TOKENS",
    "speakable_ids",
    "train_tokenizer",
    "training_text",
    "write_tokenizer",
]

SPECIAL_TOKENS: Final = (
    "<|pad|>",
    "<|bos|>",
    "<|eos|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
)
PICTURE_TOKENS: Final = (
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
    "<image>",
)
"""Special tokens around a picture in a prompt; the last one stands for a part of the picture."""
SOUND_TOKENS: Final = ("<|begin_of_audio|>", "<|end_of_audio|>")
"""Special tokens around a sound in a prompt; the pad token stands for a part of the sound."""
PAD_ID: Final = SPECIAL_TOKENS.index("<|pad|>")
BOS_ID: Final = SPECIAL_TOKENS.index("<|bos|>")
EOS_ID: Final = SPECIAL_TOKENS.index("<|eos|>")

# Roles are single tokens: the template then adds nothing that a prompt could contain by chance.
_CHAT_TEMPLATE: Final = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def training_text() -> str:
    """Return the text that the vocabulary is learned from."""
    return Path(__file__).with_name("text.txt").read_text(encoding="utf-8")


def train_tokenizer(vocab_size: int, *, more_tokens: Sequence[str] = ()) -> Tokenizer:
    """Learn a byte-level BPE tokenizer with exactly ``vocab_size`` tokens, special ones first.

    Args:
        vocab_size: Number of tokens.
        more_tokens: Special ones that some models have besides; they are the last.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(more_tokens),
        min_frequency=1,
        show_progress=False,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator([training_text()], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in more_tokens])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|bos|> $A", pair="<|bos|> $A $B", special_tokens=[("<|bos|>", BOS_ID)]
    )
    return tokenizer


def speakable_ids(tokenizer: Tokenizer) -> list[int]:
    """Return the ids, ascending, of tokens that are text by themselves.

    Left out are special tokens, pieces of a UTF-8 character, and control characters.
    """
    ids = range(len(SPECIAL_TOKENS), tokenizer.get_vocab_size())
    return [token_id for token_id in ids if _is_text(tokenizer.decode([token_id]))]


def _is_text(piece: str) -> bool:
    return bool(piece) and piece.isprintable() and "\N{REPLACEMENT CHARACTER}" not in piece


def write_tokenizer(tokenizer: Tokenizer, folder: Path, *, max_context_tokens: int) -> None:
    """Write tokenizer.json, tokenizer_config.json and the chat template into ``folder``."""
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        # The generic class: a family's own class would rebuild the vocabulary in its own way.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIAL_TOKENS[BOS_ID],
        "eos_token": SPECIAL_TOKENS[EOS_ID],
        "pad_token": SPECIAL_TOKENS[PAD_ID],
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_context_tokens,
        "chat_template": _CHAT_TEMPLATE,
    }
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
