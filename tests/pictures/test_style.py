"""Colours of the pictures, on both grounds."""

from __future__ import annotations

import pytest

from hwval.pictures.style import CURVES
from hwval.pictures.style import GROUND
from hwval.pictures.style import INK
from hwval.pictures.style import LINES
from hwval.pictures.style import MARKERS
from hwval.pictures.style import PAIRS
from hwval.pictures.style import QUIET
from hwval.pictures.style import adapt


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", CURVES)
def test_curves_stand_out_from_both_grounds(colour: str) -> None:
    """3:1 at least, as graphics need."""
    assert contrast(colour, GROUND) >= 3
    assert contrast(PAIRS[colour], PAIRS[GROUND]) >= 3


@pytest.mark.parametrize("colour", [INK, QUIET])
def test_text_is_readable_on_both_grounds(colour: str) -> None:
    """4.5:1 at least, as small text needs."""
    assert contrast(colour, GROUND) >= 4.5
    assert contrast(PAIRS[colour], PAIRS[GROUND]) >= 4.5


def test_each_curve_differs_in_more_than_colour() -> None:
    """Marker for marker; and no light colour stands for two dark ones."""
    assert len(CURVES) == len(set(CURVES)) == len(set(MARKERS)) == len(LINES)
    assert len(set(PAIRS.values())) == len(PAIRS)


def test_dark_colours_are_rules_and_light_ones_stay_in_place() -> None:
    """A viewer without style sheets shows the light picture."""
    svg = f'<svg><defs></defs><path style="fill: {GROUND}"/><text>a</text></svg>'
    adapted = adapt(svg)

    assert adapted.startswith("<svg><style>@media (prefers-color-scheme: dark){")
    assert f'[style*="fill: {GROUND}"]{{fill:{PAIRS[GROUND]} !important}}' in adapted
    assert adapted.endswith(svg.removeprefix("<svg>"))
