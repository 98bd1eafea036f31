"""Reads a log once and keeps, within bounds, what can matter to its diagnosis."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from functools import cache
from typing import Any
from typing import BinaryIO
from typing import Final
from typing import Generic
from typing import TypeVar

import re2

from hwval.diagnosis.events import Event
from hwval.diagnosis.events import Traceback
from hwval.diagnosis.events import read_events
from hwval.diagnosis.lines import LogLine
from hwval.diagnosis.lines import read_line
from hwval.diagnosis.rules import Hit
from hwval.diagnosis.rules import Kind
from hwval.diagnosis.rules import Rule
from hwval.diagnosis.rules import RuleBook
from hwval.diagnosis.rules import Tier
from hwval.diagnosis.scan import LogScan
from hwval.diagnosis.template import Value
from hwval.diagnosis.template import value_of

__all__ = ["Finding", "Reading", "match_line", "read_log"]

_KEPT: Final = 60
_FLOOD: Final = 400
_MAX_SHAPES: Final = 5000
_SHAPE_CHARACTERS: Final = 300
_DIGITS: Final = re.compile(r"\d+")
# Long lines (a whole configuration, a dictionary of names) say what they are at their beginning.
_MATCHED_CHARACTERS: Final = 4000
# A pager, a chat or a person breaks long lines between words.
_BROKEN_CHARACTERS: Final = 40
_BROKEN_LINES: Final = 4
_UNFINISHED: Final = re2.compile(r"[\w,(=/-]$")
_REASON: Final = re2.compile(r"\s*(?:Value|Assertion) error, ")
_ERROR_LINE: Final = re2.compile(
    r"(?i)^\W{0,3}(?:[\w./-]+: )?(?:fatal )?error\b ?[:\]]|^Fatal Python error|\bcore dumped\b|"
    r"Segfault encountered|^Illegal instruction\b"
)


@dataclass(slots=True)
class Finding:
    """A line that a rule knows.

    Attributes:
        rule: The rule.
        event: The line and its traceback.
        values: What its named groups hold.
    """

    rule: Rule
    event: Event
    values: dict[str, Value]

    @property
    def line(self) -> int:
        """Line of the file."""
        return self.event.line.number

    @property
    def tier(self) -> Tier:
        """The rule's tier; a mere warning is a hint unless the rule says that it counts."""
        warned = self.event.line.level == "warning" and not self.rule.warnings
        return Tier.HINT if warned else self.rule.tier

    def holds(self) -> bool:
        """Return whether the traceback meets the rule's conditions; known once it is complete."""
        rule, event = self.rule, self.event
        frames = event.traceback.frames
        if rule.exception and not (event.exception and _search([rule.exception], event.exception)):
            return False
        if rule.frames.any and not any(_search(rule.frames.any, frame) for frame in frames):
            return False
        if rule.frames.last and not (frames and _search(rule.frames.last, frames[-1])):
            return False
        return not any(_search(rule.frames.none, frame) for frame in frames)


_T = TypeVar("_T")


@dataclass(slots=True)
class _Bounded(Generic[_T]):
    """The first and the last of many."""

    first: list[_T] = field(default_factory=list)
    last: deque[_T] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def add(self, one: _T) -> None:
        if len(self.first) < _KEPT:
            self.first.append(one)
        else:
            self.last.append(one)

    def __iter__(self) -> Iterator[_T]:
        yield from self.first
        yield from self.last


@dataclass(slots=True)
class Reading:
    """What a log says.

    Attributes:
        findings: Lines that rules know, conditions on tracebacks not yet asked.
        errors: All errors but wrappers, also those that a rule knows.
        refusals: Errors that a server answers a request with and lives on.
        wrapper: The first line that says that something failed, never why.
        death_line: The last line after which no engine lives, 0 for none.
        end_line: The last line that says that a server stops, for whatever reason, 0 for none.
        start_line: The last line that shows a server that came up, 0 for none; a server that
            was only told of before its engine died did not come up again.
        work_line: The last line that shows an engine at work, 0 for none.
        facts: Numbers of the log, by the names that templates use.
        lines: Length of the log.
    """

    findings: list[Finding] = field(default_factory=list)
    errors: _Bounded[Event] = field(default_factory=_Bounded)
    refusals: _Bounded[Event] = field(default_factory=_Bounded)
    wrapper: Event | None = None
    death_line: int = 0
    end_line: int = 0
    start_line: int = 0
    work_line: int = 0
    facts: dict[str, Value] = field(default_factory=dict)
    lines: int = 0


def read_log(stream: BinaryIO, book: RuleBook) -> Reading:
    """Return what a log says; memory is bounded, whatever its size."""
    scan = LogScan(stream)
    reading = Reading()
    seen: dict[str, int] = {}
    kept = {rule.id: _Bounded[Finding]() for rule in book.rules}
    for event, rest in _with_rest(read_events(map(read_line, scan))):
        shape = _shape(event)
        if seen.get(shape, 0) < _FLOOD:
            _take(event, rest, book, reading, kept)
        if event.line.number not in {reading.death_line, reading.end_line}:  # the last one counts
            seen[shape] = seen.get(shape, 0) + 1
        if len(seen) > _MAX_SHAPES:
            seen.clear()
    # Of one line, the rules in their order.
    reading.findings = sorted((f for found in kept.values() for f in found), key=lambda f: f.line)
    # Somebody else's server may come up in the same log after the engine died.
    if not scan.boot_line < reading.death_line < scan.start_line:
        reading.start_line = scan.start_line
    reading.work_line = scan.work_line
    reading.lines = scan.lines
    return reading


def _with_rest(events: Iterable[Event]) -> Iterator[tuple[Event, str]]:
    """Yield each event with what was broken off its line and stands alone in the next ones."""
    broken: list[Event] = []
    for event in events:
        if broken and (len(broken) > _KEPT or not _goes_on(broken[-1], event)):
            yield from _rests(broken)
            broken = []
        broken.append(event)
    yield from _rests(broken)


def _rests(broken: list[Event]) -> Iterator[tuple[Event, str]]:
    texts = [event.line.text.strip() for event in broken]
    for place, event in enumerate(broken):
        yield event, " ".join(texts[place + 1 : place + 1 + _BROKEN_LINES])


def _goes_on(event: Event, after: Event) -> bool:
    """Return whether a pager or a person broke the line of ``event``, and ``after`` has the rest.

    What is printed as lines has a prefix, begins with a class or ends its sentence.
    """
    line, rest = event.line, after.line
    return (
        rest.number == line.number + 1
        and not (rest.process or rest.level or after.exception)
        and _REASON.match(rest.text) is None
        and len(line.raw) >= _BROKEN_CHARACTERS
        and len(rest.raw) <= len(line.raw) + _BROKEN_CHARACTERS
        and _UNFINISHED.search(line.text) is not None
    )


def _shape(event: Event) -> str:
    """Return what a flood of lines has in common: everything but its numbers."""
    return event.exception + _DIGITS.sub("", event.line.text[:_SHAPE_CHARACTERS])


def _take(
    event: Event, rest: str, book: RuleBook, reading: Reading, kept: dict[str, _Bounded[Finding]]
) -> None:
    line = event.line
    text = line.text[:_MATCHED_CHARACTERS]
    texts = (text, f"{text} {rest}"[:_MATCHED_CHARACTERS]) if rest else (text,)
    hits = book.hits(*texts)
    kinds = {hit.kind for hit in hits}
    _take_signs(line.number, hits, reading)
    if Kind.BENIGN in kinds:
        if _is_error(event):
            reading.refusals.add(event)
        return
    for finding in _findings(event, hits, texts[-1]):
        if line.level != "info" or finding.rule.infos:
            kept[finding.rule.id].add(finding)
    if line.level == "info":
        return
    if Kind.WRAPPER in kinds:
        reading.wrapper = reading.wrapper or event
    elif _is_error(event):
        reading.errors.add(event)


def _take_signs(number: int, hits: list[Hit], reading: Reading) -> None:
    for hit in hits:
        if hit.kind is Kind.FACT:
            reading.facts |= {name: value_of(value) for name, value in hit.groups.items()}
        elif hit.kind is Kind.DEATH:
            reading.death_line = number
        elif hit.kind is Kind.END:
            reading.end_line = number


def match_line(text: str, book: RuleBook) -> list[Finding]:
    """Return a finding for every rule that a line matches that stands alone, as the kernel's do."""
    event = Event(LogLine(0, "", "", text, text), "", Traceback())
    return _findings(event, book.hits(text[:_MATCHED_CHARACTERS]), text)


def _findings(event: Event, hits: Iterable[Hit], text: str) -> list[Finding]:
    """Return a finding for each rule among ``hits``, its traceback not yet asked."""
    found: dict[str, Finding] = {}
    for hit in hits:
        rule = hit.rule
        if rule is None or rule.id in found or _search(rule.unless, text):
            continue
        if not all(_search([pattern], text) for pattern in rule.requires):
            continue
        values = {name: value_of(value) for name, value in hit.groups.items()}
        found[rule.id] = Finding(rule, event, values)
    return list(found.values())


def _is_error(event: Event) -> bool:
    if event.continued or event.line.level == "warning":
        return False
    if event.exception and not event.exception.endswith("Warning"):
        return True
    return event.line.level == "error" or _ERROR_LINE.search(event.line.text) is not None


def _search(patterns: Iterable[str], text: str) -> bool:
    return any(_compiled(pattern).search(text) is not None for pattern in patterns)


@cache
def _compiled(pattern: str) -> Any:
    """Return a pattern of the rules; asking re2 for it again costs more than the search."""
    return re2.compile(pattern)
