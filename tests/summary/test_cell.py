"""What a cell adds up to: nothing that is missing turns green."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.summary import summarise
from hwval.verdict import NOT_APPLICABLE
from hwval.verdict import Outcome
from tests.fakes.sample_run import QUESTIONS
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_engine
from tests.fakes.sample_run import make_run
from tests.fakes.sample_run import make_verdict
from tests.fakes.sample_run import one_cell
from tests.fakes.sample_run import passing

PLANNED = {
    "planned_weights_least_bytes": 90.0,
    "planned_weights_most_bytes": 110.0,
    "planned_kv_cache_least_tokens": 5.0,
    "planned_kv_cache_most_tokens": 9.0,
}


@pytest.mark.parametrize("answered", range(len(QUESTIONS)))
def test_a_missing_answer_is_never_green(tmp_path: Path, answered: int) -> None:
    """However many passed: with one left out the cell is NOT RUN, and the rest is counted."""
    cell = summarise(one_cell(tmp_path, answered)).cells[0]

    assert cell.outcome is Outcome.NOT_RUN
    assert cell.counts.get(Outcome.NOT_RUN) == len(QUESTIONS) - answered
    assert [answer.question for answer in cell.answers] == list(QUESTIONS)


def test_a_selected_cell_without_questions_has_no_evidence(tmp_path: Path) -> None:
    """Nothing planned and nothing answered is NOT RUN."""
    cell = summarise(make_run(tmp_path, [make_cell(questions=())], [], [])).cells[0]

    assert cell.outcome is Outcome.NOT_RUN
    assert cell.reasons == ("no question was planned for it",)


@pytest.mark.parametrize("claimed", [*Outcome, None])
def test_a_cell_that_was_not_asked_is_not_run_or_impossible(
    tmp_path: Path, claimed: Outcome | None
) -> None:
    """A record of an unselected cell cannot claim anything else."""
    record = make_cell(selected=False, outcome=claimed, reason="because")
    cell = summarise(make_run(tmp_path, [record], [], [])).cells[0]

    expected = Outcome.IMPOSSIBLE if claimed is Outcome.IMPOSSIBLE else Outcome.NOT_RUN
    assert (cell.outcome, cell.reasons) == (expected, ("because",))


def test_a_cell_names_its_cause_before_its_reason(tmp_path: Path) -> None:
    """The cause id stands for the cell; without one the reason does."""
    causes = {cell.record.model: cell.cause for cell in summarise(all_outcomes(tmp_path)).cells}

    assert causes["hub:org/model"] == "disk-full"
    assert causes["llama-70b"] == "141 GB do not fit in 16 GB"


def test_plan_is_held_against_what_was_measured(tmp_path: Path) -> None:
    """Each measurement that was planned, and whether it is within the bounds."""
    cell = make_cell()
    numbers = {**PLANNED, "weights_bytes": 100.0, "kv_cache_tokens": 10.0, "ready_s": 1.0}
    engine = replace(make_engine(cell), numbers=numbers)
    summary = summarise(make_run(tmp_path, [cell], [engine], passing(cell)))
    weights, cache = summary.cells[0].predictions

    assert (weights.name, weights.least, weights.most, weights.measured) == (
        *("weights_bytes", 90.0, 110.0),
        100.0,
    )
    assert (weights.is_right, cache.is_right) == (True, False)


@pytest.mark.parametrize("numbers", [{}, PLANNED, {"weights_bytes": 1.0}])
def test_nothing_is_compared_without_both(tmp_path: Path, numbers: dict[str, float]) -> None:
    """An engine that logs no size, or a cell that nobody planned."""
    cell = make_cell()
    engine = replace(make_engine(cell), numbers=numbers)
    summary = summarise(make_run(tmp_path, [cell], [engine], passing(cell)))

    assert summary.cells[0].predictions == ()


def test_what_does_not_apply_is_no_evidence(tmp_path: Path) -> None:
    """It is left out of the count; with nothing else there is none, and the cell says so."""
    cell = make_cell(questions=("generate/chat", "generate/stream"))
    chat, stream = (
        make_verdict(cell, question, Outcome.NOT_RUN, cause=NOT_APPLICABLE)
        for question in cell.questions
    )
    passed = make_verdict(cell, "generate/chat")
    some = summarise(make_run(tmp_path, [cell], [], [passed, stream])).cells[0]
    none = summarise(make_run(tmp_path, [cell], [], [chat, stream])).cells[0]

    assert (some.outcome, some.passed, some.questions) == (Outcome.PASS, 1, 1)
    assert (none.outcome, none.questions) == (Outcome.NOT_RUN, 0)
    assert none.reasons == ("none of the questions that were planned for it applies",)


def test_failure_counts_whatever_its_cause_is_called(tmp_path: Path) -> None:
    """No cause turns it into a question that does not apply."""
    cell = make_cell(questions=("generate/chat",))
    failed = make_verdict(cell, "generate/chat", Outcome.FAIL, "x", cause=NOT_APPLICABLE)

    assert summarise(make_run(tmp_path, [cell], [], [failed])).cells[0].outcome is Outcome.FAIL
