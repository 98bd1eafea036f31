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
from hwval.units import format_count

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
_NARROW: Final = 80
"""Columns of a terminal below which an interval goes to a line of its own."""
_UNCHANGED: Final = "without a sure change"


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
    for line in _counts(found):
        console.print(Text(line, "bold"))


def _has_news(cell: CellChange) -> bool:
    return bool(cell.notes or cell.left_out) or any(
        change is not Change.SAME for change in cell.changes
    )


def _names(cells: tuple[str, ...], what: str) -> Iterator[str]:
    if cells:
        rest = len(cells) - _MOST_CELLS
        more = f" and {rest} more" if rest > 0 else ""
        yield f"{what} {', '.join(cells[:_MOST_CELLS])}{more}"


def _counts(found: Comparison) -> Iterator[str]:
    """Yield what was compared, and of each kind of thing what became of how many."""
    alone = (("base", found.only_base), ("new", found.only_new))
    missed = [f"{len(cells):,} of the {run} run alone" for run, cells in alone if cells]
    yield ", ".join([f"{format_count(len(found.cells), 'cell')} compared", *missed])
    if incomparable := sum(bool(cell.incomparable) for cell in found.cells):
        yield f"  cells: {incomparable:,} incomparable"
    cells = [cell for cell in found.cells if not cell.incomparable]
    for noun, same, changes in (
        ("question", "as before", [one.change for cell in cells for one in cell.verdicts]),
        ("measurement", _UNCHANGED, [one.change for cell in cells for one in cell.speed]),
        ("accuracy task", _UNCHANGED, [one.change for cell in cells for one in cell.accuracy]),
    ):
        counts = Counter(changes)
        words = {change: same if change is Change.SAME else str(change) for change in Change}
        parts = [f"{counts[change]:,} {words[change]}" for change in Change if counts[change]]
        if parts:
            yield f"  {format_count(len(changes), noun)}: {', '.join(parts)}"
    changes = [one.change for cell in cells for one in cell.verdicts]
    if lost := changes.count(Change.LOST):
        have = "has" if lost == 1 else "have"
        yield (
            f"  {lost:,} of {format_count(len(changes), 'question')} {have} no answer in the new "
            "run: whether they got worse is not known"
        )
    if left_out := sum(len(cell.left_out) for cell in cells):
        yield f"  not compared, for the reasons above: {left_out:,}"


def _print_cell(cell: CellChange, console: Console, *, show_all: bool) -> None:
    console.print()
    console.print(Text(one_line(cell.cell), "bold"))
    if cell.incomparable:
        console.print(_line(Change.INCOMPARABLE, cell.incomparable))
        return
    for note in cell.notes:
        console.print(Padding(Text(one_line(note)), (0, 0, 0, 2), expand=False))
    for one, text in _verdicts(cell.verdicts, show_all=show_all):
        # An answer that is new is good news only if it is a good one.
        style = "yellow" if one.change is Change.NEW and not one.new.is_good else None
        console.print(_line(one.change, text, style))
    speed = [one for one in cell.speed if show_all or one.change is not Change.SAME]
    if speed:
        console.print(
            Padding(
                _speed_table(speed, is_narrow=console.width < _NARROW), (0, 0, 0, 2), expand=False
            )
        )
    if rest := len(cell.speed) - len(speed):
        it = "it" if rest == 1 else "them"
        text = f"{format_count(rest, 'more measurement')} {_UNCHANGED} (--all shows {it})"
        console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))
    for task in cell.accuracy:
        console.print(_line(task.change, _accuracy(task)))
    for left in cell.left_out:
        what = f"{left.question}: {left.what}" if left.what else left.question
        console.print(_line("not compared", f"{what}: {left.why}", "yellow"))


def _verdicts(
    verdicts: Iterable[VerdictChange], *, show_all: bool
) -> Iterator[tuple[VerdictChange, str]]:
    """Yield what is told; of many questions behind the same failure, the first stands for all."""
    shown = [one for one in verdicts if show_all or one.change is not Change.SAME]
    behind: dict[tuple[Change, str], list[VerdictChange]] = {}
    for one in shown:
        if one.blocked_by:
            behind.setdefault((one.change, one.blocked_by), []).append(one)
            continue
        text = f"{one.question}: {one.base} -> {one.new}"
        if not one.new.is_good and one.reason:
            text += f": {one.reason}"
        yield one, text
    for (_, question), found in behind.items():
        many = format_count(len(found), "question")
        yield found[0], f"{many} behind {question} cannot be asked now"


def _speed_table(speed: Iterable[SpeedChange], *, is_narrow: bool) -> Table:
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
            Text(_ratio(one, "\n" if is_narrow else " ")),
        )
    return table


def _short(question: str) -> str:
    return question.removeprefix("performance/")


def _number(text: str, unit: str) -> str:
    """Leave a unit out that the metric's name has already."""
    return text.removesuffix(unit).rstrip() if "/" in unit else text


def _ratio(one: SpeedChange, gap: str) -> str:
    known = one.low is not None and one.high is not None
    return f"{one.ratio:.3f}{gap}({f'{one.low:.3f} to {one.high:.3f}' if known else 'one round'})"


def _accuracy(task: AccuracyChange) -> str:
    before, now = task.base_right / task.n, task.new_right / task.n
    text = (
        f"{task.question} {task.task}: {before:.4f} -> {now:.4f} of {task.n} questions, "
        f"{task.lost} lost and {task.won} won; change {now - before:+.4f} "
        f"({task.low:+.4f} to {task.high:+.4f}, 95 %), McNemar p = {task.p_value:.2g}"
    )
    return "; ".join([text, *task.notes])


def _line(word: str, text: str, style: str | None = None) -> Padding:
    style = _STYLES.get(Change(word), "") if style is None else style
    line = Text.assemble((word, style), " ", one_line(text))
    return Padding(line, (0, 0, 0, 2), expand=False)
