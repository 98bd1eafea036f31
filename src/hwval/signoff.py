"""What people read after a run: the sign-off page and its Markdown twin.

Takes what ``hwval.summary`` counted and adds nothing to it. Every verdict is a word with a sign,
never a colour alone, and missing evidence has its place on the page like any other verdict.
"""

from __future__ import annotations

import base64
import os
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final
from typing import NamedTuple
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from hwval import inert
from hwval.evidence import evidence_of
from hwval.evidence import points_of
from hwval.measured import format_number
from hwval.measured import measured_of
from hwval.pictures import Gallery
from hwval.pictures import draw_pictures
from hwval.resources import resource_path
from hwval.result import VerdictRecord
from hwval.result import read_run
from hwval.signoff_words import breakable
from hwval.signoff_words import facts_of
from hwval.signoff_words import html_text
from hwval.signoff_words import inline_code
from hwval.signoff_words import markdown_text
from hwval.signoff_words import numbers_of
from hwval.summary import CellSummary
from hwval.summary import Summary
from hwval.summary import format_counts
from hwval.summary import summarise
from hwval.units import format_count
from hwval.units import format_duration_s
from hwval.verdict import Outcome
from hwval.verdict import severity

__all__ = [
    "SIGNS",
    "CellSummary",
    "Summary",
    "format_number",
    "format_start",
    "render_html",
    "render_markdown",
    "summarise",
    "write_signoff",
]

SIGNS: Final[Mapping[Outcome, str]] = {
    Outcome.PASS: "✓",
    Outcome.FAIL: "✗",
    Outcome.KNOWN: "◆",
    Outcome.FIXED: "★",
    Outcome.BLOCKED: "■",
    Outcome.INCONCLUSIVE: "?",
    Outcome.INFRA: "▲",
    Outcome.IMPOSSIBLE: "∅",
    Outcome.NOT_RUN: "○",
}
"""Sign of each word, so that it is told apart without colour and at a glance."""

_SHOWN_CELLS: Final = 20
"""Cells named for one problem in the overview; the rest is counted."""


class Bar(NamedTuple):
    """One start-up phase as a piece of the time line; left and width in percent of the whole."""

    name: str
    text: str
    left: float
    width: float


def render_html(summary: Summary, gallery: Gallery | None = None) -> str:
    """Return the page: one file without script or network, light and dark, inert to its content.

    Args:
        summary: The run.
        gallery: Its pictures, which lie in its folder; None for none.
    """
    page = _render("signoff.html.j2", summary, gallery or Gallery(), _finalize_html)
    # Lines of the template between two elements would be a third of a large page's nodes. Text
    # from outside holds no bare angle bracket, so that nothing of it is touched.
    return page.replace(">\n<", "><")


def render_markdown(summary: Summary, gallery: Gallery | None = None) -> str:
    """Return the same in Markdown, as forges show it; passed questions are only counted."""
    return _render("signoff.md.j2", summary, gallery or Gallery(), _finalize_markdown)


def write_signoff(run_dir: Path) -> tuple[Path, Path]:
    """Read the journal in ``run_dir`` and write ``signoff.html`` and ``signoff.md`` beside it.

    Pictures of what was measured are drawn first, into the same folder. A reader sees the old
    page or the new one, never half of one.

    Returns:
        The two files, HTML first.

    Raises:
        UsageError: The folder holds no readable journal.
    """
    run = read_run(run_dir)
    summary, gallery = summarise(run), draw_pictures(run)
    return (
        _replace(run_dir / "signoff.html", render_html(summary, gallery)),
        _replace(run_dir / "signoff.md", render_markdown(summary, gallery)),
    )


def format_start(cell: CellSummary) -> str:
    """Return how long the cell's last engine took to start, or why there is no such number."""
    if not cell.engines:
        return "no start"
    if not cell.engines[-1].ready:
        return "not ready"
    return "not timed" if cell.started_in_s is None else format_duration_s(cell.started_in_s)


def _render(template: str, summary: Summary, gallery: Gallery, finalize: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_path("templates")),
        autoescape=True,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        Outcome=Outcome,
        SIGNS=SIGNS,
        anchor=lambda cell: "cell-" + quote(cell, safe="", errors="backslashreplace"),
        bars=_bars,
        breakable=breakable,
        code=inert.markdown_code,
        count=format_count,
        duration=format_duration_s,
        hosts=facts_of(summary.run.head.host),
        start=format_start,
        format_counts=format_counts,
        format_number=format_number,
        inline_code=inline_code,
        prose=html_text,
        inside_link=inert.inside_link,
        web_link=inert.web_link,
        checks_of=measured_of,
        points_of={series.owner: points_of(series) for series in gallery.series},
        embedded=lambda picture: _embedded(summary.run.folder / picture.svg),
        measured=numbers_of,
        names=lambda answers: ", ".join(answer.question for answer in answers),
        rows=_rows,
        short=lambda question: question.partition("/")[2] or question,
        shown_cells=_SHOWN_CELLS,
    )
    groups: defaultdict[tuple[str, str], list[CellSummary]] = defaultdict(list)
    for cell in summary.asked:
        groups[cell.record.hardware, cell.record.image].append(cell)
    return environment.get_template(template).render(
        summary=summary,
        run=summary.run,
        groups=groups,
        problems=summary.problems,
        evidence=evidence_of(summary, gallery),
        gallery=gallery,
    )


def _finalize_html(value: Any) -> Any:
    return inert.visible(value) if isinstance(value, str) and type(value) is not Markup else value


def _finalize_markdown(value: Any) -> Any:
    return value if isinstance(value, Markup) else markdown_text(str(value))


def _embedded(path: Path) -> str:
    """Return a picture as an address that holds all of it; as a picture, it can run nothing."""
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _bars(phases_s: Mapping[str, float]) -> Iterable[Bar]:
    total_s, before_s = sum(phases_s.values()) or 1.0, 0.0
    for name, duration_s in phases_s.items():
        left, width = 100 * before_s / total_s, 100 * duration_s / total_s
        yield Bar(name, format_duration_s(duration_s), left, width)
        before_s += duration_s


def _rows(cell: CellSummary) -> Iterable[list[VerdictRecord]]:
    """Return the cell's answers, worst first; those that say just the same share a row."""
    groups: dict[object, list[VerdictRecord]] = {}
    for number, each in enumerate(cell.answers):
        said = (each.outcome, each.cause, each.reason, each.blocked_by, each.link)
        has_own = each.numbers or each.details or each.fingerprint or each.checks or each.files
        groups.setdefault(number if has_own else said, []).append(each)
    return sorted(groups.values(), key=lambda group: severity(group[0].outcome))


def _replace(path: Path, text: str) -> Path:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
