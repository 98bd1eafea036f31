"""One run out of several."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hwval.allure import write_allure
from hwval.errors import UsageError
from hwval.merge import merge_runs
from hwval.result import NOT_NAMED
from hwval.result import CellRecord
from hwval.result import EndRecord
from hwval.result import Run
from hwval.result import read_run
from hwval.signoff import write_signoff
from hwval.summary import summarise
from hwval.verdict import Outcome
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_engine
from tests.fakes.sample_run import make_run
from tests.fakes.sample_run import make_verdict
from tests.fakes.sample_run import measured_run
from tests.fakes.sample_run import passing

ASKED = ("load/ready", "generate/chat")
AMD = make_cell(hardware="gfx906-mi60", questions=ASKED)
NVIDIA = make_cell(hardware="sm_90-h100", questions=ASKED)


def absent(cell: CellRecord, reason: str, outcome: Outcome = Outcome.NOT_RUN) -> CellRecord:
    return replace(cell, selected=False, outcome=outcome, reason=reason, questions=())


def one_run(folder: Path, *cells: CellRecord, complete: bool = True, **head: object) -> Run:
    """A run that passed what it asked; its host is called like its folder."""
    asked = [cell for cell in cells if cell.selected]
    verdicts = [answer for cell in asked for answer in passing(cell)]
    engines = [make_engine(cell) for cell in asked]
    run = make_run(folder, [*cells], engines, verdicts, complete=complete)
    host = {"hostname": folder.name}
    return replace(run, head=replace(run.head, run_id=folder.name, host=host, **head))  # type: ignore[arg-type]


@pytest.fixture
def amd(tmp_path: Path) -> Run:
    """A host with MI60."""
    return one_run(tmp_path / "amd", AMD, absent(NVIDIA, "this host has no sm_90"))


@pytest.fixture
def nvidia(tmp_path: Path) -> Run:
    """A host with H100."""
    return one_run(tmp_path / "nvidia", absent(AMD, NOT_NAMED), NVIDIA)


def merged(tmp_path: Path, *runs: Run) -> Run:
    merge_runs(runs, tmp_path / "all")
    return read_run(tmp_path / "all")


def test_every_cell_is_told_by_who_asked_it(tmp_path: Path, amd: Run, nvidia: Run) -> None:
    """Two hosts, each with its share, come to one sign-off without a gap."""
    run = merged(tmp_path, amd, nvidia)
    summary = summarise(run)

    assert [cell.record.cell for cell in summary.cells] == [AMD.cell, NVIDIA.cell]
    assert summary.counts == {Outcome.PASS: 2}
    assert summary.is_complete
    assert summary.headline.startswith("All 2 cells that were asked passed.")
    assert run.head.run_id == "all"
    assert run.head.host["hostname"] == "amd, nvidia"
    assert run.head.host["nvidia"] == {"hostname": "nvidia"}


def test_reports_are_made_of_it_as_of_any_run(tmp_path: Path) -> None:
    """Logs, measurements and pictures come along, below the name of their run."""
    one = measured_run(tmp_path / "one")
    (tmp_path / "one" / "logs").mkdir(exist_ok=True)
    log = f"logs/{one.cells[0].cell}.log"
    (tmp_path / "one" / log).write_text("INFO started\n")
    one = replace(one, engines=(make_engine(one.cells[0], log=log),))
    run = merged(tmp_path, one, one_run(tmp_path / "two", NVIDIA))
    write_allure(run, run.folder / "allure-results")
    page, _ = write_signoff(run.folder)
    named = {name for answer in run.verdicts for name in answer.files.values()}

    assert (run.folder / str(run.engines[0].log)).read_text() == "INFO started\n"
    assert named
    assert all(name.startswith(f"{one.head.run_id}/files/") for name in named)
    assert all((run.folder / name).is_file() for name in named)
    assert "<svg" in page.read_text() or "data:image/svg+xml" in page.read_text()


def test_journal_of_nobody_s_writes_nothing_outside(tmp_path: Path, nvidia: Run) -> None:
    """Names that lead out of a folder, and files that are not there, are left out."""
    (tmp_path / "secret").write_text("secret")
    hostile = one_run(tmp_path / "amd", AMD)
    evil = replace(hostile.engines[0], log="../secret", autopsy="logs/none.json")
    odd = make_verdict(AMD, "load/ready", files={"a": "../secret", "b": "/etc/hostname"})
    hostile = replace(hostile, engines=(evil,), verdicts=(odd,))
    run = merged(tmp_path, hostile, nvidia)

    assert (run.engines[0].log, run.engines[0].autopsy) == (None, None)
    assert run.verdicts[0].files == {}
    assert [path.name for path in (tmp_path / "all").rglob("*")] == ["records.jsonl"]


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ([NOT_NAMED, "no sm_90"], "no sm_90"),
        ([NOT_NAMED, NOT_NAMED], NOT_NAMED),
        (["no sm_90", "no sm_90"], "no sm_90"),
        (["none", "two"], "0: none; 1: two"),
        (["a", "b", "c", "d", "e"], "0: a; 1: b; 2: c; and 2 more"),
    ],
)
def test_cell_that_nobody_asked_has_every_reason(
    tmp_path: Path, reasons: list[str], told: str
) -> None:
    """What was not named tells nothing where another host knows more."""
    runs = [
        one_run(tmp_path / str(number), absent(NVIDIA, reason))
        for number, reason in enumerate(reasons)
    ]
    (cell,) = merged(tmp_path, *runs).cells

    assert (cell.reason, cell.selected, cell.outcome) == (told, False, Outcome.NOT_RUN)


def test_impossible_is_impossible_everywhere(tmp_path: Path, nvidia: Run) -> None:
    """One host that planned it is enough."""
    impossible = absent(AMD, "141 GB do not fit", Outcome.IMPOSSIBLE)
    run = merged(tmp_path, nvidia, one_run(tmp_path / "amd", impossible))

    assert run.cells[0] == impossible


def test_run_that_did_not_end_makes_all_incomplete(tmp_path: Path, amd: Run) -> None:
    """What is missing is told, never counted as green."""
    cut = one_run(tmp_path / "cut", NVIDIA, complete=False)
    cut = replace(cut, verdicts=cut.verdicts[:1])
    summary = summarise(merged(tmp_path, amd, cut))

    assert not summary.is_complete
    assert "This run was interrupted." in summary.headline
    assert summary.cells[1].outcome is Outcome.NOT_RUN
    assert summary.warnings == ("cut was cut short: what it did not answer is missing here",)


def test_warnings_and_releases_are_told_with_their_runs(
    tmp_path: Path, amd: Run, nvidia: Run
) -> None:
    """What both say is told once."""
    amd, nvidia = (
        replace(run, end=EndRecord("2026-11-20T11:00:00+00:00", code, ("entry names no cell",)))
        for run, code in ((amd, 0), (nvidia, 1))
    )
    nvidia = replace(nvidia, head=replace(nvidia.head, hwval_version="0.2.0"))
    run = merged(tmp_path, amd, nvidia)

    assert run.end == EndRecord(
        "2026-11-20T11:00:00+00:00",
        1,
        (
            "the runs are of different releases of hwval: 0.1.0, 0.2.0",
            "amd, nvidia: entry names no cell",
        ),
    )
    assert run.head.hwval_version == "0.1.0, 0.2.0"


def test_what_does_not_go_together_is_refused(tmp_path: Path, amd: Run, nvidia: Run) -> None:
    """Other matrices, other meanings, cells asked twice, runs given twice; nothing is written."""
    changed = replace(
        nvidia, head=replace(nvidia.head, matrices={"matrices/smoke.yaml": "00" * 32})
    )
    other = replace(nvidia, cells=(replace(AMD, selected=False, fingerprint="ffff"), NVIDIA))
    again = one_run(tmp_path / "again", AMD)
    for run, message in (
        (changed, "matrices/smoke.yaml is not the same in amd and nvidia"),
        (other, f"cell {AMD.cell} means something else in amd and nvidia"),
        (again, f"cell {AMD.cell} was asked by amd and again"),
        (amd, "are both the run 'amd'"),
    ):
        with pytest.raises(UsageError, match=message):
            merge_runs([amd, run], tmp_path / "all")

    assert not (tmp_path / "all").exists()


def test_folder_with_anything_in_it_is_left_alone(tmp_path: Path, amd: Run, nvidia: Run) -> None:
    """A run is evidence, and a folder of runs would be written into them."""
    merge_runs([amd], tmp_path / "all")
    before = (tmp_path / "all" / "records.jsonl").read_text()

    with pytest.raises(UsageError, match="all is not empty; name a new folder"):
        merge_runs([amd, nvidia], tmp_path / "all")
    with pytest.raises(UsageError, match="is not empty"):
        merge_runs([amd, nvidia], tmp_path)
    assert (tmp_path / "all" / "records.jsonl").read_text() == before
    assert json.loads(before.splitlines()[0])["run_id"] == "all"
