"""What a run adds up to: nothing that is missing turns green."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.result import EndRecord
from hwval.result import Run
from hwval.summary import NOT_DECIDED
from hwval.summary import format_counts
from hwval.summary import summarise
from hwval.verdict import Outcome
from tests.fakes.sample_run import QUESTIONS
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_engine
from tests.fakes.sample_run import make_run
from tests.fakes.sample_run import make_verdict
from tests.fakes.sample_run import passing


def one_cell(folder: Path, answered: int, *, complete: bool = True) -> Run:
    """Return a run of one cell with that many of its questions passed."""
    cell = make_cell()
    return make_run(
        folder, [cell], [make_engine(cell)], passing(cell)[:answered], complete=complete
    )


def test_a_cell_with_every_answer_good_passes(tmp_path: Path) -> None:
    """All planned questions answered as hoped: PASS."""
    summary = summarise(one_cell(tmp_path, len(QUESTIONS)))

    assert summary.cells[0].outcome is Outcome.PASS
    assert summary.cells[0].passed == len(QUESTIONS)
    assert summary.headline == "The one cell that was asked passed."


@pytest.mark.parametrize("answered", range(len(QUESTIONS)))
def test_a_missing_answer_is_never_green(tmp_path: Path, answered: int) -> None:
    """However many passed: with one left out the cell is NOT RUN, and the rest is counted."""
    cell = summarise(one_cell(tmp_path, answered)).cells[0]

    assert cell.outcome is Outcome.NOT_RUN
    assert cell.counts.get(Outcome.NOT_RUN) == len(QUESTIONS) - answered
    assert [answer.question for answer in cell.answers] == list(QUESTIONS)


def test_a_run_that_was_cut_short_says_so(tmp_path: Path) -> None:
    """What is missing names the end of the run as its reason."""
    summary = summarise(one_cell(tmp_path, 3, complete=False))

    assert summary.cells[0].reasons == ("the run was cut short before",)
    assert summary.headline.startswith("This run was cut short.")


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


def test_a_cell_names_its_cause_before_its_reason(tmp_path: Path) -> None:
    """The cause id stands for the cell; without one the reason does."""
    causes = {cell.record.model: cell.cause for cell in summarise(all_outcomes(tmp_path)).cells}

    assert causes["hub:org/model"] == "disk-full"
    assert causes["llama-70b"] == "141 GB do not fit in 16 GB"


def test_a_failed_start_explains_the_verdict_of_its_cause(tmp_path: Path) -> None:
    """Evidence with file and line and the remedy come from the engine's diagnosis."""
    known = summarise(all_outcomes(tmp_path)).cells[2]
    explanation = known.explain(known.answers[0])

    assert explanation is not None
    assert explanation.where == f"logs/{known.record.cell}.log:118"
    assert explanation.remedy.startswith("Lower max-model-len")
    assert explanation.link == "https://docs.example.org/len"
    assert explanation.title == "context longer than the model allows"
    assert (explanation.family, explanation.secondary) == ("usage", ("ipc-socket-failure",))
    assert known.explain(known.answers[1]) is None


@pytest.mark.parametrize("evidence", [None, "text", 3, {}], ids=repr)
def test_a_diagnosis_of_odd_form_is_shown_as_far_as_it_goes(
    tmp_path: Path, evidence: object
) -> None:
    """A diagnosis without usable evidence still names its cause."""
    run = one_cell(tmp_path, 0)
    engine = replace(run.engines[0], diagnosis={"cause": "unknown", "evidence": evidence}, log=None)
    explanation = summarise(replace(run, engines=(engine,))).cells[0].explanations[0]

    assert (explanation.cause, explanation.evidence, explanation.where) == ("unknown", "", "")


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


PLANNED = {
    "planned_weights_least_bytes": 90.0,
    "planned_weights_most_bytes": 110.0,
    "planned_kv_cache_least_tokens": 5.0,
    "planned_kv_cache_most_tokens": 9.0,
}


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
