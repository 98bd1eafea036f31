"""One run out of several: what each host did, as one journal that all reports read.

A folder of its own gets the journal and a copy of what its records name, below the name of each
run, so that a path tells where it comes from. The runs stay as they are. What is not comparable is
refused: another version of a matrix, another meaning of a cell, and a cell that two runs asked.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from typing import TypeVar

from hwval.errors import UsageError
from hwval.result import NOT_NAMED
from hwval.result import CellRecord
from hwval.result import EndRecord
from hwval.result import EngineRecord
from hwval.result import Journal
from hwval.result import Run
from hwval.result import RunRecord
from hwval.result import VerdictRecord
from hwval.verdict import Outcome

__all__ = ["merge_runs"]

_INTERRUPTED: Final = 2
_SHOWN_REASONS: Final = 3
_Value = TypeVar("_Value")


def merge_runs(runs: Sequence[Run], folder: Path) -> None:
    """Write one run out of several.

    Args:
        runs: The runs, at least one, of different names.
        folder: Gets the journal and the files; new or empty.

    Raises:
        UsageError: The folder is not empty or inside a run's, or the runs do not go together.
        OSError: A file cannot be copied.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder")
    if any(folder.resolve().is_relative_to(run.folder.resolve()) for run in runs):
        raise UsageError(f"{folder} is inside the folder of a run; name one outside")
    _check(runs)
    cells = _merged_cells(runs)
    folder.mkdir(parents=True, exist_ok=True)
    engines = [_with_engine_files(run, one, folder) for run in runs for one in run.engines]
    verdicts = [_with_verdict_files(run, one, folder) for run in runs for one in run.verdicts]
    with Journal(folder) as journal:
        journal.append(_head(runs, folder.resolve().name), *cells, *engines, *verdicts, _end(runs))


def _check(runs: Iterable[Run]) -> None:
    """Refuse runs of one name or of none, and runs of different versions of a matrix."""
    folders: dict[str, Path] = {}
    digests: dict[str, tuple[str, str]] = {}
    for run in runs:
        name = run.head.run_id
        # It becomes the name of a folder.
        if name in {"", ".."} or Path(name).name != name or not name.isprintable():
            raise UsageError(f"{run.folder} is of a run without a usable name: {name!r}")
        if name in folders:
            raise UsageError(f"{folders[name]} and {run.folder} are both the run {name!r}")
        folders[name] = run.folder
        for file, digest in run.head.matrices.items():
            known, other = digests.setdefault(file, (digest, name))
            if known != digest:
                raise UsageError(
                    f"{file} is not the same in {other} and {name}: SHA-256 {known[:12]} and "
                    f"{digest[:12]}; only runs of one version of a matrix go together"
                )


def _merged_cells(runs: Sequence[Run]) -> list[CellRecord]:
    """Return every cell once: as it was asked, or with all reasons why nobody did."""
    found: dict[str, list[tuple[str, CellRecord, bool]]] = {}
    for run in runs:
        answered = {one.cell for one in run.verdicts} | {one.cell for one in run.engines}
        for cell in run.cells:
            is_asked = cell.selected or cell.cell in answered
            found.setdefault(cell.cell, []).append((run.head.run_id, cell, is_asked))
    return [_merged_cell(records) for records in found.values()]


def _merged_cell(records: Sequence[tuple[str, CellRecord, bool]]) -> CellRecord:
    (first, one, _), *rest = records
    for name, other, _ in rest:
        if other.fingerprint != one.fingerprint:
            raise UsageError(
                f"cell {one.cell} means something else in {first} and {name}: fingerprint "
                f"{one.fingerprint} and {other.fingerprint}"
            )
    asked = [(name, cell) for name, cell, is_asked in records if is_asked]
    if len(asked) > 1:
        names = " and ".join(name for name, _ in asked)
        raise UsageError(f"cell {one.cell} was asked by {names}; leave all but one of them out")
    if asked:
        name, cell = asked[0]
        return replace(cell, run=_run_name(name, cell.run))
    impossible = [cell for _, cell, _ in records if cell.outcome is Outcome.IMPOSSIBLE]
    return impossible[0] if impossible else replace(one, reason=_reason(records))


def _reason(records: Iterable[tuple[str, CellRecord, bool]]) -> str:
    """Return why no run asked a cell; where they differ, with the name of each run."""
    told = {name: cell.reason for name, cell, _ in records}
    better = {name: reason for name, reason in told.items() if reason != NOT_NAMED} or told
    if len(set(better.values())) == 1:
        return next(iter(better.values()))
    lines = [f"{name}: {reason}" for name, reason in better.items()]
    more = len(lines) - _SHOWN_REASONS
    return "; ".join(lines[:_SHOWN_REASONS]) + (f"; and {more} more" if more > 0 else "")


def _head(runs: Sequence[Run], name: str) -> RunRecord:
    heads = [run.head for run in runs]
    host = {  # what one run tells of its host, too, as far as reports read it
        fact: ", ".join(_distinct([str(head.host.get(fact, "unknown"))] for head in heads))
        for fact in ("hostname", "cpu_model")
    }
    return RunRecord(
        run_id=name,
        started_at=min(head.started_at for head in heads),
        hwval_version=", ".join(_distinct([head.hwval_version] for head in heads)),
        command="; ".join(_distinct([head.command] for head in heads)),
        host=host | {f"run {head.run_id}": dict(head.host) for head in heads},
        matrices={file: digest for head in heads for file, digest in head.matrices.items()},
        questions=_distinct(head.questions for head in heads),
        all_questions=_distinct(head.all_questions for head in heads),
    )


def _end(runs: Sequence[Run]) -> EndRecord:
    """Return the foot: interrupted if any of them did not come to its end."""
    is_complete = all(run.ending == "complete" for run in runs)
    codes = [run.end.exit_code for run in runs if run.end]
    return EndRecord(
        finished_at=max((run.end.finished_at for run in runs if run.end), default=""),
        exit_code=max(codes, default=0) if is_complete else _INTERRUPTED,
        warnings=tuple(_warnings(runs)),
    )


def _warnings(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        if run.ending != "complete":
            yield f"{run.head.run_id} was {run.ending}: what it did not answer is missing here"
    versions = Counter(run.head.hwval_version for run in runs)
    if len(versions) > 1:
        yield f"the runs are of different releases of hwval: {', '.join(sorted(versions))}"
    said: dict[str, list[str]] = {}
    for run in runs:
        for warning in run.end.warnings if run.end else ():
            said.setdefault(warning, []).append(run.head.run_id)
    yield from (f"{', '.join(names)}: {warning}" for warning, names in said.items())


def _run_name(name: str, inner: str) -> str:
    """Return the name of a run; that of one which was merged before is the path to its files."""
    return f"{name}/{inner}" if inner else name


def _distinct(many: Iterable[Iterable[_Value]]) -> tuple[_Value, ...]:
    return tuple(dict.fromkeys(one for each in many for one in each))


def _with_engine_files(run: Run, engine: EngineRecord, folder: Path) -> EngineRecord:
    return replace(
        engine,
        log=_brought(run, engine.log, folder),
        autopsy=_brought(run, engine.autopsy, folder),
    )


def _with_verdict_files(run: Run, verdict: VerdictRecord, folder: Path) -> VerdictRecord:
    files = {title: _brought(run, name, folder) for title, name in verdict.files.items()}
    return replace(verdict, files={title: name for title, name in files.items() if name})


def _brought(run: Run, name: str | None, folder: Path) -> str | None:
    """Copy a file that a record names, and return its new name; None if there is no such file.

    It is called as it lies in its run's folder, so that no name leads into another run's.
    """
    source = run.path(name) if name is not None else None
    if source is None or not os.path.isfile(source):  # noqa: PTH113 - never raises: a foreign name
        return None
    new = Path(run.head.run_id, source.relative_to(run.folder.resolve()))
    (folder / new).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, folder / new)
    return new.as_posix()
