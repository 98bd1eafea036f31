"""Words for what a journal holds as numbers and facts: units, shares with intervals, a host.

A journal may be older or newer than this program, or of another one: what is not known here is
told as it stands, and what nobody looked at is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final
from typing import NamedTuple

from markupsafe import Markup
from markupsafe import escape

from hwval.errors import UsageError
from hwval.host import Host
from hwval.host import host_rows
from hwval.inert import markdown
from hwval.inert import one_line
from hwval.measured import AT_POINT
from hwval.measured import format_number
from hwval.stats.proportion import exact_interval
from hwval.units import format_bytes

__all__ = [
    "Facts",
    "Number",
    "breakable",
    "facts_of",
    "html_text",
    "inline_code",
    "markdown_text",
    "number_of",
    "numbers_of",
]

_SCORE: Final = "_accuracy_ratio"
# Two-sided, as the verdict on a score takes it.
_CONFIDENCE: Final = 0.90
_SCORE_LABELS: Final = {
    "stderr_ratio": "standard error",
    "unparsed_questions": "answers that could not be read",
    "cut_off_questions": "answers that were cut off",
    "reused_questions": "answers of an earlier start",
    "asking_s": "time that asking took",
}
_UNITS: Final = {"w": "W", "nats": "nats"}
_RUN: Final = "run "
"""Of runs that were merged, each has its host's facts below this and its name."""
_CODE: Final = re.compile(r"(?<!`)`(?P<code>[^`]+)`(?!`)")
_LIVE_MARKDOWN: Final = re.compile(
    r"(?P<link>https?://[^\s<>|`$\\\"']*[^\s<>|`$\\\"'.,;:!?)\]])|(?<!`)`(?P<code>[^`|]+)`(?!`)"
)


class Number(NamedTuple):
    """One measurement for people.

    Attributes:
        label: What it is.
        text: Its value, with the unit.
        raw: Name and value as the journal has them.
    """

    label: str
    text: str
    raw: str


class Facts(NamedTuple):
    """What is known of one host.

    Attributes:
        run: Run that was there; empty if this page is of one run only.
        rows: Subject and what is known of it.
    """

    run: str
    rows: Sequence[tuple[str, str]]


def number_of(name: str, value: float) -> Number:
    """Return a measurement for people; unit and point are taken from the end of its name.

    Example:
        >>> number_of("queue_mean_s (concurrency 4)", 2.21e-05)[:2]
        ('queue mean (concurrency 4)', '22.1 µs')
    """
    match = AT_POINT.fullmatch(name)
    base, point = (match["name"], f" {match['point']}") if match else (name, "")
    label, text = format_number(base, value)
    stem, _, unit = base.rpartition("_")
    if unit == "s" and not base.endswith("_per_s") and 0 < value < 1e-3:
        text = f"{value * 1e6:.3g} µs"
    elif unit in _UNITS and stem:
        label, text = stem.replace("_", " "), f"{text} {_UNITS[unit]}"
    elif "share" in base.split("_") and 0 <= value <= 1:
        text = f"{value:.1%}"
    return Number(label + point, text, f"{name} = {value}")


def numbers_of(values: Mapping[str, float], *, with_points: bool = False) -> Sequence[Number]:
    """Return the measurements of a record, those of accuracy with their intervals.

    Args:
        values: Name -> value, as records have them; what was planned has a table of its own.
        with_points: Whether to return the single points of a curve too.
    """
    left = {
        name: value
        for name, value in values.items()
        if not name.startswith("planned_") and (with_points or not AT_POINT.fullmatch(name))
    }
    tasks = [name.removesuffix(_SCORE) for name in left if name.endswith(_SCORE)]
    scores = [number for task in tasks for number in _score(task, left)]
    return [*scores, *(number_of(name, value) for name, value in left.items())]


def _score(task: str, left: dict[str, float]) -> Iterator[Number]:
    """Yield what is known of a task's score, and take it out of the numbers that are left."""
    name = task + _SCORE
    share = left.pop(name)
    text, raw = f"{share:.2%}", f"{name} = {share}"
    right, n = left.get(f"{task}_right_questions"), left.get(f"{task}_questions")
    if right is not None and n is not None and 0 <= right <= n and 0 < n < float("inf"):
        del left[f"{task}_right_questions"], left[f"{task}_questions"]
        interval = exact_interval(right, n, _CONFIDENCE)
        ends = f"{interval.low:.2%} to {interval.high:.2%}"
        text += f" (exact {_CONFIDENCE:.0%} interval {ends}, {right:,.0f} of {n:,.0f} right)"
    yield Number(f"{task}: score", text, raw)
    for suffix, label in _SCORE_LABELS.items():
        if (name := f"{task}_{suffix}") in left:
            value = left.pop(name)
            _, text, raw = number_of(name, value)
            yield Number(f"{task}: {label}", text, raw)


def markdown_text(text: str) -> Markup:
    r"""Return ``text`` as inert Markdown in which web addresses are links and code is code.

    Example:
        >>> str(markdown_text("a_b: see https://x.org/a_b. Run `c_d`"))
        'a\\_b: see <https://x.org/a_b>. Run `c_d`'
    """
    line, parts, end = one_line(text), [], 0
    for match in _LIVE_MARKDOWN.finditer(line):
        parts.append(_between(line[end : match.start()]))
        parts.append(f"<{match['link']}>" if match["link"] else match[0])
        end = match.end()
    parts.append(_between(line[end:]))
    return Markup("".join(parts))  # noqa: S704 - between links and code all is escaped


def html_text(text: str) -> Markup:
    """Return ``text`` as one line of inert HTML in which code is code.

    Example:
        >>> str(html_text("<b> Run `a<b`, not ``this``"))
        '&lt;b&gt; Run <code>a&lt;b</code>, not ``this``'
    """
    # Escaping adds no backtick and takes none away.
    escaped = str(escape(one_line(text)))
    return Markup(_CODE.sub(r"<code>\g<code></code>", escaped))  # noqa: S704 - escaped above


def breakable(name: str) -> Markup:
    """Return a metric's name as inert HTML that breaks behind underscores, not within words.

    Example:
        >>> str(breakable("tokens_per_s"))
        'tokens_<wbr>per_<wbr>s'
    """
    return Markup(str(escape(one_line(name))).replace("_", "_<wbr>"))  # noqa: S704 - escaped


def inline_code(text: str) -> Markup:
    """Return ``text`` as Markdown code within a line; as text where it could end that code."""
    line = one_line(text)
    if not line or "`" in line or "|" in line:
        return markdown(line)
    return Markup(f"`{line}`")  # noqa: S704 - nothing in it can close it


def _between(text: str) -> str:
    """Return escaped Markdown that keeps the spaces at both ends."""
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{markdown(text)}{after}" if text.strip() else text


def facts_of(host: Mapping[str, Any]) -> Sequence[Facts]:
    """Return what a journal's head says of its host, or of the hosts of all runs in it."""
    runs = {
        name: facts
        for name, facts in host.items()
        if isinstance(facts, Mapping) and "hostname" in facts
    }
    # Of several runs the head itself repeats names of hosts and processors only.
    if not runs:
        return [Facts("", _rows(host))]
    return [
        each._replace(run=f"{name.removeprefix(_RUN)}/{each.run}".rstrip("/"))
        for name, facts in runs.items()
        for each in facts_of(facts)
    ]


def _rows(facts: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    try:
        return list(host_rows(Host.from_json(facts)))
    except UsageError:  # of another release, or written by hand
        known = ((name, value) for name, value in facts.items() if name != "v")
        return [
            (name.removesuffix("_bytes").replace("_", " "), _fact(name, value))
            for name, value in known
            if value not in (None, "", [], {})
        ]


def _fact(name: str, value: Any) -> str:
    if name.endswith("_bytes") and isinstance(value, int) and not isinstance(value, bool):
        return format_bytes(value)
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
