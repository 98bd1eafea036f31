"""Draws what was measured, with matplotlib, which nobody else knows.

Each function gives a picture as PNG and as SVG. The same numbers give the same bytes.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import Final
from typing import NamedTuple
from typing import cast

from hwval.inert import one_line
from hwval.performance.measurement import Point
from hwval.pictures.series import LATENCIES
from hwval.pictures.series import PERCENTILES
from hwval.pictures.series import THROUGHPUT
from hwval.pictures.series import Bar
from hwval.pictures.series import Series
from hwval.pictures.series import percentiles_of
from hwval.pictures.style import CURVES
from hwval.pictures.style import LINES
from hwval.pictures.style import MARKERS
from hwval.pictures.style import QUIET
from hwval.pictures.style import RC
from hwval.pictures.style import adapt
from hwval.threshold import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "MOST_BARS",
    "MOST_CURVES",
    "Drawing",
    "draw_ceilings",
    "draw_latencies",
    "draw_throughput",
    "draw_ttft",
]

MOST_CURVES: Final = len(CURVES)
"""Curves that one picture holds and an eye tells apart."""
MOST_BARS: Final = 12

_MEANS_TOLD: Final = (
    "mean over the rounds; p90 where each has 10 values or more, p99 where each has 100"
)
_DPI: Final = 144
_WIDTH_IN: Final = 7.6
_ROW_IN: Final = 0.2
_SMALL: Final = 8.5
_LABEL_CHARACTERS: Final = 96
_LABELLED_TICKS: Final = 9
_BINS: Final = 40
_APART: Final = 0.01
"""Part of the axis between curves at the same place, so that none hides the other's bars."""


class Drawing(NamedTuple):
    """A picture in both forms."""

    png: bytes
    svg: bytes


class _Load(NamedTuple):
    """The axis on which the points of a series differ."""

    title: str
    is_log: bool
    of: Callable[[Point], float]


_CONCURRENCY: Final = _Load(
    "concurrency, requests at a time", True, lambda point: point.concurrency or 0
)
_RATE: Final = _Load("load, requests/s", False, lambda point: point.rate_per_s or 0.0)


def draw_throughput(subtitle: str, curves: Sequence[tuple[str, Series]]) -> Drawing:
    """Draw output tokens per second against concurrency, one curve for each cell.

    Vertical bars are the intervals of the rounds' mean; where curves share a place, they stand side
    by side. A point that does not count is hollow and crossed, and no curve goes through it.

    Args:
        subtitle: What the curves have in common.
        curves: Label and points; 1 to `MOST_CURVES`.
    """

    def fill(figure: Figure) -> None:
        axes = figure.add_subplot()
        points = [point for _, series in curves for point in series.measurement.points]
        asides = _asides(len(curves), points)
        for (label, series), aside, style in zip(curves, asides, _styles(), strict=False):
            _curve(axes, _short(label), series, aside, style)
        _dress(axes, _CONCURRENCY, points)
        axes.set_ylabel("output, tokens/s")
        _from_zero(axes)
        _head(figure, "Throughput against concurrency", subtitle)
        _legend(figure, note="\n".join(notes))

    notes = _notes_of_curves([series for _, series in curves])
    rows = sum(1 + any(not p.valid for p in series.measurement.points) for _, series in curves)
    return _draw(fill, height_in=4.3 + _ROW_IN * (rows + len(notes)))


def draw_latencies(series: Series) -> Drawing | None:
    """Draw p50, p90 and p99 of each latency; against the load if there are several points.

    Each is the mean over the rounds; one of which a round has too few values is left out.

    Returns:
        None where no point that counts has latencies.
    """
    points = [point for point in series.valid_points if series.latencies(point)]
    if not points:
        return None
    load = _load_of(points)
    if load is None:
        return _draw(lambda figure: _dots(figure, series, points[-1]), height_in=3.6)
    found = [(load.of(point), series.latencies(point)) for point in points]
    names = [name for name in LATENCIES if any(name in values for _, values in found)]
    rows = -(-len(names) // 2)

    def fill(figure: Figure) -> None:
        for number, name in enumerate(names, 1):
            axes = figure.add_subplot(rows, min(2, len(names)), number)
            for statistic, style in zip(PERCENTILES, _styles(), strict=False):
                dots = [
                    (place, 1e3 * values[name][statistic])
                    for place, values in found
                    if statistic in values.get(name, {})
                ]
                if dots:
                    axes.plot(*zip(*dots, strict=True), label=statistic, **style)
            _dress(axes, load, points)
            _from_zero(axes)
            axes.set_ylabel(f"{LATENCIES[name]}, ms")
        _head(figure, f"Latency against {load.title.partition(',')[0]}", _name(series))
        _legend(figure, columns=3, note=_MEANS_TOLD)

    return _draw(fill, height_in=1.1 + 2.5 * rows)


def draw_ttft(series: Series) -> Drawing | None:
    """Draw how many requests waited how long for their first token, at the highest load.

    The percentiles are those of the requests drawn, and not the means over rounds that are judged.

    Returns:
        None where no point that counts has times of single requests.
    """
    points = [point for point in series.valid_points if point.ttft_values_s]
    if not points:
        return None
    point = points[-1]
    values_ms = [1e3 * value for value in point.ttft_values_s]

    def fill(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.add_subplot()
        bins = min(_BINS, max(5, len(values_ms) // 4))
        axes.hist(values_ms, bins=bins, color=CURVES[0])
        for (name, value_ms), colour, line in zip(
            percentiles_of(values_ms).items(), CURVES[1:], LINES[1:], strict=False
        ):
            label = f"{name}: {value_ms:,.4g} ms"
            axes.axvline(value_ms, label=label, color=colour, linestyle=line)
        axes.set_xlabel("time to first token, ms")
        axes.set_ylabel("requests")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_major_formatter(_thousands)
        _head(figure, f"Time to first token, {point.name}", _name(series))
        drawn = f"{len(values_ms):,} request{'s' * (len(values_ms) != 1)}"
        note = f"lines: percentiles of the {drawn} drawn; p90 of 10 or more, p99 of 100"
        _legend(figure, columns=3, note=note)

    return _draw(fill, height_in=3.9)


def draw_ceilings(subtitle: str, bars: Sequence[tuple[str, Bar]]) -> Drawing:
    """Draw what part of its roofline ceiling each measurement reaches.

    Args:
        subtitle: What the bars have in common.
        bars: Label and bar; 1 to `MOST_BARS`.
    """

    def fill(figure: Figure) -> None:
        axes = figure.add_subplot()
        places = range(len(bars) - 1, -1, -1)
        shares = [100 * bar.share for _, bar in bars]
        axes.barh(places, shares, height=0.5, color=CURVES[0])
        for place, (label, bar) in zip(places, bars, strict=True):
            form = METRICS[bar.metric].format
            text = f"{bar.share:.0%}: {form(bar.measured)} of {form(bar.ceiling)}"
            _note(axes, text, (100 * bar.share, place), "center")
            _note(axes, _short(label), (0, place + 0.27), "bottom")
        axes.axvline(100, color=CURVES[1], linestyle=LINES[1], label="ceiling by the roofline")
        axes.set_yticks([])
        axes.set_ylim(-0.5, len(bars) - 0.1)
        axes.set_xlim(0, max(140.0, 1.4 * max(shares)))
        axes.set_xlabel("measured, % of the ceiling")
        axes.grid(visible=False, axis="y")
        _head(figure, "Measured against the ceiling", subtitle)
        _legend(figure)

    return _draw(fill, height_in=1.6 + 0.5 * len(bars))


def _curve(axes: Axes, label: str, series: Series, aside: float, style: Mapping[str, Any]) -> None:
    measured = [point for point in series.measurement.points if THROUGHPUT in point.client]
    right = [point for point in measured if point.valid]
    wrong = [point for point in measured if not point.valid]
    axes.plot(*_throughputs(right, aside), label=label, **style)
    for point in right:
        if found := series.range_of(point, THROUGHPUT):
            place = aside * _CONCURRENCY.of(point)
            axes.vlines(place, *found, color=style["color"], linewidth=1.2)
    if wrong:
        hollow = {"color": style["color"], "linestyle": "none", "markerfacecolor": "none"}
        places = _throughputs(wrong, aside)
        axes.plot(*places, marker=style["marker"], markersize=9, **hollow)
        axes.plot(*places, marker="x", label=f"{label}: does not count", **hollow)


def _asides(count: int, points: Sequence[Point]) -> list[float]:
    """Return for each curve the factor that sets it to the side on an axis of logarithms."""
    places = [place for point in points if (place := _CONCURRENCY.of(point)) > 0]
    width = math.log2(max(places) / min(places)) if places else 0.0
    return [2 ** ((number - (count - 1) / 2) * _APART * width) for number in range(count)]


def _notes_of_curves(curves: Sequence[Series]) -> list[str]:
    ranges = [
        series.range_of(point, THROUGHPUT) for series in curves for point in series.valid_points
    ]
    if not any(ranges):
        return []
    told = "vertical bars: 95 % interval of the mean over the rounds (Student's t)"
    notes = [f"{told}; short ones lie behind the marker"]
    if len(curves) > 1:
        notes.append("curves stand a little to the side of each other, so that none hides another")
    return notes


def _throughputs(points: Sequence[Point], aside: float) -> tuple[list[float], list[float]]:
    places = [aside * _CONCURRENCY.of(point) for point in points]
    return places, [point.client[THROUGHPUT] for point in points]


def _load_of(points: Sequence[Point]) -> _Load | None:
    """Return the axis on which points differ, None if there is none."""
    if len({point.concurrency for point in points} - {None}) > 1:
        return _CONCURRENCY
    return _RATE if len({point.rate_per_s for point in points} - {None}) > 1 else None


def _dress(axes: Axes, load: _Load, points: Sequence[Point]) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xlabel(load.title)
    axes.yaxis.set_major_formatter(_thousands)
    if load.is_log:
        ticks = sorted({int(load.of(point)) for point in points} - {0})
        if len(ticks) > _LABELLED_TICKS:
            ticks = [tick for tick in ticks if tick & (tick - 1) == 0] or ticks[::2]
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())


def _from_zero(axes: Axes) -> None:
    # With the bottom alone the top would stay close above numbers that hardly differ.
    if (most := axes.dataLim.ymax) > 0:
        axes.set_ylim(0, 1.08 * most)


def _dots(figure: Figure, series: Series, point: Point) -> None:
    from matplotlib.ticker import LogLocator
    from matplotlib.ticker import NullFormatter

    axes = figure.add_subplot()
    found = series.latencies(point)
    places = dict(zip(found, range(len(found) - 1, -1, -1), strict=True))
    for statistic, style in zip(PERCENTILES, _styles(), strict=False):
        dots = [
            (1e3 * values[statistic], places[name])
            for name, values in found.items()
            if statistic in values
        ]
        if dots:
            axes.plot(*zip(*dots, strict=True), label=statistic, **{**style, "linestyle": "none"})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(_thousands)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(list(places.values()), [LATENCIES[name] for name in places])
    axes.set_ylim(-0.6, len(places) - 0.4)
    axes.set_xlabel("ms")
    _head(figure, f"Latency, {point.name}", _name(series))
    _legend(figure, columns=3, note=_MEANS_TOLD)


def _styles() -> list[dict[str, Any]]:
    found = zip(CURVES, MARKERS, LINES, strict=True)
    return [{"color": c, "marker": m, "linestyle": line} for c, m, line in found]


def _head(figure: Figure, title: str, subtitle: str) -> None:
    # The second line of the title holds the place of the subtitle, which has another style.
    figure.suptitle(f"{_short(title)}\n", x=0.012, ha="left", fontsize=11, fontweight="bold")
    top = 1 - 0.3 / figure.get_figheight()
    figure.text(0.012, top, _short(subtitle), va="top", fontsize=_SMALL, color=QUIET)


def _legend(figure: Figure, *, columns: int = 1, note: str = "") -> None:
    """Put what the axes name below them, each name once, under a note on all of it."""
    found = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in figure.axes]
    named = {label: handle for pairs in found for handle, label in pairs}
    if named:
        figure.legend(
            named.values(), named.keys(), loc="outside lower left", ncols=columns, fontsize=_SMALL,
            handlelength=3, title=note or None, title_fontsize=_SMALL, alignment="left",
        )  # fmt: skip


def _note(axes: Axes, text: str, at: tuple[float, float], align: Any) -> None:
    axes.annotate(text, at, xytext=(4, 0), textcoords="offset points", va=align, fontsize=_SMALL)


def _thousands(value: float, _: object = None) -> str:
    return f"{value:,.6g}"


def _name(series: Series) -> str:
    parts = [series.record.cell, series.measurement.question]
    return " · ".join([*parts, f"on {series.host}"] if series.host else parts)


def _short(text: str) -> str:
    """Return one line that fits: the beginning and the end, which differ most often."""
    line = one_line(text)
    if len(line) <= _LABEL_CHARACTERS:
        return line
    half = _LABEL_CHARACTERS // 2
    return f"{line[: half - 2]} … {line[-half + 1 :]}"


def _draw(fill: Callable[[Figure], None], *, height_in: float) -> Drawing:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(cast(Any, RC)), warnings.catch_warnings():
        # A name may have signs that the font lacks; PNG shows boxes then, SVG the signs.
        warnings.simplefilter("ignore", UserWarning)
        figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=_DPI, layout="constrained")
        fill(figure)
        png, svg = io.BytesIO(), io.BytesIO()
        # Not by `savefig`, which draws twice.
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(png, metadata={"Software": None})
        figure.set_layout_engine("none")  # it has found every place
        canvas = FigureCanvasSVG(figure)
        canvas.print_svg(svg, metadata={"Date": None, "Creator": None})
    return Drawing(png.getvalue(), adapt(svg.getvalue().decode()).encode())
