"""Why an engine died, from its record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.summary import summarise
from hwval.summary.explanation import explanation_of
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import one_cell


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


@pytest.mark.parametrize(
    ("log", "line", "where"),
    [
        ("logs/a.log", 7, "logs/a.log:7"),
        ("logs/a.log", None, "logs/a.log"),
        (None, 7, "line 7 of a log that is not here"),
        (None, None, ""),
    ],
)
def test_place_of_the_evidence_is_told_as_far_as_it_is_known(
    tmp_path: Path, log: str | None, line: int | None, where: str
) -> None:
    """Of a run that was merged or moved, logs may be gone."""
    engine = one_cell(tmp_path, 0).engines[0]
    diagnosis = {"cause": "unknown", "evidence": {"line": line, "text": "x"}}
    explanation = explanation_of(replace(engine, log=log, diagnosis=diagnosis))

    assert explanation is not None
    assert explanation.where == where
