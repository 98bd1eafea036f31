"""One run out of several."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hwval.allure import write_allure
from hwval.errors import UsageError
from hwval.merge import merge_folders
from hwval.merge import merge_runs
from hwval.result import NOT_NAMED
from hwval.result import CellRecord
from hwval.result import EndRecord
from hwval.result import Journal
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
    assert run.head.host["run nvidia"] == {"hostname": "nvidia"}
    assert [(cell.run, run.host_of(cell)) for cell in run.cells] == [
        ("amd", "amd"),
        ("nvidia", "nvidia"),
    ]


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


def test_pages_tell_which_host_asked_a_cell(tmp_path: Path, amd: Run, nvidia: Run) -> None:
    """Beside each cell, and as Allure's label; a run may be called like a fact of hosts."""
    amd = replace(amd, head=replace(amd.head, run_id="hostname"))
    run = merged(tmp_path, amd, nvidia)
    write_allure(run, run.folder / "allure-results")
    page, _ = write_signoff(run.folder)
    labels = {
        json.loads(path.read_text())["fullName"].partition("#")[0]: label["value"]
        for path in (run.folder / "allure-results").glob("*-result.json")
        for label in json.loads(path.read_text())["labels"]
        if label["name"] == "host"
    }

    assert run.head.host["hostname"] == "amd, nvidia"
    assert "asked by hostname on amd" in page.read_text()
    assert "asked by nvidia on nvidia" in page.read_text()
    assert labels == {AMD.cell: "amd", NVIDIA.cell: "nvidia"}


def test_merged_runs_can_be_merged(tmp_path: Path, amd: Run, nvidia: Run) -> None:
    """The name of a run is the way to its files, and still tells the host."""
    inner = merged(tmp_path, amd)
    merge_runs([inner, nvidia], tmp_path / "outer")
    run = read_run(tmp_path / "outer")

    assert [(cell.run, run.host_of(cell)) for cell in run.cells] == [
        ("all/amd", "amd"),
        ("nvidia", "nvidia"),
    ]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "nvidia/.", "/tmp/x", "a\0b"])
def test_run_whose_name_is_no_folder_is_refused(
    tmp_path: Path, amd: Run, nvidia: Run, name: str
) -> None:
    """It would lie among the files of another, or in place of the journal."""
    odd = replace(amd, head=replace(amd.head, run_id=name))
    with pytest.raises(UsageError, match="amd is of a run without a usable name"):
        merge_runs([nvidia, odd], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_folder_has_the_run_s_name_however_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amd: Run
) -> None:
    """The current folder is one, too."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    merge_runs([amd], Path())

    assert read_run(Path()).head.run_id == "here"


def test_file_of_another_run_is_not_replaced(tmp_path: Path, nvidia: Run) -> None:
    """A folder may be called like another run, and a name may lead out of it and back."""
    for folder, text in ((nvidia.folder, "true"), (tmp_path / "x" / "nvidia", "false")):
        (folder / "logs").mkdir(parents=True)
        (folder / "logs" / "a.log").write_text(text)
    evil = one_run(tmp_path / "x" / "nvidia", AMD)
    evil = replace(
        evil,
        head=replace(evil.head, run_id="evil"),
        engines=(replace(evil.engines[0], log="../nvidia/logs/a.log"),),
    )
    nvidia = replace(nvidia, engines=(replace(nvidia.engines[0], log="logs/a.log"),))
    run = merged(tmp_path, nvidia, evil)

    assert [engine.log for engine in run.engines] == ["nvidia/logs/a.log", "evil/logs/a.log"]
    assert (run.folder / "nvidia" / "logs" / "a.log").read_text() == "true"


def test_journal_of_nobody_s_writes_nothing_outside(tmp_path: Path, nvidia: Run) -> None:
    """Names that lead out of a folder, and files that are not there, are left out."""
    (tmp_path / "secret").write_text("secret")
    hostile = one_run(tmp_path / "amd", AMD)
    hostile.folder.mkdir(exist_ok=True)
    (hostile.folder / "link").symlink_to(tmp_path / "secret")
    evil = replace(hostile.engines[0], log="../secret", autopsy="logs/none.json")
    names = ("../secret", "/etc/hostname", "link", "a\0b", "\ud800", "logs/" + "a" * 300)
    odd = make_verdict(AMD, "load/ready", files=dict(enumerate(names)))
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


def test_question_that_one_run_left_out_is_told(tmp_path: Path, amd: Run, nvidia: Run) -> None:
    """Another host that asked it does not make up for that; one that could not is no lack."""
    every = (*ASKED, "generate/stream")
    amd = replace(amd, head=replace(amd.head, questions=every, all_questions=every))
    nvidia = replace(nvidia, head=replace(nvidia.head, questions=ASKED, all_questions=every))
    able = replace(nvidia, head=replace(nvidia.head, all_questions=ASKED))
    summary = summarise(merged(tmp_path, amd, nvidia))
    merge_runs([amd, able], tmp_path / "fine")

    assert "Only 2 of 3 questions were selected." in summary.headline
    assert summary.warnings == ("nvidia selected only 2 of 3 questions",)
    assert "Only" not in summarise(read_run(tmp_path / "fine")).headline


def test_what_does_not_go_together_is_refused(tmp_path: Path, amd: Run, nvidia: Run) -> None:
    """Other matrices, other meanings, cells asked twice, runs given twice; nothing is written."""
    changed = replace(
        nvidia, head=replace(nvidia.head, matrices={"matrices/smoke.yaml": "00" * 32})
    )
    other = replace(nvidia, cells=(replace(AMD, selected=False, fingerprint="ffff"), NVIDIA))
    again = one_run(tmp_path / "again", AMD)
    for run, message in (
        (
            changed,
            "matrices/smoke.yaml is not the same in .* in amd; SHA-256 000000000000 in nvidia",
        ),
        (other, f"cell {AMD.cell} means something else in amd and nvidia"),
        (again, f"cell {AMD.cell} was asked by amd and again"),
        (amd, "are both the run 'amd'"),
    ):
        with pytest.raises(UsageError, match=message):
            merge_runs([amd, run], tmp_path / "all")

    assert not (tmp_path / "all").exists()


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path, amd: Run, nvidia: Run) -> None:
    """Folders that hold no run, too, and what to do; nothing is left out in silence."""
    for run in (amd, nvidia):
        with Journal(run.folder) as journal:
            journal.append(run.head, *run.cells, *run.engines, *run.verdicts)
    again = one_run(tmp_path / "again", AMD, NVIDIA)
    with Journal(again.folder) as journal:
        journal.append(again.head, *again.cells)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "records.jsonl").write_text("{}\n")
    folders = [tmp_path / name for name in ("amd", "empty", "nvidia", "broken", "amd", "again")]

    with pytest.raises(UsageError) as caught:
        merge_folders(folders, tmp_path / "all")
    head, *problems, what_to_do = str(caught.value).splitlines()
    assert head == "5 things are in the way:"
    for problem, told in zip(
        problems,
        (
            "empty/records.jsonl: cannot be read",
            "broken/records.jsonl:1: format version None",
            "are both the run 'amd'",
            f"cell {AMD.cell} was asked by amd and again; leave all but one of these runs out",
            f"cell {NVIDIA.cell} was asked by nvidia and again",
        ),
        strict=True,
    ):
        assert told in problem
    assert "leave a run out of the command" in what_to_do
    assert not (tmp_path / "all").exists()


def test_many_cells_of_one_problem_are_one_line(tmp_path: Path) -> None:
    """The same share that ran twice."""
    cells = [make_cell(f"m{number}", questions=ASKED) for number in range(5)]
    runs = [one_run(tmp_path / name, *cells) for name in ("a", "b")]

    with pytest.raises(UsageError, match=r"^5 cells \(.*m2.* and 2 more\) were asked by a and b"):
        merge_runs(runs, tmp_path / "all")


def test_folder_with_anything_in_it_is_left_alone(tmp_path: Path, amd: Run, nvidia: Run) -> None:
    """A run is evidence, and a folder of runs would be written into them."""
    merge_runs([amd], tmp_path / "all")
    before = (tmp_path / "all" / "records.jsonl").read_text()

    with pytest.raises(UsageError, match="all is not empty; name a new folder"):
        merge_runs([amd, nvidia], tmp_path / "all")
    with pytest.raises(UsageError, match="is not empty"):
        merge_runs([amd, nvidia], tmp_path)
    with pytest.raises(UsageError, match="is inside the folder of a run"):
        merge_runs([amd, nvidia], nvidia.folder / "all")
    assert (tmp_path / "all" / "records.jsonl").read_text() == before
    assert json.loads(before.splitlines()[0])["run_id"] == "all"
