"""Shows people how two runs differ. Reasons are somebody else's text, and made harmless."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Final

from rich.box import Box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hwval.compare import AccuracyChange
from hwval.compare import CellChange
from hwval.compare import Change
from hwval.compare import Comparison
from hwval.compare import SpeedChange
from hwval.compare import VerdictChange
from hwval.inert import one_line
from hwval.threshold import METRICS

__all__ = ["print_comparison"]

_RULE: Final = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
_STYLES: Final = {
    Change.WORSE: "bold red",
    Change.LOST: "yellow",
    Change.CHANGED: "yellow",
    Change.INCOMPARABLE: "yellow",
    Change.BETTER: "green",
    Change.NEW: "green",
}
_MOST_CELLS: Final = 10


def print_comparison(found: Comparison, console: Console, *, show_all: bool = False) -> None:
    """Print what changed, cell by cell, and a line that counts it.

    Args:
        found: The two runs.
        console: Where to; its width and colours are respected.
        show_all: Whether to show what did not change, too.
    """
    console.print(Text(one_line(f"{found.base} -> {found.new}"), "bold"))
    for note in found.notes:
        console.print(Text(one_line(note)))
    shown = [cell for cell in found.cells if show_all or _has_news(cell)]
    for cell in shown:
        _print_cell(cell, console, show_all=show_all)
    for which, cells in (("base", found.only_base), ("new", found.only_new)):
        for text in _names(cells, f"only the {which} run asked"):
            console.print(Text(one_line(text)))
    console.print()
    console.print(Text(_counts(found), "bold"))


def _has_news(cell: CellChange) -> bool:
    return bool(cell.notes) or any(change is not Change.SAME for change in cell.changes)


def _names(cells: tuple[str, ...], what: str) -> Iterator[str]:
    if cells:
        rest = len(cells) - _MOST_CELLS
        more = f" and {rest} more" if rest > 0 else ""
        yield f"{what} {', '.join(cells[:_MOST_CELLS])}{more}"


def _counts(found: Comparison) -> str:
    counts = Counter(change for cell in found.cells for change in cell.changes)
    parts = [f"{counts[change]:,} {change}" for change in Change if counts[change]]
    many = "1 cell" if len(found.cells) == 1 else f"{len(found.cells):,} cells"
    return f"{many} compared: {', '.join(parts) or 'nothing to compare'}"


def _print_cell(cell: CellChange, console: Console, *, show_all: bool) -> None:
    console.print()
    console.print(Text(one_line(cell.cell), "bold"))
    if cell.incomparable:
        console.print(_line(Change.INCOMPARABLE, cell.incomparable))
        return
    for note in cell.notes:
        console.print(Padding(Text(one_line(note)), (0, 0, 0, 2), expand=False))
    for change, text in _verdicts(cell.verdicts, show_all=show_all):
        console.print(_line(change, text))
    speed = [one for one in cell.speed if show_all or one.change is not Change.SAME]
    if speed:
        console.print(Padding(_speed_table(speed), (0, 0, 0, 2), expand=False))
    if rest := len(cell.speed) - len(speed):
        text = f"{rest} more measurements without a sure change (--all shows them)"
        console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))
    for task in cell.accuracy:
        console.print(_line(task.change, _accuracy(task)))


def _verdicts(verdicts: Iterable[VerdictChange], *, show_all: bool) -> Iterator[tuple[Change, str]]:
    shown = [one for one in verdicts if show_all or one.change is not Change.SAME]
    behind = Counter((one.change, one.blocked_by) for one in shown if one.blocked_by)
    for one in shown:
        if one.blocked_by:
            continue
        text = f"{one.question}: {one.base} -> {one.new}"
        if not one.new.is_good and one.reason:
            text += f": {one.reason}"
        yield one.change, text
    for (change, question), count in behind.items():
        many = "1 question" if count == 1 else f"{count} questions"
        yield change, f"{many} behind {question} cannot be asked now"


def _speed_table(speed: Iterable[SpeedChange]) -> Table:
    table = Table(box=_RULE, show_edge=False, padding=0, header_style="bold")
    table.add_column("change", no_wrap=True)
    table.add_column("measured", overflow="fold")
    for name in ("base", "new"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("new/base (95 %)", justify="right", no_wrap=True)
    for one in speed:
        metric = METRICS[one.metric]
        where = " ".join(part for part in (_short(one.question), one.point, one.metric) if part)
        table.add_row(
            Text(one.change, _STYLES.get(one.change, "")),
            Text(one_line(where)),
            Text(_number(metric.format(one.base), metric.unit)),
            Text(_number(metric.format(one.new), metric.unit)),
            Text(_ratio(one)),
        )
    return table


def _short(question: str) -> str:
    return question.removeprefix("performance/")


def _number(text: str, unit: str) -> str:
    """Leave a unit out that the metric's name has already."""
    return text.removesuffix(unit).rstrip() if "/" in unit else text


def _ratio(one: SpeedChange) -> str:
    if one.low is None or one.high is None:
        return f"{one.ratio:.3f} (one round)"
    return f"{one.ratio:.3f} ({one.low:.3f} to {one.high:.3f})"


def _accuracy(task: AccuracyChange) -> str:
    before, now = task.base_right / task.n, task.new_right / task.n
    text = (
        f"{task.question} {task.task}: {before:.4f} -> {now:.4f} of {task.n} questions, "
        f"{task.lost} lost and {task.won} won; change {now - before:+.4f} "
        f"({task.low:+.4f} to {task.high:+.4f}, 95 %), McNemar p = {task.p_value:.2g}"
    )
    return "; ".join([text, *task.notes])


def _line(change: Change, text: str) -> Padding:
    line = Text.assemble((change, _STYLES.get(change, "")), " ", one_line(text))
    return Padding(line, (0, 0, 0, 2), expand=False)
