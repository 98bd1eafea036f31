"""`hwval report` and `hwval reap`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hwval.result import Journal
from hwval.result import Run
from tests.cli.calling import Call
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_run
from tests.fakes.sample_run import passing


def write(run: Run) -> None:
    with Journal(run.folder) as journal:
        journal.append(run.head, *run.cells, *run.engines, *run.verdicts)
        if run.end is not None:
            journal.append(run.end)


def test_report_of_a_good_run_is_fine(hwval: Call, tmp_path: Path) -> None:
    """The sign-off is written again; its path is the last line."""
    cell = make_cell()
    write(make_run(tmp_path / "run", [cell], [], passing(cell)))
    code, out, _ = hwval("report", "run")

    assert code == 0
    assert out.splitlines()[-1] == "sign-off: run/signoff.html"
    assert (tmp_path / "run" / "signoff.html").is_file()


def test_report_of_a_bad_run_is_a_negative_answer(hwval: Call, tmp_path: Path) -> None:
    """Exit status 1, with the same pages."""
    write(all_outcomes(tmp_path / "run"))
    code, out, _ = hwval("report", "run")

    assert (code, (tmp_path / "run" / "signoff.md").is_file()) == (1, True)
    assert "FAIL" in out


def test_report_for_programs(hwval: Call, tmp_path: Path) -> None:
    """What the run comes to, each cell with its outcome, and where the pages are."""
    run = all_outcomes(tmp_path / "run")
    write(run)
    code, out, err = hwval("report", "run", "--json")
    told = json.loads(out)

    assert (code, err) == (1, "")
    assert told["signoff"] == ["run/signoff.html", "run/signoff.md"]
    assert (told["run"], told["ending"], told["complete"]) == (run.head.run_id, "complete", False)
    assert len(told["cells"]) == len(run.cells) == sum(told["counts"].values())
    assert {cell["outcome"] for cell in told["cells"]} == set(told["counts"])
    assert "FAIL" in told["counts"]


def test_reap_for_programs(hwval: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty list where nothing was left."""
    monkeypatch.setattr("hwval.leftovers.reap_leftovers", lambda _: ["container a"])

    code, out, _ = hwval("reap", "--json")

    assert (code, json.loads(out)) == (0, {"removed": ["container a"]})


def test_reap_tells_what_it_removed(hwval: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each, then the count."""
    monkeypatch.setattr("hwval.leftovers.reap_leftovers", lambda _: ["container a"])

    assert hwval("reap") == (0, "removed container a\n1 leftover removed\n", "")


def test_reap_without_a_daemon_is_fine(
    hwval: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing runs in containers where there are none."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    assert hwval("reap") == (0, "0 leftovers removed\n", "")


def test_report_of_several_runs_is_one(hwval: Call, tmp_path: Path) -> None:
    """The merged run stands in a folder of its own, with all pages."""
    for name, hardware in (("a", "cpu"), ("b", "gfx906-mi60")):
        cell = make_cell(hardware=hardware)
        run = make_run(tmp_path / name, [cell], [], passing(cell))
        write(replace(run, head=replace(run.head, run_id=name)))
    code, out, _ = hwval("report", "a", "b", "--into=all")

    assert code == 0
    assert out.splitlines()[-1] == "sign-off: all/signoff.html"
    assert "2 cells" in (tmp_path / "all" / "signoff.md").read_text()


def test_every_bad_folder_is_named(hwval: Call, tmp_path: Path) -> None:
    """Exit status 2, nothing is written, and what to do."""
    cell = make_cell()
    write(make_run(tmp_path / "a", [cell], [], passing(cell)))
    code, out, err = hwval("report", "a", "none", "nowhere", "--into=all")

    assert (code, out) == (2, "")
    assert err.startswith("hwval: 2 things are in the way:\n  none/records.jsonl: cannot be read")
    assert "\n  nowhere/records.jsonl: cannot be read" in err
    assert "or leave a run out of the command" in err
    assert not (tmp_path / "all").exists()


def test_several_runs_need_a_folder(hwval: Call) -> None:
    """None of theirs is written into."""
    assert hwval("report", "a", "b") == (
        2, "", "hwval: 2 runs are merged into a folder of their own: --into=FOLDER\n"
    )  # fmt: skip
