"""Pictures made on the spot: valid files that show what they are named for."""

from __future__ import annotations

import struct
import zlib

import pytest

from hwval.capability.picture import COLOURS
from hwval.capability.picture import SHAPES
from hwval.capability.picture import draw_png
from hwval.capability.picture import names_alone


def _pixels(data: bytes) -> list[list[tuple[int, ...]]]:
    """Read a PNG as its specification says, checks included."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, position = {}, 8
    while position < len(data):
        size, kind = struct.unpack(">I4s", data[position : position + 8])
        body = data[position + 8 : position + 8 + size]
        (checksum,) = struct.unpack(">I", data[position + 8 + size : position + 12 + size])
        assert checksum == zlib.crc32(kind + body)
        chunks[kind] = body
        position += 12 + size
    width, height, depth, colour_type, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour_type) == (8, 2)
    raw = zlib.decompress(chunks[b"IDAT"])
    stride = 1 + 3 * width
    assert len(raw) == stride * height
    rows = [raw[start : start + stride] for start in range(0, len(raw), stride)]
    assert all(row[0] == 0 for row in rows)
    return [[tuple(row[at : at + 3]) for at in range(1, stride, 3)] for row in rows]


@pytest.mark.parametrize("colour", COLOURS)
def test_shape_has_its_colour_on_white(colour: str) -> None:
    """The middle is inked, the corners are not, and there is no third colour."""
    rows = _pixels(draw_png("circle", colour))

    assert rows[168][168] == COLOURS[colour]
    assert rows[0][0] == rows[-1][-1] == (255, 255, 255)
    assert {pixel for row in rows for pixel in row} == {COLOURS[colour], (255, 255, 255)}


@pytest.mark.parametrize(
    ("shape", "filled"), [("circle", 0.785), ("square", 1.0), ("triangle", 0.5)]
)
def test_shapes_fill_their_box(shape: str, filled: float) -> None:
    """As much of it as their geometry says, and a good part of the picture."""
    rows = _pixels(draw_png(shape, "red"))
    inked = [
        (x, y) for y, row in enumerate(rows) for x, pixel in enumerate(row) if pixel != (255,) * 3
    ]
    width = len({x for x, _ in inked})
    height = len({y for _, y in inked})

    assert len(inked) / (width * height) == pytest.approx(filled, abs=0.02)
    assert width * height > len(rows) ** 2 / 4


@pytest.mark.parametrize(
    ("answer", "is_seen"),
    [
        ("red", True),
        ("the shape is **red**.", True),
        ("a coloured one, all covered", False),
        ("red, green, blue or yellow", False),
        ("", False),
    ],
)
def test_who_names_everything_names_nothing(answer: str, *, is_seen: bool) -> None:
    """One whole word, and no other of its kind."""
    assert names_alone(answer, "red", COLOURS) is is_seen


def test_every_shape_is_drawn() -> None:
    """No two look alike."""
    assert len({draw_png(shape, "blue") for shape in SHAPES}) == len(SHAPES)
