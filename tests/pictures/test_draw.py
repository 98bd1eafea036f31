"""What is on the pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from hwval.pictures.draw import Drawing
from hwval.pictures.draw import draw_ceilings
from hwval.pictures.draw import draw_latencies
from hwval.pictures.draw import draw_throughput
from hwval.pictures.draw import draw_ttft
from hwval.pictures.series import Series
from hwval.pictures.series import bars_of
from tests.fakes.sample_run import HOSTILE
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_measurement

CELL = make_cell("org/model $x_1$ 模型", hardware="gfx942-mi300x")
CURVE = Series(CELL, make_measurement(CELL, invalid=(64,)), "files")
POINT = Series(CELL, make_measurement(CELL, concurrencies=(8,)), "files")


def words(drawing: Drawing | None) -> list[str]:
    """Return the texts of a picture, which is well-formed."""
    assert drawing is not None
    root = ET.fromstring(drawing.svg)
    return ["".join(one.itertext()).strip() for one in root.iter() if one.tag.endswith("}text")]


def test_throughput_has_units_curves_and_what_does_not_count() -> None:
    """On axes and in the legend; "$" makes no formula."""
    found = words(draw_throughput("one image", [("first $x_1$", CURVE), ("second", POINT)]))

    assert {
        "Throughput against concurrency", "one image", "output, tokens/s",
        "concurrency, requests at a time", "first $x_1$", "first $x_1$: does not count", "second",
        "64",
    } <= set(found)  # fmt: skip


def test_latencies_are_drawn_against_the_load() -> None:
    """Each latency with its unit; the point that does not count is not there."""
    found = words(draw_latencies(CURVE))

    assert {"p50", "p90", "p99", "time to first token, ms", "whole answer, ms"} <= set(found)
    assert "32" in found
    assert "64" not in found


def test_latencies_against_a_rate() -> None:
    """An open loop has requests per second."""
    points = [
        replace(point, concurrency=None, rate_per_s=float(point.concurrency or 0))
        for point in CURVE.measurement.points
    ]
    series = replace(CURVE, measurement=replace(CURVE.measurement, points=points))

    assert "load, requests/s" in words(draw_latencies(series))


def test_latencies_of_one_point_are_dots() -> None:
    """There is nothing to draw a line through."""
    found = words(draw_latencies(POINT))

    assert {"Latency, concurrency 8", "time to first token", "ms"} <= set(found)


def test_first_tokens_are_counted() -> None:
    """Of the highest load that counts."""
    found = words(draw_ttft(CURVE))

    assert {"Time to first token, concurrency 32", "requests", "time to first token, ms"} <= set(
        found
    )
    assert any(text.startswith("p99: ") and text.endswith(" ms") for text in found)


def test_ceilings_tell_measured_and_possible() -> None:
    """With their units."""
    found = words(draw_ceilings("one image", [("a cell", bar) for bar in bars_of([CURVE])]))

    assert "measured, % of the ceiling" in found
    assert "a cell" in found
    assert any(re.fullmatch(r"45%: 59\.02 tokens/s of 130 tokens/s", text) for text in found)


@pytest.mark.parametrize("draw", [draw_latencies, draw_ttft])
def test_nothing_measured_is_no_picture(draw: Callable[[Series], Drawing | None]) -> None:
    """Rather than an empty one."""
    bad = make_measurement(CELL, invalid=(1, 2, 4, 8, 16, 32, 64))

    assert draw(Series(CELL, bad, "files")) is None


def test_same_numbers_give_the_same_bytes() -> None:
    """No date, no random name."""
    first, second = (draw_throughput("one image", [("a", CURVE)]) for _ in range(2))

    assert first == second
    assert b"<dc:date>" not in first.svg


def test_hostile_names_do_nothing() -> None:
    """They stand there as text, without the signs that nobody sees."""
    drawing = draw_throughput(HOSTILE, [(HOSTILE, CURVE)])
    root = ET.fromstring(drawing.svg)
    tags = {str(one.tag).rpartition("}")[2] for one in root.iter()}

    assert "script" not in tags
    assert "img" not in tags
    assert any("<script>alert(1)</script>" in text for text in words(drawing))
    assert b"\x1b" not in drawing.svg


def test_png_is_one() -> None:
    """Wide enough to be read."""
    drawing = draw_throughput("one image", [("a", CURVE)])

    with Image.open(io.BytesIO(drawing.png)) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
