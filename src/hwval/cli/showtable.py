"""One cell in full: for people in sections that 80 columns hold, for programs as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from datetime import date
from typing import Any
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hwval.cli.common import print_trimmed
from hwval.cli.plantable import planned_json
from hwval.cli.plantable import planned_words
from hwval.cli.promisewords import limits_of
from hwval.cli.promisewords import promise_rows
from hwval.cli.questions import asked_questions
from hwval.inert import one_line
from hwval.ledger import KnownIssue
from hwval.matrix import wanted_partners
from hwval.placement import PlacedCell
from hwval.placement import Selection
from hwval.redaction import Redactor
from hwval.threshold import find_partner
from hwval.units import format_bytes
from hwval.units import format_duration_s

__all__ = ["CellView"]

_INDENT: Final = 2
_LABEL_COLUMNS: Final = 34
_MOST_DEVICES: Final = 16
_ALWAYS_PASSED: Final = "HF_TOKEN"

Row = tuple[str, str]


@dataclass(frozen=True)
class CellView:
    """Everything that is known of a cell before it is started.

    Attributes:
        placed: The cell and its place.
        selection: All cells of the matrices, the host and the ledger.
        redactor: Takes secrets out of every text.
        today: The day in UTC, which ends entries of the ledger.
    """

    placed: PlacedCell
    selection: Selection
    redactor: Redactor
    today: date

    def print(self, console: Console) -> None:
        """Print it in sections; the id stands in a line of its own, whole, to be copied."""
        console.print(Text(self.placed.cell.id, "bold"), soft_wrap=True)
        for heading, rows in self._sections():
            table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
            table.add_column(overflow="fold", max_width=_LABEL_COLUMNS)
            table.add_column(overflow="fold")
            for label, text in rows:
                indent = _INDENT + len(label) - len(label.lstrip())
                table.add_row(Text(" " * indent + self._told(label)), Text(self._told(text)))
            if rows:
                console.print()
                console.print(Text(heading, "bold"))
                print_trimmed(console, table)

    def to_json(self) -> dict[str, Any]:
        """Return it in base units, the keys of `hwval plan --json` among it."""
        placed, entry, cell = self.placed, self.placed.entry, self.placed.cell
        known = asdict(cell)
        questions = asked_questions(placed)
        found = {
            "host": self.selection.host.hostname,
            **planned_json(placed),
            **known,
            "engine_args": dict(cell.engine_args),
            "environment": dict(cell.environment),
            "pass_environment": list(self._passed),
            "engine": str(placed.image.engine),
            "vendor": str(placed.vendor),
            "fingerprint": cell.fingerprint,
            "markers": list(entry.markers),
            "source": entry.source,
            "devices_needed": placed.lease_count,
            "devices": [
                {"id": one.id, "name": one.name, "memory_bytes": one.memory_bytes}
                for one in placed.devices
            ],
            "deadlines": asdict(entry.deadlines),
            "promises": entry.promises.model_dump(mode="json", exclude_none=True),
            "limits": [
                {
                    "question": one.question,
                    "point": one.point,
                    "metric": one.metric,
                    "words": list(one.words),
                    "source": one.limit.source,
                    "date": one.limit.date and one.limit.date.isoformat(),
                }
                for one in limits_of(entry, placed.roofline)
            ],
            "partners": self._partners,
            "questions": {
                "asked": [name for name, why_not in questions if not why_not],
                "not_asked": [
                    {"question": name, "why": why_not} for name, why_not in questions if why_not
                ],
            },
            "known_issues": [
                {
                    **asdict(issue),
                    "expires": issue.expires.isoformat(),
                    "expired": issue.expires < self.today,
                }
                for issue in self._issues
            ],
        }
        return {name: self._clean(value) for name, value in found.items()}

    def _clean(self, value: object) -> object:
        """Return a value without secrets; names alone decide nothing, matrices hold no secrets."""
        if isinstance(value, Mapping):
            return {str(key): self._clean(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._clean(item) for item in value]
        return self.redactor.tree(value)

    def _told(self, text: str) -> str:
        return one_line(str(self.redactor.tree(text)))

    @property
    def _passed(self) -> tuple[str, ...]:
        """Variables of the host that the engine gets, by name."""
        return tuple(dict.fromkeys((_ALWAYS_PASSED, *self.placed.entry.pass_environment)))

    @property
    def _issues(self) -> Sequence[KnownIssue]:
        cell_id = self.placed.cell.id
        return [issue for issue in self.selection.ledger.issues if issue.names(cell_id)]

    @property
    def _partners(self) -> dict[str, str | None]:
        """What the matrix calls other cells -> the id that it means."""
        ids = [one.cell.id for one in (*self.selection.placed, *self.selection.unnamed)]
        return {
            name: find_partner(self.placed.cell.id, name, ids)[0]
            for name in wanted_partners(self.placed.entry)
        }

    def _sections(self) -> Iterator[tuple[str, list[Row]]]:
        yield "what it is", list(self._axes())
        yield "here", list(self._place())
        yield "engine", list(self._engine())
        yield "plan", list(self._plan())
        yield "promises", list(self._promises())
        yield "deadlines", list(self._deadlines())
        yield "questions", list(self._questions())
        yield "known issues", list(self._ledger())

    def _axes(self) -> Iterator[Row]:
        cell = self.placed.cell
        count = f" x{cell.device_count}" if cell.device_count > 1 else ""
        yield "hardware", f"{cell.hardware}{count}"
        yield "image", cell.image
        yield "model", cell.model
        yield "dtype", str(cell.dtype)
        yield "variant", cell.variant or "none"
        yield "weights", str(cell.weights)
        if cell.partition_mode:
            yield "partition mode", cell.partition_mode
        yield "markers", ", ".join(self.placed.entry.markers)
        yield "fingerprint", cell.fingerprint
        yield "from", self.placed.entry.source

    def _place(self) -> Iterator[Row]:
        placed = self.placed
        yield "host", self.selection.host.hostname
        yield "can run", placed.why_not or placed.ruled_out or "yes"
        if placed.devices:
            needed, count = placed.lease_count, len(placed.devices)
            yield "devices", f"{needed} of {count}" if count > needed else f"{count}"
        for device in placed.devices[:_MOST_DEVICES]:
            memory = () if device.memory_bytes is None else (format_bytes(device.memory_bytes),)
            yield device.id, ", ".join(filter(None, (device.name, device.architecture, *memory)))
        if more := placed.devices[_MOST_DEVICES:]:
            yield "...", f"{len(more)} more"

    def _engine(self) -> Iterator[Row]:
        placed, cell = self.placed, self.placed.cell
        yield "started by", str(placed.image.engine)
        for name, value in cell.engine_args:
            yield _flag(name, value)
        yield from cell.environment
        yield "passed by name", ", ".join(self._passed)
        if cell.privileges:
            yield "privileges", ", ".join(cell.privileges)
        for name, size_bytes in (
            ("memory limit", cell.memory_bytes),
            ("shared memory", cell.shm_bytes),
        ):
            if size_bytes is not None:
                yield name, format_bytes(size_bytes)

    def _plan(self) -> Iterator[Row]:
        forecast = self.placed.forecast
        if forecast is None:
            return
        yield "planned", f"{forecast.verdict}{f': {forecast.why}' if forecast.why else ''}"
        if (memory := forecast.plan.memory) is not None:
            weights, token = memory.weights.per_rank_bytes, round(memory.cache.token_bytes)
            cache = f"{format_bytes(token)} of cache for a token"
            yield "each device", f"{format_bytes(weights)} of weights, {cache}"
        if memory is not None or forecast.plan.ceiling is not None:
            yield "figures", planned_words(forecast)
        if forecast.is_speculative:
            yield "speculative", "steps are bounded, and each may answer several tokens"
        for note in forecast.plan.notes:
            yield "note", note.text

    def _promises(self) -> Iterator[Row]:
        entry = self.placed.entry
        limits = list(limits_of(entry, self.placed.roofline))
        for question, words, source in promise_rows(entry):
            yield question, words
            if source:
                yield "  source", source
            for one in (one for one in limits if one.question == question):
                at = "" if one.point is None else f" at {one.point:g}"
                yield f"  {one.metric}{at}", "; ".join(one.words)
                dated = f" ({one.limit.date.isoformat()})" if one.limit.date else ""
                if one.limit.source or dated:
                    yield "    source", f"{one.limit.source or ''}{dated}".strip()
        for name, cell_id in self._partners.items():
            yield "held against", f"{name}: {cell_id}" if cell_id != name else name

    def _deadlines(self) -> Iterator[Row]:
        for name, duration_s in asdict(self.placed.entry.deadlines).items():
            yield name.removesuffix("_s"), format_duration_s(duration_s)

    def _questions(self) -> Iterator[Row]:
        asked: dict[str, list[str]] = {}
        left_out: dict[tuple[str, str], list[str]] = {}
        for question, why_not in asked_questions(self.placed):
            suite, _, name = question.partition("/")
            if why_not:
                left_out.setdefault((suite, why_not), []).append(name)
            else:
                asked.setdefault(suite, []).append(name)
        if self.placed.why_not or self.placed.ruled_out:
            yield "here", "none, since it does not run here; where it runs:"
        for suite, names in asked.items():
            yield suite, ", ".join(names)
        for (suite, why_not), names in left_out.items():
            yield f"not asked: {suite}", f"{', '.join(names)}: {why_not}"

    def _ledger(self) -> Iterator[Row]:
        for issue in self._issues:
            expired = "; EXPIRED, counts no longer" if issue.expires < self.today else ""
            link = f" {issue.link}" if issue.link else ""
            yield issue.question, f"{issue.fingerprint}: {issue.told}{expired}{link}"


def _flag(name: str, value: object) -> Row:
    if isinstance(value, bool):
        return f"--{name}", "on" if value else f"off (--no-{name})"
    return f"--{name}", str(value)
