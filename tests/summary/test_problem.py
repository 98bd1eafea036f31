"""What went wrong: cells that failed alike are one problem."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hwval.summary import NOT_DECIDED
from hwval.summary import summarise
from hwval.verdict import Outcome
from tests.fakes.sample_run import QUESTIONS
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_run
from tests.fakes.sample_run import make_verdict


def test_cells_with_one_fingerprint_are_one_problem(tmp_path: Path) -> None:
    """Forty failed cells with one cause read as one; another failure of that cause is another."""
    cells = [make_cell(f"org/m-{number}") for number in range(40)]
    marks = ["unknown:bbbb" if number == 39 else "unknown:aaaa" for number in range(40)]
    answers = [
        make_verdict(cell, "load/ready", Outcome.FAIL, "died", cause="unknown", fingerprint=mark)
        for cell, mark in zip(cells, marks, strict=True)
    ]
    many, one = summarise(make_run(tmp_path, cells, [], answers)).problems

    assert (many.fingerprint, len(many.cells), many.answer) == ("unknown:aaaa", 39, answers[0])
    assert (one.fingerprint, len(one.cells), one.answer) == ("unknown:bbbb", 1, answers[39])


def test_cell_with_two_failures_is_in_two_problems(tmp_path: Path) -> None:
    """What is blocked behind them is no problem of its own."""
    cell = make_cell(questions=QUESTIONS[:4])
    outcomes = (Outcome.FAIL, Outcome.FAIL, Outcome.INFRA, Outcome.BLOCKED)
    answers = [
        make_verdict(cell, question, outcome, cause=f"c{number % 3}")
        for number, (question, outcome) in enumerate(zip(QUESTIONS, outcomes, strict=False))
    ]
    problems = summarise(make_run(tmp_path, [cell], [], answers)).problems

    assert [(each.outcome, each.cause) for each in problems] == [
        (Outcome.FAIL, "c0"),
        (Outcome.FAIL, "c1"),
        (Outcome.INFRA, "c2"),
    ]


def test_problems_hold_every_cell_that_did_not_pass(tmp_path: Path) -> None:
    """The worst stand first, those without an answer too; a death has its explanation."""
    summary = summarise(all_outcomes(tmp_path))
    problems = {each.outcome: each for each in summary.problems}

    assert {id(cell) for each in summary.problems for cell in each.cells} == {
        id(cell) for cell in summary.asked if not cell.outcome.is_good
    }
    assert [each.outcome for each in summary.problems] == [
        Outcome.FAIL, Outcome.INFRA, Outcome.INCONCLUSIVE, Outcome.KNOWN, Outcome.NOT_RUN,
    ]  # fmt: skip
    assert problems[Outcome.KNOWN].explanation == problems[Outcome.KNOWN].cells[0].explanations[0]
    assert problems[Outcome.NOT_RUN].answer is None


def test_what_is_not_decided_is_one_problem(tmp_path: Path) -> None:
    """Each noisy measurement has numbers of its own; they are told below it."""
    cells = [make_cell(f"m{number}", questions=QUESTIONS[:2]) for number in range(40)]
    answers = [
        make_verdict(cell, question, Outcome.INCONCLUSIVE, f"{number} of 30 samples")
        for number, cell in enumerate(cells)
        for question in cell.questions
    ]
    named = replace(answers[0], cause="device-throttled")
    problems = summarise(make_run(tmp_path, cells, [], [named, *answers[1:]])).problems
    found = {each.cause: each for each in problems}
    first = found[NOT_DECIDED].cells[0]

    assert set(found) == {NOT_DECIDED, "device-throttled"}
    assert len(found[NOT_DECIDED].cells) == 40
    assert found[NOT_DECIDED].undecided(first) == (answers[1],)
    assert found["device-throttled"].undecided(first) == ()
