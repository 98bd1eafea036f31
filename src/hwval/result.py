"""The journal of a run: one JSON object a line, appended and synced, read back for reports.

A record is on disk before anything tells of it, so ``kill -9`` loses no finished verdict. What a
run planned stands at its head, so that a reader sees what is missing.

Format history:
    1: the first.
    2: verdicts have ``checks`` and ``files``; a journal of format 1 is read as one without them.
    3: cells have ``run``; it is empty in journals of formats before.

A record's own fields change only with a new number. What stands inside ``numbers``, ``checks``,
``host`` and ``diagnosis`` may grow without one: a reader takes the keys that it knows, and lives
without them. So a check may tell its ``point``, or only name it at the head of its ``text``.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from typing import ClassVar
from typing import Final
from typing import Self

from hwval.errors import UsageError
from hwval.verdict import Outcome

__all__ = [
    "FORMAT_VERSION",
    "NOT_NAMED",
    "CellRecord",
    "EndRecord",
    "EngineRecord",
    "Journal",
    "Record",
    "Run",
    "RunRecord",
    "VerdictRecord",
    "read_run",
]

FORMAT_VERSION: Final = 3
_READABLE_VERSIONS: Final = frozenset({1, 2, 3})
JOURNAL_NAME: Final = "records.jsonl"
NOT_NAMED: Final = "not named by --cell"
"""Reason of a cell that the command line leaves out: it tells nothing of the cell."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Head of a journal: what was started, where, from what.

    Attributes:
        run_id: Name of the run and of its folder.
        started_at: ISO 8601, UTC.
        hwval_version: Version of this project.
        command: The command line, secrets removed.
        host: Facts of this machine, as ``hwval probe`` knows them.
        matrices: Matrix file -> SHA-256 of its content.
        questions: Names of the questions that are asked of every selected cell, in order.
        all_questions: Names of all questions that the suites hold; what is not among
            ``questions`` was not selected.
    """

    kind: ClassVar[str] = "run"
    run_id: str
    started_at: str
    hwval_version: str
    command: str
    host: Mapping[str, Any]
    matrices: Mapping[str, str]
    questions: tuple[str, ...]
    all_questions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CellRecord:
    """One cell of the matrix and what became of it before anything was asked.

    Attributes:
        cell: Cell id.
        hardware: Hardware key with its count, for example ``gfx906-mi60 x2``.
        image: Image as the cell names it.
        model: Model as the cell names it.
        dtype: Dtype.
        variant: Variant name, may be empty.
        fingerprint: ``Cell.fingerprint``; differs when the same id meant something else.
        source: ``file:line`` of the matrix that the cell came from.
        selected: Whether this run asks it its questions.
        outcome: NOT RUN or IMPOSSIBLE for a cell that is not selected, else None.
        reason: Why it is not selected; empty if it is.
        questions: Names of the questions planned for this cell.
        run: The run that asked it, where this one is made of several; else empty.
    """

    kind: ClassVar[str] = "cell"
    cell: str
    hardware: str
    image: str
    model: str
    dtype: str
    variant: str
    fingerprint: str
    source: str
    selected: bool
    outcome: Outcome | None = None
    reason: str = ""
    questions: tuple[str, ...] = ()
    run: str = ""


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """One start of an engine, whether it came up or not; once more where it died after that.

    Attributes:
        cell: Cell id.
        engine: ``docker``, ``venv`` or ``external``.
        command: Shell line that reproduces it.
        ready: Whether it became ready.
        versions: Component -> version as the engine itself says, e.g. ``{"vllm": "0.32.0"}``.
        image_digest: Content id of the container image; None where there is none.
        phases_s: Start-up phase -> seconds, in order.
        numbers: Other measurements; units stand in the names (``kv_cache_tokens``). What was
            planned of the start begins with ``planned_``.
        diagnosis: Root cause of a failed start or of a death under a question, as
            ``hwval diagnose --json`` prints it, and ``title`` (the cause in a few words) and
            ``rule`` (the rule that decided, null where none did).
        log: Log file, relative to the run's folder.
        autopsy: File with what a failed engine left, relative to the run's folder.
    """

    kind: ClassVar[str] = "engine"
    cell: str
    engine: str
    command: str
    ready: bool
    versions: Mapping[str, str] = field(default_factory=dict)
    image_digest: str | None = None
    phases_s: Mapping[str, float] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    diagnosis: Mapping[str, Any] | None = None
    log: str | None = None
    autopsy: str | None = None


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """One question answered.

    Attributes:
        cell: Cell id.
        question: ``suite/name``, for example ``generate/stop_string``.
        title: The question in one sentence.
        outcome: The verdict's word.
        reason: One sentence; empty for a plain PASS.
        cause: Root cause id, None without one.
        fingerprint: Identity of the failure, ``cause:hash``, as a ledger names it; None without
            one.
        blocked_by: Question that failed before, None otherwise.
        link: Where the ledger points to, None otherwise.
        duration_s: Seconds that the question took, without the engine's start.
        finished_at: ISO 8601, UTC.
        numbers: Measurements; units stand in the names.
        details: Longer text for people: the failed comparison, the cause's evidence and remedy.
        checks: Measurements held against what was promised of them, as ``hwval.threshold`` says.
        files: Title -> file with more of it, relative to the run's folder: samples, tables, plots.
    """

    kind: ClassVar[str] = "verdict"
    cell: str
    question: str
    title: str
    outcome: Outcome
    reason: str = ""
    cause: str | None = None
    fingerprint: str | None = None
    blocked_by: str | None = None
    link: str | None = None
    duration_s: float = 0.0
    finished_at: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    details: str = ""
    checks: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndRecord:
    """Foot of a journal; a journal without it belongs to a run that was cut short.

    Attributes:
        finished_at: ISO 8601, UTC.
        exit_code: pytest's exit status.
        warnings: What the run wants a person to know: unused ledger entries, leftovers removed.
    """

    kind: ClassVar[str] = "end"
    finished_at: str
    exit_code: int
    warnings: tuple[str, ...] = ()


Record = RunRecord | CellRecord | EngineRecord | VerdictRecord | EndRecord
_KINDS: Final[Mapping[str, type[Record]]] = {
    record.kind: record
    for record in (RunRecord, CellRecord, EngineRecord, VerdictRecord, EndRecord)
}


def to_json(record: Record) -> dict[str, Any]:
    """Return ``record`` as the object that stands on its line; ``from_json`` reads it."""
    return {"v": FORMAT_VERSION, "kind": record.kind, **dataclasses.asdict(record)}


def from_json(data: Mapping[str, Any]) -> Record:
    """Return the record that ``to_json`` wrote.

    Raises:
        UsageError: Another format version, an unknown kind, or fields that do not fit it.
    """
    if data.get("v") not in _READABLE_VERSIONS:
        raise UsageError(f"format version {data.get('v')!r}, expected at most {FORMAT_VERSION}")
    kind = _KINDS.get(str(data.get("kind")))
    if kind is None:
        raise UsageError(f"record kind {data.get('kind')!r}, expected one of {', '.join(_KINDS)}")
    fields = {name: value for name, value in data.items() if name not in {"v", "kind"}}
    try:
        if fields.get("outcome") is not None or kind is VerdictRecord:
            fields["outcome"] = Outcome(fields["outcome"])
        for name in ("questions", "all_questions", "warnings", "checks"):
            if name in fields:
                fields[name] = tuple(fields[name])
        return kind(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"record of kind {data['kind']!r} does not fit: {error}") from error


class Journal:
    """Appends records to a run's ``records.jsonl``; one writer a run.

    Args:
        run_dir: The run's folder; made if need be.
        clean: Takes secrets out of a record's JSON before it is written.
    """

    def __init__(
        self, run_dir: Path, *, clean: Callable[[object], object] = lambda record: record
    ) -> None:
        self._clean = clean
        run_dir.mkdir(parents=True, exist_ok=True)
        self.path = run_dir / JOURNAL_NAME
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._descriptor: int | None = os.open(self.path, flags, 0o644)

    def append(self, *records: Record) -> None:
        """Write ``records`` and wait until they are on disk.

        Raises:
            ValueError: A number is NaN or infinite: absent is absent.
        """
        if self._descriptor is None:
            raise ValueError(f"journal {self.path} is closed")
        lines = "".join(
            json.dumps(self._clean(to_json(record)), ensure_ascii=False, allow_nan=False) + "\n"
            for record in records
        )
        view = memoryview(lines.encode("utf-8", "backslashreplace"))
        while view:
            view = view[os.write(self._descriptor, view) :]
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# pytest's exit status after Ctrl-C or SIGTERM, and after an error of pytest or a plugin.
_INTERRUPTED: Final = frozenset({2, 3})


@dataclass(frozen=True, slots=True)
class Run:
    """A journal read back.

    Attributes:
        folder: The run's folder.
        head: What was started.
        cells: Every cell of the matrices, in their order.
        engines: Every start of an engine, in order of time.
        verdicts: Every answered question, in order of time.
        end: None if the run was cut short.
    """

    folder: Path
    head: RunRecord
    cells: tuple[CellRecord, ...]
    engines: tuple[EngineRecord, ...]
    verdicts: tuple[VerdictRecord, ...]
    end: EndRecord | None

    @property
    def ending(self) -> str:
        """``complete``, ``interrupted`` or ``cut short``."""
        if self.end is None:
            return "cut short"
        return "interrupted" if self.end.exit_code in _INTERRUPTED else "complete"

    def host_of(self, cell: CellRecord) -> str:
        """Return the name of the host that a cell was asked on; empty where none was recorded."""
        facts: Any = self.head.host
        for name in filter(None, cell.run.split("/")):
            facts = facts.get(f"run {name}") if isinstance(facts, Mapping) else None
        return str(facts.get("hostname", "")) if isinstance(facts, Mapping) else ""

    def path(self, name: str) -> Path | None:
        """Return the path of a file that a record names; None for one outside the run's folder.

        A journal may come from anywhere, and links are followed before it is judged.
        """
        try:
            path = (self.folder / name).resolve()
            return path if path.is_relative_to(self.folder.resolve()) else None
        except (OSError, RuntimeError, ValueError):  # loops of links, names that no file can have
            return None


def read_run(folder: Path) -> Run:
    """Read a run's journal.

    A last line without its line end was cut off by a kill and is left out; anything else that
    cannot be read is an error, since a verdict might stand there.

    Raises:
        UsageError: No journal there, or a line that is no record, with file and line.
    """
    path = folder / JOURNAL_NAME
    try:
        # Cut before decoding: a kill may have cut the last line inside a character.
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror or error}; name the folder of a run"
        ) from error
    records = [_read_line(path, number, line) for number, line in enumerate(lines[:-1], 1)]
    if not records or not isinstance(records[0], RunRecord):
        raise UsageError(f"{path}:1: the head of the run is missing; nothing was recorded")
    ends = [record for record in records if isinstance(record, EndRecord)]
    return Run(
        folder=folder,
        head=records[0],
        cells=tuple(record for record in records if isinstance(record, CellRecord)),
        engines=tuple(record for record in records if isinstance(record, EngineRecord)),
        verdicts=tuple(record for record in records if isinstance(record, VerdictRecord)),
        end=ends[-1] if ends else None,
    )


def _read_line(path: Path, number: int, line: bytes) -> Record:
    try:
        data = json.loads(line)
        if not isinstance(data, dict):
            raise UsageError("not a JSON object")  # noqa: TRY301 - one place adds file and line
        return from_json(data)
    except (TypeError, ValueError, RecursionError, UsageError) as error:
        raise UsageError(f"{path}:{number}: {error}") from error
