"""What became of a question."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.compare import Change
from hwval.compare import Comparison
from hwval.compare import compare_runs
from hwval.compare.verdicts import change_of
from hwval.verdict import Outcome
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_verdict
from tests.fakes.two_runs import write_run

CELL = make_cell(questions=("load/ready", "generate/chat"))


def verdicts_of(found: Comparison) -> dict[str, Change]:
    return {one.question: one.change for one in found.cells[0].verdicts}


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (Outcome.PASS, Outcome.PASS, Change.SAME),
        (Outcome.PASS, Outcome.FIXED, Change.SAME),
        (Outcome.PASS, Outcome.FAIL, Change.WORSE),
        (Outcome.PASS, Outcome.KNOWN, Change.WORSE),
        (Outcome.FIXED, Outcome.BLOCKED, Change.WORSE),
        (Outcome.PASS, Outcome.INCONCLUSIVE, Change.LOST),
        (Outcome.FAIL, Outcome.INFRA, Change.LOST),
        (Outcome.FAIL, Outcome.PASS, Change.BETTER),
        (Outcome.KNOWN, Outcome.FIXED, Change.BETTER),
        (Outcome.INFRA, Outcome.PASS, Change.NEW),
        (Outcome.INFRA, Outcome.FAIL, Change.NEW),
        (Outcome.INFRA, Outcome.INCONCLUSIVE, Change.SAME),
        (Outcome.NOT_RUN, Outcome.BLOCKED, Change.SAME),
        (Outcome.BLOCKED, Outcome.INFRA, Change.SAME),
        (Outcome.FAIL, Outcome.KNOWN, Change.SAME),
        (Outcome.FAIL, Outcome.BLOCKED, Change.SAME),
    ],
)
def test_change_of_a_verdict(
    tmp_path: Path, before: Outcome, after: Outcome, change: Change
) -> None:
    """Good to bad is worse; what tells nothing is neither."""
    base = write_run(tmp_path / "a", [make_verdict(CELL, "generate/chat", before)])
    new = write_run(tmp_path / "b", [make_verdict(CELL, "generate/chat", after)])
    found = compare_runs(base, new)

    assert verdicts_of(found) == {"load/ready": Change.SAME, "generate/chat": change}
    assert found.got_worse is (change is Change.WORSE)


@given(st.sampled_from(Outcome), st.sampled_from(Outcome))
def test_nothing_is_worse_in_both_directions(one: Outcome, other: Outcome) -> None:
    """What is worse one way is better, or an answer, the other way."""
    there = change_of(one, other, is_same=False)
    back = change_of(other, one, is_same=False)

    assert (there is Change.WORSE) <= (back is Change.BETTER)
    assert (there is Change.LOST) <= (back is Change.NEW)
    assert (one == other) <= (there in {Change.SAME, Change.CHANGED})


def test_failure_of_another_kind_is_told(tmp_path: Path) -> None:
    """A FAIL is not like any other."""
    base, new = (
        write_run(
            tmp_path / name,
            [make_verdict(CELL, "generate/chat", Outcome.FAIL, fingerprint=f"{name}:1")],
        )
        for name in ("a", "b")
    )

    assert verdicts_of(compare_runs(base, new))["generate/chat"] is Change.CHANGED


def test_question_that_was_not_asked_again_is_no_answer(tmp_path: Path) -> None:
    """Missing evidence is neither good nor worse."""
    base = write_run(tmp_path / "a")
    new = write_run(tmp_path / "b", cells=[make_cell(questions=("load/ready",))])

    assert verdicts_of(compare_runs(base, new))["generate/chat"] is Change.LOST
