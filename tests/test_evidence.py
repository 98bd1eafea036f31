"""What a run measured, sorted for the pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval import evidence
from hwval.evidence import Evidence
from hwval.evidence import evidence_of
from hwval.evidence import points_of
from hwval.pictures import Gallery
from hwval.pictures import Series
from hwval.pictures import gallery_of
from hwval.summary import summarise
from hwval.verdict import Outcome
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_measurement
from tests.fakes.sample_run import make_run
from tests.fakes.sample_run import make_verdict
from tests.fakes.sample_run import measured_run


@pytest.fixture
def found(tmp_path: Path) -> Evidence:
    """Three cells with everything."""
    run = measured_run(tmp_path)
    return evidence_of(summarise(run), gallery_of(run))


def test_each_suite_has_a_section(found: Evidence) -> None:
    """Checks of a cell by itself, and those against another one, apart."""
    speed, accuracy = found.sections

    assert (speed.title, accuracy.title) == ("Performance", "Accuracy")
    assert [(len(row.checks), row.answer.question) for row in speed.rows[:2]] == [
        (2, "performance/single_stream"),
        (0, "performance/concurrency_sweep"),
    ]
    assert [check.value for row in speed.relations for check in row.checks] == ["1.13 times"]
    assert len(accuracy.rows) == 3
    assert len(accuracy.relations) == 2
    assert speed.has_ceilings
    assert not accuracy.has_ceilings


def test_skills_are_told_by_cell(found: Evidence) -> None:
    """What works, what is refused, what was not asked."""
    told = [
        (len(skills.works), len(skills.fails), len(skills.not_asked)) for skills in found.skills
    ]

    assert told == [(1, 0, 1), (1, 1, 0), (1, 1, 0)]


def test_points_that_do_not_count_have_reasons(found: Evidence) -> None:
    """And notes of whole measurements stand beside them."""
    (bad,) = [one for one in found.uncounted if not one.counts]

    assert (bad.point, bad.why) == (
        "concurrency 64",
        "12 preemptions: the KV cache was too small",
    )
    assert sum(one.counts for one in found.uncounted) == 3


def test_too_many_answers_leave_out_good_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never the bad ones for their sake; the rest is counted."""
    monkeypatch.setattr(evidence, "_SHOWN", 2)
    run = measured_run(tmp_path)
    speed, accuracy = evidence_of(summarise(run), Gallery()).sections

    assert speed.left_out == 4
    assert {row.answer.outcome for row in accuracy.rows} == {Outcome.FAIL, Outcome.INCONCLUSIVE}


def test_checks_of_other_suites_have_a_place(tmp_path: Path) -> None:
    """Whoever judges is shown."""
    cell = make_cell(questions=("generate/perplexity",))
    answer = make_verdict(cell, "generate/perplexity", checks=({"metric": "perplexity"},))
    (section,) = evidence_of(
        summarise(make_run(tmp_path, [cell], [], [answer])), Gallery()
    ).sections

    assert section.title == "Other measurements"


def test_run_without_measurements_has_no_sections(tmp_path: Path) -> None:
    """Pages of such runs are as they were."""
    found = evidence_of(summarise(all_outcomes(tmp_path)), Gallery())

    assert found == ([], [], [])


def test_points_of_a_curve_are_a_table() -> None:
    """Columns that nobody measured are not there; a point without a number has none."""
    cell = make_cell()
    measurement = make_measurement(cell, concurrencies=(1, 2), invalid=(2,))
    first = replace(
        measurement.points[0], engine={"preemptions": 3.0}, device={"power_mean_w": 301.5}
    )
    points = (first, measurement.points[1])
    table = points_of(Series(cell, replace(measurement, points=points), "files"))

    assert table.metrics[0] == "output_tokens_per_s"
    assert "decode_tokens_per_s" not in table.metrics
    assert [name for name, _, _ in table.rows] == ["concurrency 1", "concurrency 2"]
    assert [counts for _, counts, _ in table.rows] == [True, False]
    place = table.metrics.index("preemptions")
    assert [values[place] for _, _, values in table.rows] == ["3", ""]
    assert table.columns[place] == "preemptions"


def test_column_is_of_one_side_at_all_points() -> None:
    """A time to first token of the engine's is another thing than the client's."""
    cell = make_cell()
    measurement = make_measurement(cell, concurrencies=(1, 2))
    first, second = measurement.points
    rest = {name: value for name, value in second.client.items() if name != "ttft_p50_s"}
    points = (first, replace(second, client=rest, engine={"ttft_p50_s": 0.001}))
    table = points_of(Series(cell, replace(measurement, points=points), "files"))
    place = table.metrics.index("ttft_p50_s")

    assert [values[place] for _, _, values in table.rows] == ["20.67 ms", ""]


def test_many_reasons_of_a_point_are_cut(tmp_path: Path) -> None:
    """Rounds fail for one reason with other numbers."""
    cell = make_cell()
    measurement = make_measurement(cell, concurrencies=(1,), invalid=(1,))
    point = replace(measurement.points[0], why_invalid=tuple("abcde"))
    series = Series(cell, replace(measurement, points=(point,), notes=()), "files")
    run = make_run(tmp_path, [cell], [], [])
    (one,) = evidence_of(summarise(run), Gallery(series=(series,))).uncounted

    assert one.why == "a; b; c; and 2 more"
