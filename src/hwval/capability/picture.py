"""Pictures made on the spot: one shape of one colour on white, as PNG.

Source: PNG Specification, third edition (W3C, 2025): chunks, filter 0, colour type 2.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from collections.abc import Container
from collections.abc import Mapping
from typing import Final

__all__ = ["COLOURS", "SHAPES", "draw_png", "names_alone"]

_SIDE_PIXELS: Final = 336
_WHITE: Final = bytes((255, 255, 255))
COLOURS: Final[Mapping[str, tuple[int, int, int]]] = {
    "red": (220, 20, 30),
    "green": (20, 160, 40),
    "blue": (20, 60, 220),
    "yellow": (250, 220, 20),
}
"""Name -> red, green and blue, 0 to 255."""
# Whether a point belongs to the shape; both coordinates run from -1 to 1, down and to the right.
SHAPES: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "circle": lambda x, y: x * x + y * y <= 0.49,
    "square": lambda x, y: max(abs(x), abs(y)) <= 0.62,
    "triangle": lambda x, y: -0.7 <= y <= 0.6 and abs(x) <= (y + 0.7) * 0.6,
}
"""Name -> whether a point belongs to it."""


def draw_png(shape: str, colour: str) -> bytes:
    """Return a PNG of 336 x 336 pixels.

    Args:
        shape: A name in `SHAPES`.
        colour: A name in `COLOURS`.
    """
    contains, ink = SHAPES[shape], bytes(COLOURS[colour])
    scale = [2 * (index + 0.5) / _SIDE_PIXELS - 1 for index in range(_SIDE_PIXELS)]
    rows = (b"\0" + b"".join(ink if contains(x, y) else _WHITE for x in scale) for y in scale)
    header = struct.pack(">IIBBBBB", _SIDE_PIXELS, _SIDE_PIXELS, 8, 2, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(b"".join(rows))),
            _chunk(b"IEND", b""),
        )
    )


def names_alone(answer: str, wanted: str, names: Container[str]) -> bool:
    """Tell whether an answer names one thing and no other; who lists all names has seen nothing.

    Args:
        answer: What a model says, in small letters.
        wanted: The name that is right.
        names: It and all others.
    """
    return {word for word in re.findall(r"[a-z]+", answer) if word in names} == {wanted}


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
