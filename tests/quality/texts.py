"""Garbage of many kinds, and healthy texts of many languages and forms, written for this project.

Garbage is drawn: six answers of a kind make what one broken engine would say to six prompts.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import yaml

__all__ = ["BLIND", "GARBAGE", "HEALTHY", "answers"]

Draw = Callable[[random.Random], str]

_PROSE: Final = (
    "The harbour was quiet that morning, and two fishermen mended their nets on the wall. ",
    "To make a simple soup, first warm some oil, then add onions and let them turn golden. ",
    "Ice floats because water takes more room when it freezes, so that it weighs less. ",
    "Dear neighbours, the lift will be out of order from Monday until Wednesday evening. ",
    "The printing press spread from Mainz to Venice within twenty years of its invention. ",
    "A bicycle is cheap to keep, it needs no fuel, and it keeps those who ride it healthy. ",
)
# ruff: noqa: SIM905 - words are easier to read in one line
_WORDS: Final = (
    "the дом 本棚 كتاب hus ειμι 집이 บ้าน das мир 山川 بيت tree λογος 나무 ต้น wir снег 火花 நிலம்"
).split()
_THREE: Final = "the дом 本棚 hus мир 山川 tree снег 火花 blue вода 海 stone хлеб 木".split()
_ENTITIES: Final = ("&nbsp;", "&amp;", "&#39;", "&quot;", "&lt;", "&gt;", "&#8217;")
_PIECES: Final = (
    "ing tion Str get Exception _id pre ment ):: ulla Xml ae isco .com () ober Ġthe quad ially "
    "http ns Wh ]; von ffer 199 ctx Sil ropy ==' ough bei {} Tab ific aju ▁de Null ashi //"
).split(" ")


def _drawn(pieces: tuple[str, ...] | list[str], between: str = " ", count: int = 90) -> Draw:
    return lambda draw: between.join(draw.choice(pieces) for _ in range(count))


def _letters(alphabet: str, low: int, high: int) -> Draw:
    def make(draw: random.Random) -> str:
        sizes = [draw.randint(low, high) for _ in range(70)]
        return " ".join("".join(draw.choices(alphabet, k=size)) for size in sizes)

    return make


def _then(start_characters: int, rest: Draw) -> Draw:
    return lambda draw: draw.choice(_PROSE)[:start_characters] + rest(draw)


_CAPITALS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BASE64: Final[Draw] = lambda draw: base64.b64encode(draw.randbytes(300)).decode()  # noqa: E731

GARBAGE: Final[dict[str, Draw]] = {
    "nothing": lambda _: "",
    "blanks": _drawn(["\n", " ", "\t", "\n\n"], ""),
    "replacement-characters": _drawn(["\ufffd", "a", " "], ""),
    "exclamation-marks": lambda _: "!" * 300,
    "one-word": lambda _: "the " * 90,
    "one-word-and-punctuation": _drawn(["no,", "no.", "no!", "no?", "no;", "no -"]),
    "one-token-in-variations": _drawn(["the", "The", "THE", "the,", "The."]),
    "three-words": _drawn(["and", "of", "then"]),
    "two-lines": _drawn(["- item one\n", "- item two\n"], "", 40),
    "script-soup": _drawn(_WORDS),
    "soup-of-three-scripts": _drawn(_THREE),
    "base64": _BASE64,
    "base64-in-lines": lambda draw: "\n".join(
        _BASE64(draw)[start : start + 76] for start in range(0, 380, 76)
    ),
    "hexadecimal": lambda draw: draw.randbytes(200).hex(),
    "entities": _drawn(_ENTITIES, ""),
    "entities-and-blanks": _drawn(_ENTITIES),
    "markup": _drawn(["</td>", "<td>", "<br/>", "</div>", "<p>", "<tr>"], ""),
    "reserved-tokens": _drawn(["<unk>", "<pad>", "<s>", "</s>", "<|endoftext|>"], ""),
    "capitals": _letters(_CAPITALS, 2, 9),
    "small-letters": _letters(_CAPITALS.lower(), 2, 9),
    "digits": lambda draw: " ".join(
        str(draw.randrange(10 ** draw.randint(1, 6))) for _ in range(80)
    ),
    "digits-without-blanks": lambda draw: "".join(draw.choices("0123456789", k=400)),
    "punctuation": _drawn(list(".,;:!?-()[]{}/\\'\"*&^%$#@~`|<>+="), "", 300),
    "pieces-of-words": _drawn(_PIECES, "", 110),
    "sound-then-blanks": _then(85, lambda _: "\n" * 300),
    "sound-then-one-word": _then(85, lambda _: "the " * 80),
    "sound-then-script-soup": _then(85, _drawn(_WORDS)),
    "sound-then-digits": _then(85, _drawn([str(n) for n in range(300)])),
    "sound-then-base64": _then(85, _BASE64),
    "sound-then-replacement": _then(85, lambda _: "\ufffd" * 20),
    "same-answer-to-all": lambda _: "".join(_PROSE[:4]),
}
"""Kind -> how one answer is drawn."""

_POOL: Final = "".join(_PROSE).replace(",", "").replace(".", "").split()

BLIND: Final[dict[str, Draw]] = {
    # A sentence that is said again and again is what small models that work do.
    "long-sentences-over-and-over": lambda draw: " ".join(draw.choices(_POOL, k=30) * 3),
    "words-of-a-text-at-random": lambda draw: " ".join(draw.sample(_POOL, 70)),
    "chinese-characters-at-random": lambda draw: "".join(
        chr(draw.randrange(0x4E00, 0x5800)) for _ in range(96)
    ),
    "fluent-and-wrong": lambda draw: draw.choice(list(HEALTHY.values())),
}
"""Kinds that no detector of text sees."""

HEALTHY: Final[dict[str, str]] = yaml.safe_load(
    Path(__file__).with_name("healthy.yaml").read_text("utf-8")
)
"""Form or language -> a text that a model that works may write."""


def answers(draw_one: Draw, seed: int) -> list[str]:
    """Return six answers of one kind."""
    draw = random.Random(seed)
    return [draw_one(draw) for _ in range(6)]
