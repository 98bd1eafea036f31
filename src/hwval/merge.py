"""One run out of several: what each host did, as one journal that all reports read.

A folder of its own gets the journal and a copy of what its records name, below the name of each
run, so that a path tells where it comes from. The runs stay as they are. What is not comparable is
refused: another version of a matrix, another meaning of a cell, and a cell that two runs asked.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
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
from hwval.result import read_run
from hwval.verdict import Outcome

__all__ = ["merge_folders", "merge_runs"]

_INTERRUPTED: Final = 2
_SHOWN: Final = 3
_WHAT_TO_DO: Final = (
    "Nothing was written, since a sign-off would lack evidence in silence. Bring or mend what is "
    "missing, or leave a run out of the command: cells that only it asked are NOT RUN then."
)
_Value = TypeVar("_Value")


def merge_folders(folders: Iterable[Path], into: Path) -> None:
    """Write one run out of those in several folders; see ``merge_runs``.

    Raises:
        UsageError: A folder holds no readable run, or as for ``merge_runs``; all that is wrong is
            told at once, and nothing is written.
        OSError: A file cannot be copied.
    """
    runs, problems = [], []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except UsageError as error:
            problems.append(str(error))
    _merge(runs, into, problems)


def merge_runs(runs: Sequence[Run], into: Path) -> None:
    """Write one run out of several.

    Args:
        runs: The runs, at least one, of different names.
        into: Gets the journal and the files; new or empty.

    Raises:
        UsageError: The folder is not empty or inside a run's, or the runs do not go together; all
            that is wrong is told at once, and nothing is written.
        OSError: A file cannot be copied.
    """
    _merge(runs, into, [])


def _merge(runs: Sequence[Run], into: Path, problems: Sequence[str]) -> None:
    if into.exists() and any(into.iterdir()):
        raise UsageError(f"{into} is not empty; name a new folder")
    if any(into.resolve().is_relative_to(run.folder.resolve()) for run in runs):
        raise UsageError(f"{into} is inside the folder of a run; name one outside")
    _refuse([*problems, *_problems(runs)])
    cells = _merged_cells(runs)
    into.mkdir(parents=True, exist_ok=True)
    engines = [_with_engine_files(run, one, into) for run in runs for one in run.engines]
    verdicts = [_with_verdict_files(run, one, into) for run in runs for one in run.verdicts]
    with Journal(into) as journal:
        journal.append(_head(runs, into.resolve().name), *cells, *engines, *verdicts, _end(runs))


def _refuse(problems: Sequence[str]) -> None:
    """Raise what is wrong, so that nothing is left out of a sign-off but by a person.

    Raises:
        UsageError: There is a problem.
    """
    if len(problems) == 1:
        raise UsageError(f"{problems[0]}. {_WHAT_TO_DO}")
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise UsageError(f"{len(problems)} things are in the way:{lines}\n{_WHAT_TO_DO}")


def _problems(runs: Iterable[Run]) -> Iterator[str]:
    """Yield why runs do not go together; of two of one name only the first is looked at further."""
    named: dict[str, Run] = {}
    for run in runs:
        name = run.head.run_id
        # It becomes the name of a folder.
        if name in {"", ".."} or Path(name).name != name or not name.isprintable():
            yield f"{run.folder} is of a run without a usable name: {name!r}"
        elif name in named:
            yield f"{named[name].folder} and {run.folder} are both the run {name!r}"
        else:
            named[name] = run
    yield from _other_matrices(named)
    yield from _other_meanings(named)
    yield from _asked_twice(named)


def _other_matrices(named: Mapping[str, Run]) -> Iterator[str]:
    versions: defaultdict[str, defaultdict[str, list[str]]]
    versions = defaultdict(lambda: defaultdict(list))
    for name, run in named.items():
        for file, digest in run.head.matrices.items():
            versions[file][digest].append(name)
    for file, digests in versions.items():
        if len(digests) > 1:
            told = "; ".join(f"SHA-256 {one[:12]} in {_few(runs)}" for one, runs in digests.items())
            yield f"{file} is not the same in all runs, which only go together if it is: {told}"


def _other_meanings(named: Mapping[str, Run]) -> Iterator[str]:
    first: dict[str, tuple[str, str]] = {}
    differing: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, run in named.items():
        for cell in run.cells:
            other, fingerprint = first.setdefault(cell.cell, (name, cell.fingerprint))
            if fingerprint != cell.fingerprint:
                differing[other, name].append(cell.cell)
    for (one, other), cells in differing.items():
        yield f"{_cells(cells, 'means', 'mean')} something else in {one} and {other} (fingerprint)"


def _asked_twice(named: Mapping[str, Run]) -> Iterator[str]:
    askers: defaultdict[str, list[str]] = defaultdict(list)
    for name, run in named.items():
        for cell in _asked(run):
            askers[cell].append(name)
    twice: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for cell, names in askers.items():
        if len(names) > 1:
            twice[tuple(names)].append(cell)
    for runs, cells in twice.items():
        told = " and ".join(runs)
        yield f"{_cells(cells, 'was', 'were')} asked by {told}; leave all but one of these runs out"


def _cells(cells: Sequence[str], one: str, many: str) -> str:
    if len(cells) == 1:
        return f"cell {cells[0]} {one}"
    return f"{len(cells)} cells ({_few(cells)}) {many}"


def _few(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _asked(run: Run) -> dict[str, None]:
    """Return the ids of the cells that a run was to ask, or has answers of, in their order."""
    selected = [cell.cell for cell in run.cells if cell.selected]
    answered = [one.cell for one in run.verdicts]
    return dict.fromkeys([*selected, *answered, *(one.cell for one in run.engines)])


def _merged_cells(runs: Sequence[Run]) -> list[CellRecord]:
    """Return every cell once: as it was asked, or with all reasons why nobody did."""
    found: dict[str, list[tuple[str, CellRecord, bool]]] = {}
    for run in runs:
        asked = _asked(run)
        for cell in run.cells:
            record = (run.head.run_id, cell, cell.cell in asked)
            found.setdefault(cell.cell, []).append(record)
    return [_merged_cell(records) for records in found.values()]


def _merged_cell(records: Sequence[tuple[str, CellRecord, bool]]) -> CellRecord:
    for name, cell, is_asked in records:
        if is_asked:  # by this run alone
            return replace(cell, run=_run_name(name, cell.run))
    impossible = [cell for _, cell, _ in records if cell.outcome is Outcome.IMPOSSIBLE]
    return impossible[0] if impossible else replace(records[0][1], reason=_reason(records))


def _reason(records: Iterable[tuple[str, CellRecord, bool]]) -> str:
    """Return why no run asked a cell; where they differ, with the name of each run."""
    told = {name: cell.reason for name, cell, _ in records}
    better = {name: reason for name, reason in told.items() if reason != NOT_NAMED} or told
    if len(set(better.values())) == 1:
        return next(iter(better.values()))
    lines = [f"{name}: {reason}" for name, reason in better.items()]
    more = len(lines) - _SHOWN
    return "; ".join(lines[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


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
        # A question that only some of the runs selected is not asked of every cell here.
        questions=tuple(
            question
            for question in _distinct(head.questions for head in heads)
            if not any(question in _unselected(run) for run in runs)
        ),
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
    if len({_unselected(run) for run in runs}) > 1:
        for run in runs:
            if left_out := len(_unselected(run)):
                total = len(run.head.all_questions)
                yield f"{run.head.run_id} selected only {total - left_out} of {total} questions"
    said: dict[str, list[str]] = {}
    for run in runs:
        for warning in run.end.warnings if run.end else ():
            said.setdefault(warning, []).append(run.head.run_id)
    yield from (f"{', '.join(names)}: {warning}" for warning, names in said.items())


def _unselected(run: Run) -> frozenset[str]:
    """Return the questions that a run could have asked, and was told not to."""
    return frozenset(run.head.all_questions) - frozenset(run.head.questions)


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
