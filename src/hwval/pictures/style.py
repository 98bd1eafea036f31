"""Colours and type of the pictures, and how one SVG serves light and dark pages.

Colours are those of Okabe and Ito (2008), whose hues are told apart with each usual kind of colour
blindness, made darker or lighter where they would have less than 3:1 of contrast to the ground.
Marker and line style say the same again, for print and for whoever sees no colour at all.

Source: https://jfly.uni-koeln.de/color/ and success criterion 1.4.11 of WCAG 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final

__all__ = ["CURVES", "GRID", "GROUND", "INK", "LINES", "MARKERS", "PAIRS", "QUIET", "RC", "adapt"]

GROUND: Final = "#fefefe"
INK: Final = "#1c2024"
QUIET: Final = "#5c6570"
GRID: Final = "#d5dae0"

CURVES: Final[Sequence[str]] = ("#0072b2", "#d55e00", "#00926b", "#b8608f", "#b07900", "#1c2025")
"""Blue, vermillion, bluish green, reddish purple, orange, black: one for each curve."""
MARKERS: Final[Sequence[str]] = ("o", "s", "^", "D", "v", "P")
LINES: Final[Sequence[Any]] = (
    "-",
    (0, (6, 2)),
    (0, (2, 1.5)),
    (0, (6, 2, 1.5, 2)),
    "-",
    (0, (6, 2)),
)

PAIRS: Final[Mapping[str, str]] = {
    GROUND: "#14171a",
    INK: "#e6e9ec",
    QUIET: "#a0a9b3",
    GRID: "#363d45",
    "#0072b2": "#56b4e9",
    "#d55e00": "#ff8a45",
    "#00926b": "#2ccb9b",
    "#b8608f": "#e79bc5",
    "#b07900": "#f0b93a",
    "#1c2025": "#e6e9ed",
}
"""Colour on a light page -> on a dark one."""

RC: Final[Mapping[str, Any]] = {
    # A cell may be called anything; "$" in it is no formula.
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": GROUND,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": GROUND,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "savefig.facecolor": GROUND,
    # The same numbers give the same bytes, and text stays text.
    "svg.hashsalt": "hwval",
    "svg.fonttype": "none",
}
"""Settings of matplotlib while a picture is drawn."""


def adapt(svg: str) -> str:
    """Return an SVG that follows the page's choice of light or dark.

    Colours stay in their place, so that a viewer without style sheets shows the light picture.
    """
    rules = "".join(
        f'[style*="{name}: {light}"]{{{name}:{dark} !important}}'
        for light, dark in PAIRS.items()
        for name in ("fill", "stroke")
    )
    # Without a colour of its own a text is black.
    rules += f"text:not([style*='fill:']){{fill:{PAIRS[INK]}}}"
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    head, mark, rest = svg.partition("<defs>")
    return f"{head}{style}{mark}{rest}"
