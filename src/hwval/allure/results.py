"""The files: a result for each answer with its attachments, and what Allure tells of the run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from pathlib import PurePosixPath
from typing import Any
from typing import Final

from hwval.allure.categories import STATUS
from hwval.allure.categories import categories
from hwval.allure.places import LEVELS
from hwval.allure.places import hierarchy_of
from hwval.allure.places import labels_of
from hwval.allure.places import parameters_of
from hwval.allure.telling import description_of
from hwval.allure.telling import details_of
from hwval.inert import inside_link
from hwval.inert import one_line
from hwval.inert import visible
from hwval.inert import web_link
from hwval.pictures import Gallery
from hwval.pictures import gallery_of
from hwval.result import EngineRecord
from hwval.result import Run
from hwval.result import VerdictRecord
from hwval.summary import CellSummary
from hwval.summary import summarise
from hwval.verdict import Outcome

__all__ = ["write_allure"]

_NAMESPACE: Final = uuid.UUID("6b1f4d5e-0d4b-5c62-9a53-7f1c2f1d9e10")
_TYPES: Final[Mapping[str, str]] = {
    "csv": "text/csv",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
}
"""By the end of a file's name; anything else is text, which no browser runs."""
_SUFFIX: Final = re.compile(r".*\.[a-z0-9]{1,8}", re.DOTALL)


def write_allure(run: Run, out_dir: Path) -> None:
    """Write ``run`` into ``out_dir`` as Allure reads it, one result for each answer.

    Planned questions without an answer and cells that were not asked are skipped tests with their
    reason: nothing is missing. Allure 3 takes its categories from a configuration and not from the
    results, hence ``allurerc.json`` (``allure generate --config OUT/allurerc.json OUT``).

    Args:
        run: The journal; logs are taken from its folder.
        out_dir: Folder for the results, made if need be; files of other runs are left alone.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    writer = _Writer(run, out_dir, gallery_of(run))
    for cell in summarise(run).cells:
        seen: Counter[str] = Counter()
        for answer in cell.answers or (_not_asked(cell),):
            seen[answer.question] += 1
            writer.write_result(cell, answer, attempt=seen[answer.question])
    name = f"hwval {one_line(run.head.run_id)}"
    plugins = {"awesome": {"options": {"groupBy": LEVELS}}}
    rules = categories()
    config = {"name": name, "categories": {"rules": rules}, "plugins": plugins}
    writer.write_json("categories.json", rules)
    writer.write_json("allurerc.json", config)
    writer.write_json("executor.json", {"name": "hwval", "type": "hwval", "buildName": name})
    lines = "".join(f"{_property(key)} = {_property(text)}\n" for key, text in _environment(run))
    writer.write_bytes("environment.properties", lines.encode("ascii"))


@dataclass(frozen=True, slots=True)
class _Writer:
    run: Run
    out_dir: Path
    gallery: Gallery

    def write_result(self, cell: CellSummary, answer: VerdictRecord, *, attempt: int) -> None:
        # A second answer to one question is a test of its own: as a retry it would hide the first.
        again = f" (answer {attempt})" if attempt > 1 else ""
        identity = f"{answer.cell}#{answer.question}{again}"
        stop_ms = _ended_ms(self.run, answer)
        start_ms = stop_ms - round(max(answer.duration_s, 0.0) * 1000)
        name, url = self._uuid(identity), web_link(answer.link)
        explanation = cell.explain(answer)
        to = explanation.link if explanation else None
        result = {
            "uuid": name,
            "historyId": _digest(identity),
            "testCaseId": _digest(identity),
            "fullName": one_line(identity),
            "name": one_line(
                f"{answer.title or answer.question} [{hierarchy_of(cell)[-1]}]{again}"
            ),
            "titlePath": [one_line(each) for each in hierarchy_of(cell)],
            "status": STATUS[answer.outcome],
            "statusDetails": details_of(cell, answer),
            "description": description_of(explanation, answer),
            "stage": "finished",
            "start": start_ms,
            "stop": stop_ms,
            "labels": list(labels_of(self.run, cell, answer)),
            "links": [
                *([{"type": "issue", "url": url, "name": url}] if url else []),
                *([{"type": "link", "url": to, "name": to}] if to else []),
            ],
            "parameters": parameters_of(cell, answer),
            "steps": list(_steps(cell, answer, start_ms)),
            "attachments": list(self._attachments(cell, answer, identity)),
        }
        self.write_json(f"{name}-result.json", result)

    def _attachments(
        self, cell: CellSummary, answer: VerdictRecord, identity: str
    ) -> Iterator[dict[str, str]]:
        if answer.details:
            yield self._text(identity, "details.txt", answer.details)
        if answer.numbers:
            yield self._text(identity, "measurements.json", _pretty(answer.numbers))
        if answer.checks:
            yield self._text(identity, "checks.json", _pretty({"checks": answer.checks}))
        for picture in self.gallery.shown_with(answer.cell, answer.question):
            yield from self._file(picture.png, f"{picture.title}.png", identity)
            yield from self._file(picture.svg, f"{picture.title}.svg", identity)
        for title, path in answer.files.items():
            suffix = PurePosixPath(path).suffix if _SUFFIX.fullmatch(path) else ".txt"
            yield from self._file(path, one_line(f"{title}{suffix}"), identity)
        is_first = any(answer is first for first in cell.answers[:1])
        if is_first or answer.outcome.is_bad or answer.outcome is Outcome.KNOWN:
            yield from self._engines(cell, identity)

    def _engines(self, cell: CellSummary, identity: str) -> Iterator[dict[str, str]]:
        for number, engine in enumerate(cell.engines, 1):
            start = f"engine-{number}" if len(cell.engines) > 1 else "engine"
            yield from self._file(engine.log, f"{start}.log", identity)
            if engine.diagnosis:
                yield self._text(identity, f"{start}-diagnosis.json", _pretty(engine.diagnosis))
            yield from self._file(engine.autopsy, f"{start}-autopsy.json", identity)
            yield self._text(identity, f"{start}-reproduce.sh", engine.command)
            yield self._text(identity, f"{start}.json", _pretty(_facts(engine)))

    def _text(self, identity: str, name: str, text: str) -> dict[str, str]:
        attachment = self._attachment(identity, name)
        self.write_bytes(attachment["source"], visible(text).encode())
        return attachment

    def _file(self, path: str | None, name: str, identity: str) -> Iterator[dict[str, str]]:
        if path is None or inside_link(path) is None:
            return
        source = self.run.path(path)
        if source is None or not source.is_file():
            return
        attachment = self._attachment(identity, name)
        _link_or_copy(source, self.out_dir / attachment["source"])
        yield attachment

    def _attachment(self, identity: str, name: str) -> dict[str, str]:
        """Name a file of one result: Allure 3.18 shows a file in the first result that has it."""
        extension = name.rpartition(".")[2]
        file = f"{self._uuid(f'{identity}#{name}')}-attachment.{extension}"
        return {"name": name, "source": file, "type": _TYPES.get(extension, "text/plain")}

    def _uuid(self, identity: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, _digest(f"{self.run.head.run_id}\n{identity}")))

    def write_json(self, name: str, data: Any) -> None:
        self.write_bytes(name, json.dumps(data).encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        unfinished = self.out_dir / f".{name}.{os.getpid()}.tmp"
        unfinished.write_bytes(content)
        unfinished.replace(self.out_dir / name)


def _not_asked(cell: CellSummary) -> VerdictRecord:
    title = f"{cell.record.model} was not asked"
    return VerdictRecord(cell.record.cell, "not asked", title, cell.outcome, " ".join(cell.reasons))


def _ended_ms(run: Run, answer: VerdictRecord) -> int:
    """When it was answered; what never was belongs to the end of the run, or else its start."""
    for text in (answer.finished_at, run.end.finished_at if run.end else "", run.head.started_at):
        with suppress(ValueError):  # an absent or odd time: the next best one
            return round(datetime.fromisoformat(text).timestamp() * 1000)
    return 0


def _steps(cell: CellSummary, answer: VerdictRecord, start_ms: int) -> Iterator[dict[str, Any]]:
    """Yield the start-up phases for the cell's first question, which is the one that waits."""
    if not cell.engines or answer is not cell.answers[0]:
        return
    engine = cell.engines[-1]
    at_ms = start_ms - round(sum(engine.phases_s.values()) * 1000)
    for number, (name, duration_s) in enumerate(engine.phases_s.items(), 1):
        died_here = not engine.ready and number == len(engine.phases_s)
        stop_ms = at_ms + round(duration_s * 1000)
        yield {
            "name": f"start-up: {one_line(name)}",
            "status": STATUS[answer.outcome] if died_here else "passed",
            "stage": "finished",
            "start": at_ms,
            "stop": stop_ms,
        }
        at_ms = stop_ms


def _facts(engine: EngineRecord) -> dict[str, Any]:
    left_out = {"cell", "command", "log"}  # known from elsewhere, or attached on their own
    return {name: getattr(engine, name) for name in engine.__slots__ if name not in left_out}


def _environment(run: Run) -> Iterable[tuple[str, str]]:
    yield from (("run", run.head.run_id), ("started", run.head.started_at))
    yield "complete", "yes" if run.ending == "complete" else f"no, {run.ending}"
    yield from (("hwval", run.head.hwval_version), ("command", run.head.command))
    yield from ((f"matrix {file}", digest) for file, digest in run.head.matrices.items())
    for name, value in run.head.host.items():
        yield f"host {name}", value if isinstance(value, str) else json.dumps(value, default=str)
    versions: dict[str, dict[str, None]] = {}
    for engine in run.engines:
        for name, version in engine.versions.items():
            versions.setdefault(name, {})[version] = None
    yield from ((name, ", ".join(found)) for name, found in versions.items())


def _property(text: str) -> str:
    """Return ``text`` as key or value of a Java properties file, in ASCII."""
    # JSON escapes backslashes and what is not ASCII just as properties do.
    return re.sub("[ :=#!]", r"\\\g<0>", json.dumps(one_line(text))[1:-1])


def _pretty(data: Mapping[str, Any]) -> str:
    return json.dumps(dict(data), indent=2, default=str)


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()


def _link_or_copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)  # logs may be large
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
