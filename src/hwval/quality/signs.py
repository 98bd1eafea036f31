"""Signs that a text is no text, from its characters alone.

A small model that works may well say the same sentence over and over when it decodes greedily, so
a sign counts for little by itself: `are_garbage` asks for more than half of several answers to
different prompts, except for broken characters, which no working model writes.

The limits stand above what 717 greedy answers of Llama-3.1-8B-Instruct to the biology questions of
MMLU-Pro reach in their first 400 characters, where 28 of them loop by whole sentences; the figures
are in ``docs/quality.md``.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

__all__ = ["WINDOW_CHARACTERS", "Sign", "are_garbage", "signs_of"]

WINDOW_CHARACTERS: Final = 400
"""How much of a text is looked at: compression grows with length, so that limits need one."""
_LOOP_UNIT_CHARACTERS: Final = 24
_LOOP_SHARE: Final = 0.5
_LOOP_TIMES: Final = 8
_COMPRESSION: Final = 6.0
_REPEATED_PHRASES: Final = 0.8
_PHRASE_WORDS: Final = 4
# Below these lengths a short answer could be called repetitive for no reason.
_LEAST_PHRASES: Final = 16
_LEAST_CHARACTERS: Final = 64
_BROKEN_SHARE: Final = 0.02
_SCRIPTS: Final = 4
_SCRIPT_SHARE: Final = 0.02
_MIXED_WORDS: Final = 0.1
_LEAST_WORDS: Final = 8
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_CUT_CHARACTER: Final = re.compile("\N{REPLACEMENT CHARACTER}{1,3}\\Z")
_LAYOUT: Final = frozenset("\n\r\t")
# Scripts that one language mixes.
_SCRIPT_FAMILY: Final = {
    "HIRAGANA": "CJK",
    "KATAKANA": "CJK",
    "KATAKANA-HIRAGANA": "CJK",
    "BOPOMOFO": "CJK",
    "HANGUL": "CJK",
    "IDEOGRAPHIC": "CJK",
    "FULLWIDTH": "LATIN",
    "MODIFIER": "LATIN",
}
# Without a script of their own: symbols, units, mathematics.
_ANY_SCRIPT: Final = frozenset({"MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "MICRO", "FEMININE"})


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that speaks against a text.

    Attributes:
        name: Which detector: ``empty``, ``loop``, ``compression``, ``phrases``, ``broken``,
            ``scripts`` or ``mixed-words``.
        value: What was seen, a ratio or a count.
        limit: From where on it is a sign.
        is_certain: Whether one such answer is enough.
    """

    name: str
    value: float
    limit: float
    is_certain: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.value:.3g} (limit {self.limit:g})"


def are_garbage(findings: Sequence[Sequence[Sign]]) -> bool:
    """Tell whether answers to several prompts are garbage, given the signs in each.

    One certain sign is enough; of the others there must be some in more than half of the answers.
    """
    if any(sign.is_certain for signs in findings for sign in signs):
        return True
    return sum(bool(signs) for signs in findings) > len(findings) / 2


def signs_of(text: str) -> tuple[Sign, ...]:
    """Return every sign against ``text``, of which the first `WINDOW_CHARACTERS` are looked at."""
    # An answer that ends at its limit of tokens may end within a character, of four bytes at most.
    window = _CUT_CHARACTER.sub("", text[:WINDOW_CHARACTERS])
    if not window.strip():
        return (Sign("empty", 0, 1),)
    return tuple(sign for sign in _measure(window) if sign.value >= sign.limit)


def _measure(text: str) -> Iterator[Sign]:
    yield Sign("broken", _broken_share(text), _BROKEN_SHARE, is_certain=True)
    yield Sign("loop", _loop_share(text), _LOOP_SHARE)
    if len(text) >= _LEAST_CHARACTERS:
        data = text.encode("utf-8", "replace")
        yield Sign("compression", len(data) / len(zlib.compress(data)), _COMPRESSION)
    yield Sign("phrases", _repeated_share(text), _REPEATED_PHRASES)
    words = _WORD.findall(text)
    yield Sign("scripts", _script_count("".join(words)), _SCRIPTS)
    if len(words) >= _LEAST_WORDS:
        mixed = sum(len(_scripts(word)) > 1 for word in words) / len(words)
        yield Sign("mixed-words", mixed, _MIXED_WORDS)


def _broken_share(text: str) -> float:
    """Return the share of characters that stand for nothing: replacement, control, unassigned."""
    broken = sum(
        character == "\N{REPLACEMENT CHARACTER}"
        or (
            unicodedata.category(character) in {"Cc", "Co", "Cn", "Cs"} and character not in _LAYOUT
        )
        for character in text
    )
    return broken / max(len(text), 1)


def _loop_share(text: str) -> float:
    """Return the share of ``text`` that the longest run of one short unit takes.

    Sentences said twice are longer than the units that are looked for: working models do that.
    """
    longest = 0
    for unit in range(1, _LOOP_UNIT_CHARACTERS + 1):
        run = 0
        for index in range(unit, len(text)):
            run = run + 1 if text[index] == text[index - unit] else 0
            if run + unit >= unit * _LOOP_TIMES:
                longest = max(longest, run + unit)
    return longest / max(len(text), 1)


def _repeated_share(text: str) -> float:
    """Return the share of phrases of four words that were said before."""
    words = text.split()
    phrases = Counter(zip(*(words[start:] for start in range(_PHRASE_WORDS)), strict=False))
    total = phrases.total()
    return 1 - len(phrases) / total if total >= _LEAST_PHRASES else 0.0


def _script_count(letters: str) -> int:
    """Return how many scripts take a fair share of the letters."""
    if len(letters) < _LEAST_CHARACTERS / 2:
        return 0
    counts = Counter(script for letter in letters if (script := _script(letter)))
    return sum(count >= _SCRIPT_SHARE * len(letters) for count in counts.values())


def _scripts(word: str) -> frozenset[str]:
    return frozenset(script for letter in word if (script := _script(letter)))


@lru_cache(maxsize=2**12)
def _script(letter: str) -> str:
    """Return the script of a letter by its Unicode name, empty for one that has none."""
    first = unicodedata.name(letter, "").partition(" ")[0]
    return "" if first in _ANY_SCRIPT else _SCRIPT_FAMILY.get(first, first)
