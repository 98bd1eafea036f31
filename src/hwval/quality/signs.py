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

__all__ = ["WINDOW_CHARACTERS", "Sign", "are_garbage", "signs_of", "signs_of_answers"]

WINDOW_CHARACTERS: Final = 400
"""How much of a text is looked at: compression grows with length, so that limits need one."""
_LOOP_UNIT_CHARACTERS: Final = 24
_LOOP_SHARE: Final = 0.5
_LOOP_TIMES: Final = 8
_COMPRESSION: Final = 6.0
_REPEATED_PHRASES: Final = 0.8
_PHRASE_WORDS: Final = 4
_REPEATED_WORDS: Final = 0.87
# Whoever writes sentences says one of thirty words twice; tokens drawn at random do not.
_NEW_WORDS: Final = 1.0
_LAST_WORDS: Final = 30
_NO_LETTERS: Final = 0.7
_UNBROKEN_SHARE: Final = 0.7
# ASCII alone: many scripts set no blanks between words.
_UNBROKEN: Final = re.compile(r"[!-~]{40,}")
_COMMON_PHRASES: Final = 0.5
# Of an answer that begins a text: fewer than two words, and fewer letters than some words have.
_LEAST_WORDS_SAID: Final = 2
_LEAST_LETTERS_SAID: Final = 16
# Below these lengths a short answer could be called repetitive for no reason.
_LEAST_PHRASES: Final = 16
_LEAST_WORDS_TO_REPEAT: Final = 40
_LEAST_CHARACTERS: Final = 64
_BROKEN_SHARE: Final = 0.02
_SCRIPTS: Final = 3
_SCRIPT_SHARE: Final = 0.02
_MIXED_WORDS: Final = 0.1
_LEAST_WORDS: Final = 8
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_EDGES: Final = re.compile(r"^\W+|\W+$")
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
        name: Which detector, as in ``docs/quality.md``.
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
    window = _window(text)
    if not window.strip():
        return (Sign("empty", 0, 1),)
    return tuple(sign for sign in _measure(window) if sign.value >= sign.limit)


def signs_of_answers(texts: Sequence[str]) -> list[tuple[Sign, ...]]:
    """Return the signs against each of several answers to prompts that have nothing in common.

    Beside those against the text itself, one against an answer that is that of another prompt, or
    whose phrases are, and one against an answer of hardly a word: the prompts ask for more.
    """
    said = [_said(text) for text in texts]
    phrases = [set(_phrases(_words(_window(text)))) for text in texts]
    found = []
    for place, text in enumerate(texts):
        others = set().union(*phrases[:place], *phrases[place + 1 :])
        own = phrases[place]
        share = len(own & others) / len(own) if len(own) >= _LEAST_PHRASES else 0.0
        if said[place] and said.count(said[place]) > 1:
            share = 1.0
        alike = [Sign("alike", share, _COMMON_PHRASES)] if share >= _COMMON_PHRASES else []
        found.append((*signs_of(text), *alike, *_short(text)))
    return found


def _said(text: str) -> str:
    """Return what an answer says, whatever its case, blanks and the punctuation around words."""
    window = _window(text)
    return " ".join(_words(window)) or "".join(window.split())


def _short(text: str) -> Iterator[Sign]:
    """Yield a sign against an answer of one word or none; letters count where no blanks are set."""
    window = _window(text)
    words = [word for word in _words(window) if any(map(str.isalpha, word))]
    letters = sum(map(str.isalpha, window))
    is_said = len(words) >= _LEAST_WORDS_SAID or letters >= _LEAST_LETTERS_SAID
    if window.strip() and not is_said:
        yield Sign("short", letters, _LEAST_LETTERS_SAID)


def _window(text: str) -> str:
    # An answer that ends at its limit of tokens may end within a character, of four bytes at most.
    return _CUT_CHARACTER.sub("", text[:WINDOW_CHARACTERS])


def _measure(text: str) -> Iterator[Sign]:
    yield Sign("broken", _broken_share(text), _BROKEN_SHARE, is_certain=True)
    yield Sign("loop", _loop_share(text), _LOOP_SHARE)
    if len(text) >= _LEAST_CHARACTERS:
        data = text.encode("utf-8", "replace")
        yield Sign("compression", len(data) / len(zlib.compress(data)), _COMPRESSION)
        yield Sign("no-letters", _share_without_letters(text), _NO_LETTERS)
        unbroken = sum(map(len, _UNBROKEN.findall(text))) / len(text)
        yield Sign("unbroken", unbroken, _UNBROKEN_SHARE)
    yield from _measure_words(_words(text))
    yield from _measure_scripts(_WORD.findall(text))


def _measure_words(words: Sequence[str]) -> Iterator[Sign]:
    phrases = list(_phrases(words))
    if len(phrases) >= _LEAST_PHRASES:
        yield Sign("phrases", 1 - len(set(phrases)) / len(phrases), _REPEATED_PHRASES)
    if len(words) >= _LEAST_WORDS_TO_REPEAT:
        yield Sign("few-words", 1 - len(set(words)) / len(words), _REPEATED_WORDS)
    if len(words) >= _LAST_WORDS:
        # The last ones, since garbage may begin after some words that are right.
        yield Sign("new-words", len(set(words[-_LAST_WORDS:])) / _LAST_WORDS, _NEW_WORDS)


def _measure_scripts(words: Sequence[str]) -> Iterator[Sign]:
    yield Sign("scripts", _script_count("".join(words)), _SCRIPTS)
    if len(words) >= _LEAST_WORDS:
        mixed = sum(len(_scripts(word)) > 1 for word in words) / len(words)
        yield Sign("mixed-words", mixed, _MIXED_WORDS)


def _words(text: str) -> list[str]:
    """Return the words, in small letters and without the punctuation around them."""
    return [word for part in text.casefold().split() if (word := _EDGES.sub("", part))]


def _phrases(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(_PHRASE_WORDS)), strict=False)


def _share_without_letters(text: str) -> float:
    """Return the share of characters, but for blanks, that are neither letters nor their marks."""
    seen = [character for character in text if not character.isspace()]
    letters = sum(unicodedata.category(character)[0] in "LM" for character in seen)
    return 1 - letters / len(seen)


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
    """Return the script of a letter by its Unicode name, empty for one that has none.

    Digits above and below the line count as letters to regular expressions and have none.
    """
    if unicodedata.category(letter) not in {"Lu", "Ll", "Lt", "Lo"}:
        return ""
    first = unicodedata.name(letter, "").partition(" ")[0]
    return "" if first in _ANY_SCRIPT else _SCRIPT_FAMILY.get(first, first)
