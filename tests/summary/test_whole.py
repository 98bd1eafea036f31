"""What a run adds up to: nothing that is missing turns green."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.result import EndRecord
from hwval.result import EngineRecord
from hwval.summary import format_counts
from hwval.summary import summarise
from hwval.verdict import Outcome
from tests.fakes.sample_run import QUESTIONS
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_run
from tests.fakes.sample_run import make_verdict
from tests.fakes.sample_run import one_cell
from tests.fakes.sample_run import passing


def test_a_cell_with_every_answer_good_passes(tmp_path: Path) -> None:
    """All planned questions answered as hoped: PASS."""
    summary = summarise(one_cell(tmp_path, len(QUESTIONS)))

    assert summary.cells[0].outcome is Outcome.PASS
    assert summary.cells[0].passed == len(QUESTIONS)
    assert summary.headline == "The one cell that was asked passed."


def test_a_run_that_was_cut_short_says_so(tmp_path: Path) -> None:
    """What is missing names the end of the run as its reason."""
    summary = summarise(one_cell(tmp_path, 3, complete=False))

    assert summary.cells[0].reasons == ("the run was cut short before",)
    assert summary.headline.startswith("This run was cut short.")


def test_every_outcome_is_counted_once(tmp_path: Path) -> None:
    """Cells and questions add up to what was planned."""
    summary = summarise(all_outcomes(tmp_path))

    assert sum(summary.counts.values()) == len(summary.cells)
    assert sum(summary.question_counts.values()) == 6 * len(QUESTIONS)
    assert set(summary.counts) | set(summary.question_counts) == set(Outcome)


def test_verdicts_of_unknown_cells_are_a_warning(tmp_path: Path) -> None:
    """A verdict whose cell the journal does not list is not dropped in silence."""
    run = one_cell(tmp_path, 1)
    stranger = replace(make_verdict(run.cells[0], "load/ready"), cell="elsewhere")
    summary = summarise(replace(run, verdicts=(stranger,)))

    assert "records of 1 cells that it does not list" in summary.warnings[0]
    assert "elsewhere" in summary.warnings[0]


def test_counts_stand_in_the_order_of_the_words() -> None:
    """What did not occur is left out."""
    counts = {Outcome.NOT_RUN: 2, Outcome.PASS: 1000, Outcome.FAIL: 0}

    assert format_counts(counts) == "1,000 PASS, 2 NOT RUN"


def test_an_interrupted_run_is_not_complete(tmp_path: Path) -> None:
    """Ctrl-C leaves a foot in the journal; the run says all the same that it was interrupted."""
    run = one_cell(tmp_path, 3, complete=False)
    summary = summarise(replace(run, end=EndRecord("2026-11-20T10:00:00+00:00", exit_code=2)))

    assert summary.headline.startswith("This run was interrupted.")
    assert summary.cells[0].reasons == ("the run was interrupted before",)
    assert not summary.is_complete


def test_questions_that_were_not_selected_are_told(tmp_path: Path) -> None:
    """A cell that passed a part of the suites is not told as if it had passed all of them."""
    run = one_cell(tmp_path, len(QUESTIONS))
    head = replace(run.head, questions=QUESTIONS, all_questions=(*QUESTIONS, "generate/other"))
    total = len(QUESTIONS) + 1

    headline = summarise(replace(run, head=head)).headline

    assert f"Only {total - 1} of {total} questions were selected." in headline


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "1 more cell of the matrices has no evidence"),
        (2, "2 more cells of the matrices have no evidence"),
    ],
)
def test_cells_without_evidence_are_counted_in_words(tmp_path: Path, count: int, said: str) -> None:
    """One is one."""
    cell = make_cell()
    others = [
        replace(make_cell(f"m{number}"), selected=False, reason="elsewhere")
        for number in range(count)
    ]
    run = make_run(tmp_path, [cell, *others], [], passing(cell))

    assert said in summarise(run).headline


def test_a_start_that_died_later_is_one_start(tmp_path: Path) -> None:
    """Its second record says why; times of the start stay, and another start is another one."""
    run = one_cell(tmp_path, 1)
    came_up = EngineRecord(
        run.cells[0].cell, "venv", "vllm serve", ready=True, numbers={"ready_s": 28.0}
    )
    died = replace(came_up, diagnosis={"cause": "engine-core-killed"}, autopsy="logs/a.json")
    again = replace(came_up, numbers={"ready_s": 30.0})
    cell = summarise(replace(run, engines=(again, came_up, died))).cells[0]

    assert cell.engines == (again, died)
    assert cell.started_in_s == 28.0
