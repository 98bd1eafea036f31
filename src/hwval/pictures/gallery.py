"""Which pictures a run has, what they are called and where they lie.

A picture lies in the run's folder: ``pictures/throughput_vs_concurrency_rocm.png`` for what
compares cells, and beside its ``performance.json`` for what belongs to one question. What is drawn
follows from the journal and those files alone, so that it can be drawn again from a copy of them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from typing import NamedTuple
from typing import TypeVar

from hwval.performance.measurement import differing_workload
from hwval.pictures.draw import MOST_BARS
from hwval.pictures.draw import MOST_CURVES
from hwval.pictures.draw import Drawing
from hwval.pictures.draw import draw_ceilings
from hwval.pictures.draw import draw_latencies
from hwval.pictures.draw import draw_throughput
from hwval.pictures.draw import draw_ttft
from hwval.pictures.series import Bar
from hwval.pictures.series import Series
from hwval.pictures.series import bars_of
from hwval.pictures.series import read_series
from hwval.result import Run
from hwval.threshold import METRICS

__all__ = ["MOST_PICTURES", "Gallery", "Picture", "draw_pictures", "gallery_of"]

MOST_PICTURES: Final = 60
"""A picture takes a third of a second; of those beyond so many the page tells the number."""

_FOLDER: Final = "pictures"
_THROUGHPUT: Final = "throughput_vs_concurrency"
_CEILING: Final = "measured_against_ceiling"
_SWEEP: Final = "concurrency_sweep"
"""The question that asks for the curve; pictures of other questions have their name behind."""
_T = TypeVar("_T")
_FIELDS: Final = ("hardware", "image", "model", "dtype", "variant")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, drawn or not.

    Attributes:
        title: What it shows.
        stem: Its file relative to the run's folder, without ``.png`` and ``.svg``.
        owners: Cells and questions whose measurements it shows.
        is_overview: Whether it compares cells, and does not belong to one question.
        draw: Draws it; None comes of it where nothing that counts was measured.
    """

    title: str
    stem: str
    owners: frozenset[tuple[str, str]]
    is_overview: bool
    draw: Callable[[], Drawing | None]

    @property
    def png(self) -> str:
        """File for wherever no SVG is taken."""
        return f"{self.stem}.png"

    @property
    def svg(self) -> str:
        """File that follows light and dark."""
        return f"{self.stem}.svg"


class Gallery(NamedTuple):
    """The pictures of a run.

    Attributes:
        pictures: Those that compare cells first.
        left_out: Pictures that are not drawn, since there are too many.
        failed: Pictures that could not be drawn, and why.
        series: What they are made of.
    """

    pictures: tuple[Picture, ...] = ()
    left_out: int = 0
    failed: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()

    @property
    def overview(self) -> tuple[Picture, ...]:
        """Those that compare cells."""
        return tuple(picture for picture in self.pictures if picture.is_overview)

    def of_question(self, cell: str, question: str) -> Sequence[Picture]:
        """Return those that belong to one question of one cell."""
        return [one for one in self.shown_with(cell, question) if not one.is_overview]

    def shown_with(self, cell: str, question: str) -> Sequence[Picture]:
        """Return all that show measurements of one question of one cell."""
        return [picture for picture in self.pictures if (cell, question) in picture.owners]


def gallery_of(run: Run) -> Gallery:
    """Return the pictures that a run's measurements make; draws none."""
    series = tuple(read_series(run))
    pictures = [*_throughputs(series), *_ceilings(series)]
    pictures += [picture for each in series for picture in _of_question(each)]
    left_out = len(pictures[MOST_PICTURES:])
    return Gallery(tuple(pictures[:MOST_PICTURES]), left_out, series=series)


def draw_pictures(run: Run) -> Gallery:
    """Draw a run's pictures into its folder and return those that are there now.

    This does not raise: what cannot be drawn is told, and the rest of a report does without.
    """
    gallery = gallery_of(run)
    drawn, failed = [], []
    for picture in gallery.pictures:
        try:
            if _draw(picture, run.folder):
                drawn.append(picture)
        except Exception as error:  # noqa: BLE001 - no picture is worth a sign-off
            failed.append(f"{picture.stem}: {type(error).__name__}: {error}")
    _remove_stale(run.folder, drawn)
    return gallery._replace(pictures=tuple(drawn), failed=tuple(failed))


def _draw(picture: Picture, folder: Path) -> bool:
    drawing = picture.draw()
    if drawing is None:
        return False
    _write(folder / picture.png, drawing.png)
    _write(folder / picture.svg, drawing.svg)
    return True


def _remove_stale(folder: Path, drawn: Iterable[Picture]) -> None:
    """Remove what an earlier report drew of the cells together and this one did not."""
    kept = {folder / name for picture in drawn for name in (picture.png, picture.svg)}
    for name in (_THROUGHPUT, _CEILING):
        for path in (folder / _FOLDER).glob(f"{name}_*.[ps][nv]g"):
            if path not in kept:
                with suppress(OSError):  # an old picture is worth no report either
                    path.unlink()


def _throughputs(found: Sequence[Series]) -> Iterator[Picture]:
    curves = [series for series in found if series.is_a_curve]
    for vendor, question, group in _by_vendor(curves):
        loads = _by_workload(group)
        wanted = [(load, part) for load in loads for part in _chunks(load, MOST_CURVES)]
        stems = _stems(f"{_THROUGHPUT}_{vendor}", question, len(wanted))
        for stem, (load, part) in zip(stems, wanted, strict=True):
            names, common = _labels(part)
            workload = _workload(load[0], [other[0] for other in loads])
            labelled = list(zip(names, part, strict=True))
            yield Picture(
                f"Throughput against concurrency, {vendor}",
                stem,
                _owners(part),
                True,
                partial(draw_throughput, ", ".join(filter(None, [common, workload])), labelled),
            )


def _ceilings(found: Sequence[Series]) -> Iterator[Picture]:
    groups: defaultdict[str, list[Bar]] = defaultdict(list)
    for bar in bars_of(found):
        groups[bar.series.vendor].append(bar)
    for vendor, bars in sorted(groups.items()):
        parts = _chunks(bars, MOST_BARS)
        stems = _stems(f"{_CEILING}_{vendor}", _SWEEP, len(parts))
        for stem, part in zip(stems, parts, strict=True):
            names, common = _labels([bar.series for bar in part])
            labelled = [
                (f"{name}: {_what(bar)}", bar) for name, bar in zip(names, part, strict=True)
            ]
            yield Picture(
                f"Measured against the ceiling, {vendor}",
                stem,
                _owners(bar.series for bar in part),
                True,
                partial(draw_ceilings, common, labelled),
            )


def _of_question(series: Series) -> Iterator[Picture]:
    owners = _owners([series])
    for title, name, draw in (
        ("Latency percentiles", "latency_percentiles", draw_latencies),
        ("Time to first token of single requests", "ttft_histogram", draw_ttft),
    ):
        stem = f"{series.folder}/{name}"
        yield Picture(title, stem, owners, False, partial(draw, series))


def _by_vendor(found: Sequence[Series]) -> Iterator[tuple[str, str, list[Series]]]:
    """Yield the series of each vendor and question."""
    groups: defaultdict[tuple[str, str], list[Series]] = defaultdict(list)
    for series in found:
        groups[series.vendor, series.measurement.question].append(series)
    for (vendor, question), group in sorted(groups.items()):
        yield vendor, question, group


def _by_workload(group: Iterable[Series]) -> list[list[Series]]:
    """Return the series whose points mean the same together; shorter prompts are no better cell."""
    alike: list[list[Series]] = []
    for series in group:
        for others in alike:
            if not differing_workload(others[0].measurement.workload, series.measurement.workload):
                others.append(series)
                break
        else:
            alike.append([series])
    return alike


def _workload(one: Series, all_of_them: Iterable[Series]) -> str:
    """Return what a series was asked that others of its question were not; empty if all were."""
    told = one.measurement.workload
    names = (differing_workload(told, other.measurement.workload) for other in all_of_them)
    differing = dict.fromkeys(name for found in names for name in found)
    return ", ".join(f"{name} {told.get(name, 'not set')}" for name in differing)


def _chunks(found: Sequence[_T], most: int) -> list[Sequence[_T]]:
    return [found[start : start + most] for start in range(0, len(found), most)]


def _stems(name: str, question: str, count: int) -> Iterator[str]:
    """Yield the files of the pictures of one question that are too many, or too unlike, for one."""
    short = question.rpartition("/")[2]
    stem = f"{_FOLDER}/{name}" if short == _SWEEP else f"{_FOLDER}/{name}_{short}"
    for number in range(1, count + 1):
        yield stem if number == 1 else f"{stem}_{number}"


def _labels(found: Sequence[Series]) -> tuple[list[str], str]:
    """Return what tells each cell from the others, and what they have in common."""
    facts = [_facts(series) for series in found]
    shared = [name for name in facts[0] if len({each[name] for each in facts}) == 1]
    if len(shared) == len(facts[0]):
        shared.remove("model")  # one cell alone still has a name
    own = [" ".join(text for name, text in each.items() if name not in shared) for each in facts]
    common = ", ".join(text for name in shared if (text := facts[0][name]))
    return [" ".join(name.split()) or "plain" for name in own], common


def _facts(series: Series) -> dict[str, str]:
    """Return what a label may tell of a cell; two hosts may have the same hardware."""
    facts = {name: str(getattr(series.record, name)) for name in _FIELDS}
    return facts | {"host": f"on {series.host}" if series.host else ""}


def _owners(found: Iterable[Series]) -> frozenset[tuple[str, str]]:
    return frozenset(series.owner for series in found)


def _what(bar: Bar) -> str:
    question = bar.series.measurement.question.rpartition("/")[2].replace("_", " ")
    return f"{METRICS[bar.metric].title}, {question}, {bar.point.name}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
