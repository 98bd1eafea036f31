"""Prompts of wanted lengths, different from each other but for the prefixes that they share.

With the model's tokenizer a prompt has exactly the wanted number of tokens, and each one is
checked; without it common English words stand in, about one token each in today's vocabularies.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from typing import Final
from typing import NamedTuple

from hwval.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["DoesNotFit", "PromptMaker", "Prompts", "check_prefix", "load_tokenizer"]

_COMMON_WORDS: Final = (
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work government "
    "number night point home water room mother area money story fact month lot right study book "
    "eye job word business issue side kind head house service friend father power hour game line "
    "end member law car city community name president team minute idea kid body information back "
    "parent face level office door health person art war history party result change morning "
    "reason research girl guy moment air teacher force education"
)
# How vocabularies write a word that follows a space: byte-level BPE, SentencePiece, WordPiece.
_WORD: Final = re.compile("[\u0120\u2581]?([a-z]{2,12})")
_MOST_WORDS: Final = 4096
_FEWEST_WORDS: Final = 16
_TRIES: Final = 12


class DoesNotFit(UsageError):  # noqa: N818 - an event: what was asked for is beyond the server
    """Requests as asked for cannot be written so that they fit."""


class Prompts(NamedTuple):
    """Prompts as asked for.

    Attributes:
        texts: One for each length.
        is_exact: Whether every one has exactly its number of tokens.
    """

    texts: list[str]
    is_exact: bool


class PromptMaker:
    """Makes prompts; the same seed makes the same ones.

    Args:
        seed: Of everything that is drawn.
        tokenizer: The model's, None where there is none at hand.
        counts_special_tokens: Whether tokens that the tokenizer adds by itself belong to the
            length. A completion's prompt gets them; in a chat the template decides, so that the
            length is the content's.
        prefix_tokens: Length of the beginning that prompts share; 0 for none.
        prefixes: How many different such beginnings there are, >= 1; prompts take turns.
    """

    def __init__(
        self,
        seed: int,
        tokenizer: Tokenizer | None = None,
        *,
        counts_special_tokens: bool = True,
        prefix_tokens: int = 0,
        prefixes: int = 1,
    ) -> None:
        self._random = Random(seed)  # noqa: S311 - prompts are no secret
        self._tokenizer = tokenizer
        self._special = counts_special_tokens
        self._words = _single_token_words(tokenizer) if tokenizer else _COMMON_WORDS.split()
        self._prefix_tokens = prefix_tokens
        many = prefixes if prefix_tokens else 0
        self._prefixes = [self._words_for(prefix_tokens) for _ in range(many)]
        self._made = 0

    @property
    def cycle_words(self) -> int | None:
        """Words after which every one was used as often as any other; None with a tokenizer."""
        return None if self._tokenizer else len(self._words)

    def make(self, lengths_tokens: Sequence[int]) -> Prompts:
        """Return a prompt for each length.

        Args:
            lengths_tokens: Wanted lengths, tokens >= 1.

        Raises:
            DoesNotFit: A prompt would be no longer than the prefix that it shares.
        """
        check_prefix(self._prefix_tokens, lengths_tokens)
        prompts = [self._draw(length) for length in lengths_tokens]
        is_exact = self._tokenizer is not None and self._fit(prompts, lengths_tokens)
        return Prompts([" ".join(words) for words in prompts], is_exact)

    def _draw(self, length: int) -> list[str]:
        prefix = self._prefixes[self._made % len(self._prefixes)] if self._prefixes else []
        self._made += 1
        return prefix + self._words_for(max(1, length - len(prefix)))

    def _words_for(self, tokens: int) -> list[str]:
        if self._tokenizer:
            return self._random.choices(self._words, k=tokens)
        # All words alike often, so that prompts of so many words take about as many tokens in any
        # vocabulary.
        full, rest = divmod(tokens, len(self._words))
        words = self._words * full + self._random.sample(self._words, rest)
        self._random.shuffle(words)
        return words

    def _fit(self, prompts: list[list[str]], lengths_tokens: Sequence[int]) -> bool:
        """Add or take away words until every prompt has its length; return whether that worked."""
        open_ones = list(range(len(prompts)))
        for _ in range(_TRIES):
            counts = self._count([" ".join(prompts[one]) for one in open_ones])
            surplus = {
                one: count - lengths_tokens[one]
                for one, count in zip(open_ones, counts, strict=True)
                if count != lengths_tokens[one]
            }
            for one, tokens in surplus.items():
                words = prompts[one]
                if tokens < 0:
                    words.extend(self._random.choices(self._words, k=-tokens))
                elif len(words) > self._prefix_tokens + 1:
                    del words[max(self._prefix_tokens + 1, len(words) - tokens) :]
                else:
                    words[-1] = self._random.choice(self._words)
            open_ones = list(surplus)
            if not open_ones:
                return True
        return False

    def _count(self, texts: list[str]) -> list[int]:
        if self._tokenizer is None:
            return []
        found = self._tokenizer.encode_batch(texts, add_special_tokens=self._special)
        return [len(encoding.ids) for encoding in found]


def check_prefix(prefix_tokens: int, lengths_tokens: Sequence[int]) -> None:
    """Refuse prompts that would be nothing but the beginning that they share.

    Raises:
        DoesNotFit: A prompt would be no longer than that.
    """
    shortest = min(lengths_tokens, default=0)
    if 0 < shortest <= prefix_tokens:
        raise DoesNotFit(
            f"a shared prefix of {prefix_tokens} tokens in prompts of {shortest}: expected longer "
            "prompts or a shorter prefix"
        )


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer: a ``tokenizer.json``, or the folder of a model that has one.

    Raises:
        UsageError: There is none, or it cannot be read.
    """
    from tokenizers import Tokenizer

    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"tokenizer {path}: expected tokenizer.json, or a folder that has one")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise UsageError(f"tokenizer {file}: cannot be read: {error}") from error


def _single_token_words(tokenizer: Tokenizer) -> list[str]:
    """Return words that add one token each to a text, as far as the vocabulary has such."""
    found = {match[1] for token in tokenizer.get_vocab() if (match := _WORD.fullmatch(token))}
    common = set(_COMMON_WORDS.split())
    words = sorted(found, key=lambda word: (word not in common, word))[:_MOST_WORDS]
    texts = [f"a {word} {word}" for word in words]
    alone = len(tokenizer.encode("a", add_special_tokens=False).ids)
    counts = [len(e.ids) for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    single = [word for word, count in zip(words, counts, strict=True) if count == alone + 2]
    return single if len(single) >= _FEWEST_WORDS else _COMMON_WORDS.split()
