"""What became better or worse between two runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.compare import Change
from hwval.compare import compare_runs
from hwval.errors import UsageError
from hwval.verdict import Outcome
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_verdict
from tests.fakes.sample_run import passing
from tests.fakes.two_runs import write_run

CELL = make_cell(questions=("load/ready", "generate/chat"))


def test_same_id_that_means_something_else_is_incomparable(tmp_path: Path) -> None:
    """The fingerprint says so; nothing of the cell is worse or better."""
    base = write_run(tmp_path / "a")
    other = replace(CELL, fingerprint="ffffffffffff")
    new = write_run(
        tmp_path / "b", [make_verdict(other, "generate/chat", Outcome.FAIL)], cells=[other]
    )
    found = compare_runs(base, new)

    assert found.cells[0].changes == [Change.INCOMPARABLE]
    assert "0123456789ab before, ffffffffffff now" in found.cells[0].incomparable
    assert not found.got_worse


def test_second_answer_hides_no_failure(tmp_path: Path) -> None:
    """Whichever came first."""
    base = write_run(tmp_path / "base", cells=[CELL])
    both = [make_verdict(CELL, "generate/chat", each) for each in (Outcome.FAIL, Outcome.PASS)]
    for name, answers in (("a", both), ("b", both[::-1])):
        new = write_run(tmp_path / name, answers, cells=[CELL])
        assert compare_runs(base, new).got_worse


def test_runs_without_a_common_cell_are_refused(tmp_path: Path) -> None:
    """With one line, as the same run twice is."""
    base = write_run(tmp_path / "a")
    new = write_run(tmp_path / "b", cells=[make_cell("synthetic:phi3")])

    with pytest.raises(UsageError, match="not comparable: none of 1 cells"):
        compare_runs(base, new)
    with pytest.raises(UsageError, match="the same run"):
        compare_runs(base, base)


def test_cell_that_another_host_asked_is_told(tmp_path: Path) -> None:
    """Of merged runs the hosts may be the same while a cell went from one to the other."""
    cell = make_cell()
    facts = {"hostname": "a, b", "run 1": {"hostname": "a"}, "run 2": {"hostname": "b"}}
    base, moved, stayed = (
        write_run(tmp_path / name, passing(cell), cells=[replace(cell, run=run)], host=facts)
        for name, run in (("base", "1"), ("moved", "2"), ("stayed", "1"))
    )

    assert compare_runs(base, moved).cells[0].notes == ("asked on a before, on b now",)
    assert compare_runs(base, moved).notes == ()
    assert compare_runs(base, stayed).cells[0].notes == ()


def test_what_differs_as_a_whole_is_told(tmp_path: Path) -> None:
    """Another host, another hwval, a run that was cut short."""
    base = write_run(tmp_path / "a", complete=False)
    host = {"hostname": "lab-8", "cpu_model": "EPYC 9654"}
    new = write_run(tmp_path / "b", host=host, hwval_version="0.2.0")
    notes = " | ".join(compare_runs(base, new).notes)

    assert "a was cut short" in notes
    assert "hostname lab-7 before, lab-8 now" in notes
    assert "cpu_model None before, EPYC 9654 now" in notes
    assert "hwval 0.1.0 before, 0.2.0 now" in notes
