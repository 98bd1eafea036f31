"""Shows a diagnosis to people: five lines, then the evidence among its neighbours.

Logs and names of files are somebody else's text: control characters become visible, and secrets
of this process and logins in addresses are taken out.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Final

from rich.box import Box
from rich.cells import chop_cells
from rich.cells import set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hwval.cli.common import print_trimmed
from hwval.diagnosis import Diagnosis
from hwval.diagnosis.rules import load_rules
from hwval.inert import one_line
from hwval.inert import visible
from hwval.redaction import Redactor

__all__ = ["print_answer", "print_overview"]

_HEALTHY: Final = "healthy"
_NO_FAMILY: Final = "none"
_UNREAD: Final = "could not be read"
_CAUSE_STYLE: Final = "bold red"
_RULE: Final = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
_LABEL_COLUMNS: Final = 13
_LEAST_COLUMNS: Final = 10
_CUT: Final = " ..."
_EVIDENCE_ROWS: Final = 8
_NEIGHBOUR_ROWS: Final = 2


def print_answer(
    console: Console,
    name: str,
    diagnosis: Diagnosis,
    excerpt: Mapping[int, str],
    redactor: Redactor,
) -> None:
    """Print what is wrong with one log.

    Args:
        console: Where to; its width and colours are respected.
        name: The log, as the person named it.
        diagnosis: The answer.
        excerpt: Lines around the evidence by number, empty if there are none to show.
        redactor: Takes secrets out of every line.
    """
    if diagnosis.cause is None:
        console.print(Text.assemble((one_line(name), "bold"), ": ", (_HEALTHY, "green")))
        return
    title = load_rules().causes[diagnosis.cause].title
    family = f", family {_family(diagnosis)}" if _family(diagnosis) else ""
    head = Text.assemble(
        (one_line(name), "bold"),
        ": ",
        (one_line(title), _CAUSE_STYLE),
        f" [{diagnosis.cause}{family}]",
    )
    for row in _folded(console, head, console.width):
        console.print(row)
    _print_facts(console, diagnosis, redactor)
    lines = dict(excerpt)
    if diagnosis.evidence and diagnosis.evidence.line not in lines:
        lines[diagnosis.evidence.line] = diagnosis.evidence.text
    if diagnosis.evidence and diagnosis.evidence.line:
        _print_lines(console, lines, diagnosis.evidence.line, redactor)


def print_overview(console: Console, answers: Sequence[tuple[str, Diagnosis | None]]) -> None:
    """Print a row for each log.

    Args:
        console: Where to.
        answers: Names of logs, each with its answer; None where it could not be read.
    """
    table = Table(box=_RULE, show_edge=False, padding=0, header_style="bold")
    table.add_column("log", overflow="fold")
    table.add_column("line", justify="right", no_wrap=True)
    table.add_column("cause", overflow="fold")
    table.add_column("family", no_wrap=True)
    for name, answer in answers:
        line = answer.evidence.line if answer and answer.evidence else ""
        table.add_row(
            Text(one_line(name)),
            Text(str(line)),
            _cause(answer),
            Text(_family(answer)),
        )
    console.print()
    print_trimmed(console, table)


def _family(answer: Diagnosis | None) -> str:
    family = answer.family if answer else None
    return "" if family in {None, _NO_FAMILY} else str(family)


def _cause(answer: Diagnosis | None) -> Text:
    if answer is None:
        return Text(_UNREAD, "yellow")
    return Text(answer.cause, _CAUSE_STYLE) if answer.cause else Text(_HEALTHY, "green")


def _print_facts(console: Console, diagnosis: Diagnosis, redactor: Redactor) -> None:
    where = f"line {diagnosis.evidence.line}" if diagnosis.evidence else "none in the log"
    also = ", ".join(diagnosis.secondary) or "nothing else"
    facts = {
        "why": diagnosis.summary,
        "evidence": where,
        "remedy": diagnosis.remedy,
        "also seen": f"{also}; fingerprint {diagnosis.fingerprint}",
    }
    columns = max(_LEAST_COLUMNS, console.width - _LABEL_COLUMNS)
    for label, fact in facts.items():
        head = f"  {label:<{_LABEL_COLUMNS - 2}}"
        text = Text(one_line(str(redactor.tree(fact))))
        for row in _folded(console, text, columns):
            console.print(Text.assemble((head, "dim"), row), no_wrap=True)
            head = " " * _LABEL_COLUMNS


def _folded(console: Console, text: Text, columns: int) -> Iterator[Text]:
    for row in text.wrap(console, columns, overflow="fold"):
        row.rstrip()
        yield row


def _print_lines(
    console: Console, lines: Mapping[int, str], evidence: int, redactor: Redactor
) -> None:
    digits = len(str(max(lines)))
    console.print()
    for number, line in sorted(lines.items()):
        is_evidence = number == evidence
        text = visible(str(redactor.tree(line))).expandtabs().rstrip()
        most = _EVIDENCE_ROWS if is_evidence else _NEIGHBOUR_ROWS
        head = f"{'>' if is_evidence else ' '} {number:>{digits}} | "
        style = _CAUSE_STYLE if is_evidence else ""
        for row in _rows(text, columns=max(_LEAST_COLUMNS, console.width - len(head)), most=most):
            console.print(Text.assemble((head, style or "dim"), (row, style)), no_wrap=True)
            head = f"{'':>{digits + 2}} | "


def _rows(text: str, *, columns: int, most: int) -> list[str]:
    """Return a line in rows that fit; what takes more than ``most`` of them is cut."""
    shown = text[: columns * most + 1]
    rows = chop_cells(shown, columns) or [""]
    if len(rows) > most:
        rows[most - 1] = set_cell_size(rows[most - 1], columns - len(_CUT)) + _CUT
    return rows[:most]
