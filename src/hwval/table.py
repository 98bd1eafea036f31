"""The table of verdicts at the end of a run in the terminal, and a line for each that is not good.

Readable at 80 columns and in a log file: ASCII rules, a word for each verdict, no colour where
nobody asked for it (rich decides by the stream and ``NO_COLOR``).
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Final

from rich.box import Box
from rich.console import Console
from rich.console import ConsoleOptions
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hwval.inert import one_line
from hwval.result import VerdictRecord
from hwval.signoff import format_start
from hwval.summary import CellSummary
from hwval.summary import Summary
from hwval.summary import format_counts
from hwval.verdict import Outcome

__all__ = ["print_table"]

_STYLES: Final = {
    Outcome.PASS: "green",
    Outcome.FIXED: "green",
    Outcome.FAIL: "bold red",
    Outcome.INFRA: "yellow",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.KNOWN: "yellow",
}
_WIDE_COLUMNS: Final = 140
"""From this width on hardware and image stand in each row; below it they head a block of rows."""
_NARROW_COLUMNS: Final = 100
"""Below this width model, dtype and variant share a column, so that words stay whole."""
_MAX_CELLS: Final = 200
"""Cells explained in the terminal; beyond that the page is the place to read."""
_MAX_IMPOSSIBLE: Final = 20
"""Cells named for one reason why they are impossible; beyond that the page is the place to read."""
_MAX_CAUSE: Final = 100
"""Characters in the table's last column, where a reason stands if there is no cause."""
_MAX_REASON: Final = 320
"""Characters of a reason that the terminal shows: a score's words fill half a page."""
_MAX_EVIDENCE: Final = 240
"""Characters of the evidence line that the terminal shows; the page has all of it."""
_RULE: Final = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


class _Words:
    """Text of a narrow column that breaks behind spaces and hyphens, before it breaks a word."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        lines = textwrap.wrap(self._text, max(1, options.max_width)) or [""]
        yield Text("\n".join(lines), overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        # The longest piece between hyphens would be enough; names of causes and models stay whole
        # where there is room.
        return Measurement.get(console, options, Text(self._text, overflow="fold"))


def print_table(summary: Summary, console: Console) -> None:
    """Print what a run came to.

    Args:
        summary: The run.
        console: Where to; its width and colours are respected.
    """
    for heading, cells in _blocks(summary.asked, wide=console.width >= _WIDE_COLUMNS):
        if heading:
            console.print(Text(heading, style="bold"))
        console.print(_table(cells, columns=_columns(cells, console.width)))
        console.print()
    not_good = [cell for cell in summary.asked if not cell.outcome.is_good]
    for cell in not_good[:_MAX_CELLS]:
        _print_reasons(cell, console)
    if len(not_good) > _MAX_CELLS:
        rest = len(not_good) - _MAX_CELLS
        console.print(Text(f"{rest:,} more cells that did not pass: see the sign-off page"))
    for (outcome, reason), left_out in summary.not_asked.items():
        many = "1 cell" if len(left_out) == 1 else f"{len(left_out):,} cells"
        console.print(_line(outcome, f"{many} not asked: {one_line(reason)}"))
        if outcome is Outcome.IMPOSSIBLE:
            for cell in left_out[:_MAX_IMPOSSIBLE]:
                console.print(Padding(Text(one_line(cell.record.cell)), (0, 0, 0, 2), expand=False))
    for warning in summary.warnings:
        console.print(Text(f"warning: {one_line(warning)}"))
    count = "1 cell" if len(summary.cells) == 1 else f"{len(summary.cells):,} cells"
    console.print(Text(f"{count}: {format_counts(summary.counts)}"))
    console.print(Text(summary.headline, style="bold"))


def _blocks(
    cells: tuple[CellSummary, ...], *, wide: bool
) -> Iterable[tuple[str, list[CellSummary]]]:
    if wide:
        return [("", list(cells))] if cells else []
    blocks: defaultdict[str, list[CellSummary]] = defaultdict(list)
    for cell in cells:
        blocks[one_line(f"{cell.record.hardware} on {cell.record.image}")].append(cell)
    return blocks.items()


def _table(cells: list[CellSummary], *, columns: tuple[str, ...]) -> Table:
    """Return the table of cells.

    Args:
        cells: What stands in it.
        columns: Fields of the cell to show; those that share a column are joined by spaces.
    """
    table = Table(box=_RULE, show_edge=False, padding=0, header_style="bold")
    table.add_column("verdict", no_wrap=True)
    for name in columns:
        table.add_column("cell" if " " in name else name, overflow="fold")
    table.add_column("start", justify="right", no_wrap=True)
    table.add_column("passed", justify="right", no_wrap=True)
    table.add_column("cause", overflow="fold")
    for cell in cells:
        table.add_row(
            Text(cell.outcome, style=_STYLES.get(cell.outcome, "")),
            *(_Words(one_line(_fields(cell, name))) for name in columns),
            Text(format_start(cell)),
            Text(f"{cell.passed}/{cell.questions}"),
            _Words(_cut(one_line(cell.cause), _MAX_CAUSE)),
        )
    return table


def _columns(cells: list[CellSummary], width: int) -> tuple[str, ...]:
    if width < _NARROW_COLUMNS:
        return ("model dtype variant",)
    variant = ("variant",) if any(cell.record.variant for cell in cells) else ()
    axes = ("hardware", "image") if width >= _WIDE_COLUMNS else ()
    return (*axes, "model", "dtype", *variant)


def _fields(cell: CellSummary, names: str) -> str:
    return " ".join(filter(None, (getattr(cell.record, name) for name in names.split())))


def _print_reasons(cell: CellSummary, console: Console) -> None:
    console.print(Text(one_line(cell.record.cell), style="bold"))
    for outcome, text in _reasons(cell):
        console.print(Padding(_line(outcome, text), (0, 0, 0, 2), expand=False))
    if cell.outcome is Outcome.KNOWN:
        return  # the ledger has said what there is to say
    for each in cell.explanations:
        evidence = "none"
        if each.evidence:
            text = textwrap.shorten(one_line(each.evidence), _MAX_EVIDENCE, placeholder=" ...")
            evidence = f"{one_line(each.where)}: {text}"
        console.print(Padding(Text(f"evidence: {evidence}"), (0, 0, 0, 4), expand=False))
        if each.remedy:
            console.print(
                Padding(Text(f"remedy: {one_line(each.remedy)}"), (0, 0, 0, 4), expand=False)
            )


def _reasons(cell: CellSummary) -> Iterator[tuple[Outcome, str]]:
    """Yield a line for each answer that is not good; those for one same reason share a line."""
    groups: defaultdict[tuple[Outcome, str], list[VerdictRecord]] = defaultdict(list)
    for answer in cell.answers:
        if not answer.outcome.is_good:
            behind = f"blocked by {answer.blocked_by}" if answer.blocked_by else ""
            parts = (answer.cause, behind or answer.reason, answer.link)
            why = ": ".join(part for part in parts if part)
            groups[answer.outcome, why].append(answer)
    for (outcome, why), answers in groups.items():
        first, *rest = (answer.question for answer in answers)
        questions = f"{first} and {len(rest)} more" if rest else first
        text = one_line(f"{questions}: {why or 'no reason was recorded'}")
        yield outcome, _cut(text, _MAX_REASON)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def _line(outcome: Outcome, text: str) -> Text:
    return Text.assemble((outcome, _STYLES.get(outcome, "")), " ", text)
