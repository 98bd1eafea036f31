"""What is on the pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from hwval.pictures.draw import Drawing
from hwval.pictures.draw import draw_ceilings
from hwval.pictures.draw import draw_latencies
from hwval.pictures.draw import draw_throughput
from hwval.pictures.draw import draw_ttft
from hwval.pictures.series import LATENCIES
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


def bars(drawing: Drawing) -> list[str]:
    """Return where the vertical bars of a picture stand."""
    return re.findall(r'id="LineCollection_\d+">\s*<path d="M ([\d.]+) ', drawing.svg.decode())


def series_of(values_s: Sequence[float], requests: int) -> Series:
    """Return a point with these times to first token, and so many requests a round."""
    points = [replace(point, ttft_values_s=values_s) for point in POINT.measurement.points]
    rounds = [replace(one, requests=requests) for one in POINT.measurement.rounds]
    return replace(POINT, measurement=replace(POINT.measurement, points=points, rounds=rounds))


def test_throughput_has_units_curves_and_what_does_not_count() -> None:
    """On axes and in the legend; "$" makes no formula."""
    found = words(draw_throughput("one image", [("first $x_1$", CURVE), ("second", POINT)]))

    assert {
        "Throughput against concurrency", "one image", "output, tokens/s",
        "concurrency, requests at a time", "first $x_1$", "first $x_1$: does not count", "second",
        "64",
    } <= set(found)  # fmt: skip


def test_intervals_are_told_and_stand_side_by_side() -> None:
    """Two cells that measured the same hide nothing of each other; one alone stands on its tick."""
    both = draw_throughput("one image", [("first", CURVE), ("second", CURVE)])
    alone = draw_throughput("one image", [("first", CURVE)])
    valid = len(CURVE.valid_points)

    assert len(set(bars(both))) == 2 * valid
    assert len(set(bars(alone))) == valid
    for drawing, is_aside in ((both, True), (alone, False)):
        told = " ".join(words(drawing))
        assert "vertical bars: 95 % interval of the mean over the rounds" in told
        assert ("to the side of each other" in told) is is_aside


def test_no_interval_needs_no_words() -> None:
    """One round has none."""
    single = replace(CURVE.measurement, rounds=())
    drawing = draw_throughput("one image", [("first", replace(CURVE, measurement=single))])

    assert not bars(drawing)
    assert not any("vertical bars" in text for text in words(drawing))


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


@pytest.mark.parametrize(
    ("requests", "shown"),
    [(1, {"p50"}), (10, {"p50", "p90"}), (100, {"p50", "p90", "p99"})],
)
def test_marker_needs_enough_requests_a_round(requests: int, shown: set[str]) -> None:
    """Of one request a round p50, p90 and p99 were one spot, told three times."""
    series = series_of((), requests)
    client = {
        name: value
        for name, value in POINT.measurement.points[0].client.items()
        if "itl" not in name
    }
    points = [replace(point, client=client) for point in series.measurement.points]
    found = words(
        draw_latencies(replace(series, measurement=replace(series.measurement, points=points)))
    )

    assert {text for text in found if text.startswith("p")} - set(LATENCIES.values()) == shown
    assert any(text.startswith("mean over the rounds; p90 where each has 10") for text in found)


def test_first_tokens_are_counted() -> None:
    """Of the highest load that counts."""
    found = words(draw_ttft(CURVE))

    assert {"Time to first token, concurrency 32", "requests", "time to first token, ms"} <= set(
        found
    )
    assert any(text.startswith("p99: ") and text.endswith(" ms") for text in found)


@pytest.mark.parametrize(
    ("count", "lines"),
    [
        (1, ["p50: 100 ms"]),
        (9, ["p50: 104 ms"]),
        (80, ["p50: 139.5 ms", "p90: 171.1 ms"]),
        (101, ["p50: 150 ms", "p90: 190 ms", "p99: 199 ms"]),
    ],
)
def test_lines_are_percentiles_of_what_is_drawn(count: int, lines: list[str]) -> None:
    """Not those of rounds, which are elsewhere; none of which there are too few requests."""
    found = words(draw_ttft(series_of([0.1 + 0.001 * n for n in range(count)], 8)))
    drawn = f"{count} request{'s' if count > 1 else ''} drawn"

    assert [text for text in found if re.match(r"p\d\d: ", text)] == lines
    assert any(text.startswith(f"lines: percentiles of the {drawn}") for text in found)


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
