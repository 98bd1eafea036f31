"""What was measured in both runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwval.compare import Change
from hwval.compare import LeftOut
from hwval.compare import compare_runs
from hwval.performance.measurement import Measurement
from hwval.performance.measurement import Round
from hwval.performance.promise import BenchServe
from hwval.performance.promise import ConcurrencySweep
from hwval.performance.promise import FixedBatch
from hwval.performance.promise import Serving
from hwval.performance.promise import Speculative
from hwval.result import Run
from hwval.yamlmodel import YamlModel
from tests.fakes.two_runs import EXACT
from tests.fakes.two_runs import FAST
from tests.fakes.two_runs import SERVING
from tests.fakes.two_runs import TASK
from tests.fakes.two_runs import measured
from tests.fakes.two_runs import measured_pair
from tests.fakes.two_runs import rounds
from tests.fakes.two_runs import scored
from tests.fakes.two_runs import write_run

RATE = "output_tokens_per_s"


def test_other_workload_is_incomparable(tmp_path: Path) -> None:
    """Shorter prompts are faster; nothing is said of the engine."""
    points = {"": {RATE: rounds(100.0)}}
    long, short = ({"input_tokens": tokens, "rate": 2} for tokens in ("128", "64"))
    base, new = measured_pair(tmp_path, points, points, (long, short))
    found = compare_runs(base, new).cells[0]

    assert found.speed == ()
    assert found.left_out == (LeftOut(SERVING, "", "input_tokens of the workload differ"),)


def test_names_without_effect_are_those_of_the_matrix() -> None:
    """A key that is renamed there would make runs incomparable, or comparable, by mistake."""
    from hwval.performance.measurement import _WITHOUT_EFFECT

    questions: list[type[YamlModel]] = [
        *(BenchServe, ConcurrencySweep, FixedBatch, Serving, Speculative)
    ]
    known = {name for question in questions for name in question.model_fields}

    assert known >= _WITHOUT_EFFECT


def test_more_points_and_rounds_stay_comparable(tmp_path: Path) -> None:
    """What both measured is compared."""
    points = {str(at): {RATE: rounds(100.0)} for at in (1, 2, 4)}
    base, new = measured_pair(
        tmp_path,
        {at: points[at] for at in ("1", "2")},
        {at: points[at] for at in ("2", "4")},
        ({"concurrencies": ["1", "2"], "max_rounds": 2}, {"concurrencies": ["2", "4"]}),
    )

    found = compare_runs(base, new).cells[0]
    assert [one.point for one in found.speed] == ["2"]
    assert found.left_out == (
        LeftOut(SERVING, "4", "measured now, not before"),
        LeftOut(SERVING, "1", "measured before, not now"),
    )


def test_numbers_and_their_ratio_agree(tmp_path: Path) -> None:
    """Means are geometric, as the ratio's are; an outlier would pull others apart."""
    base, new = measured_pair(tmp_path, {"": {RATE: [1.0, 1.0, 64.0]}}, {"": {RATE: [2.0] * 3}})
    [one] = compare_runs(base, new).cells[0].speed

    assert one.base == pytest.approx(4)
    assert one.new == pytest.approx(2)
    assert one.ratio == pytest.approx(one.new / one.base)


def changed(run: Run, change: Callable[[Round], Round], **fields: Any) -> None:
    """Write a run's measurement again, each round changed, and these fields."""
    path = run.folder / "files/performance.json"
    old = Measurement.from_json(path.read_text("utf-8"))
    path.write_text(replace(old, rounds=[change(one) for one in old.rounds], **fields).to_json())


def test_word_of_another_side_is_not_compared(tmp_path: Path) -> None:
    """A time to first token of the engine's is shorter than the client's; nothing got faster."""
    values = {"1": {RATE: rounds(100.0), "ttft_mean_s": rounds(1.0)}}
    base, new = measured_pair(tmp_path, values, values)
    changed(
        new,
        lambda one: replace(
            one,
            client={RATE: one.client[RATE]},
            engine={"ttft_mean_s": one.client["ttft_mean_s"] / 2},
        ),
    )
    found = compare_runs(base, new).cells[0]

    assert [one.metric for one in found.speed] == [RATE]
    assert found.left_out == (
        LeftOut(SERVING, "ttft_mean_s", "told by the client before, by the engine now"),
    )


def test_rounds_that_do_not_count_are_told(tmp_path: Path) -> None:
    """Some of them beside what is compared, all of them in its place."""
    values = {name: {RATE: rounds(100.0, n=3)} for name in ("some", "all", "none")}
    base, new = measured_pair(tmp_path, values, values)

    def fail(one: Round) -> Round:
        is_bad = one.point == "all" or (one.point, one.number) == ("some", 2)
        return replace(one, valid=False, failed=3, why_invalid=("3 failed",)) if is_bad else one

    changed(new, fail, notes=("lengths are approximate",))
    found = compare_runs(base, new).cells[0]

    assert [(one.point, one.new_rounds) for one in found.speed] == [("some", 2), ("none", 3)]
    assert found.left_out == (LeftOut(SERVING, "all", "no round counts now (3 failed)"),)
    assert found.notes == (
        f"{SERVING}: some: 2 of 3 rounds count now (3 failed)",
        f"{SERVING}: now: lengths are approximate",
    )


def test_what_fell_to_nothing_is_told(tmp_path: Path) -> None:
    """No ratio tells it, so that it would be missing otherwise; nothing before and now is same."""
    points = ("1", "2")
    base, new = measured_pair(
        tmp_path,
        {at: {RATE: [5.0, 6.0], "good_share": [1.0, 1.0], "speedup": [0.0, 0.0]} for at in points},
        {at: {RATE: [5.0, 6.0], "good_share": [0.0, 0.0], "speedup": [0.0, 0.0]} for at in points},
    )
    found = compare_runs(base, new).cells[0]

    assert [one.metric for one in found.speed] == [RATE, RATE]
    (left,) = found.left_out
    assert left.what == "good_share"
    assert "0 in a round has no ratio" in left.why


def test_metrics_of_one_run_alone_are_told_together(tmp_path: Path) -> None:
    """With the points, where not all are meant."""
    both = {RATE: rounds(100.0)}
    more = {**both, "ttft_mean_s": rounds(1.0), "itl_mean_s": rounds(1.0)}
    base, new = measured_pair(tmp_path, {"1": both, "2": both}, {"1": both, "2": more})

    assert compare_runs(base, new).cells[0].left_out == (
        LeftOut(SERVING, "ttft_mean_s, itl_mean_s (2)", "measured now, not before"),
    )


def test_task_of_one_run_alone_is_told(tmp_path: Path) -> None:
    """And so is a question that kept nothing this time."""
    base = write_run(tmp_path / "a", [scored(tmp_path / "a", EXACT, [True])], cells=[EXACT])
    found = compare_runs(base, write_run(tmp_path / "b", cells=[EXACT])).cells[0]

    assert found.left_out == (LeftOut(TASK, "mmlu_pro_biology", "measured before, not now"),)


@pytest.mark.parametrize(
    ("lost", "won", "change"),
    [(1, 0, Change.SAME), (12, 2, Change.WORSE), (2, 12, Change.BETTER), (0, 0, Change.SAME)],
)
def test_accuracy_is_paired_by_question(
    tmp_path: Path, lost: int, won: int, change: Change
) -> None:
    """One question of 717 is no loss; ten more lost than won are."""
    before = [True] * 450 + [False] * 267
    after = [False] * lost + [True] * (450 - lost + won) + [False] * (267 - won)
    base = write_run(tmp_path / "a", [scored(tmp_path / "a", EXACT, before)], cells=[EXACT])
    new = write_run(tmp_path / "b", [scored(tmp_path / "b", EXACT, after)], cells=[EXACT])
    (one,) = compare_runs(base, new).cells[0].accuracy

    assert (one.n, one.base_right, one.lost, one.won) == (717, 450, lost, won)
    assert one.new_right == 450 - lost + won
    assert one.change is change
    assert one.low <= (won - lost) / 717 <= one.high


def test_other_task_version_is_incomparable(tmp_path: Path) -> None:
    """Scores of two versions of a task say nothing of each other."""
    right = [True, False]
    base = write_run(tmp_path / "a", [scored(tmp_path / "a", EXACT, right)], cells=[EXACT])
    other = scored(tmp_path / "b", EXACT, right, task_version="2.0")
    found = compare_runs(base, write_run(tmp_path / "b", [other], cells=[EXACT])).cells[0]

    assert found.accuracy == ()
    assert "task version" in found.left_out[0].why


@pytest.mark.parametrize("damage", ["gone", "no JSON", "outside"])
def test_damaged_file_is_noted_and_the_rest_compared(tmp_path: Path, damage: str) -> None:
    """A measurement that cannot be read is not equal to anything, and no file elsewhere is read."""
    values: dict[str, dict[str, Any]] = {"": {RATE: rounds(100.0)}}
    base = write_run(tmp_path / "a", [measured(tmp_path / "a", FAST, values)], cells=[FAST])
    verdict = measured(tmp_path / "b", FAST, values)
    path = tmp_path / "b/files/performance.json"
    if damage == "gone":
        path.unlink()
    elif damage == "no JSON":
        path.write_text("{", "utf-8")
    else:
        verdict = replace(verdict, files={"rounds": "../a/files/performance.json"})
    found = compare_runs(base, write_run(tmp_path / "b", [verdict], cells=[FAST])).cells[0]

    assert found.speed == ()
    assert [one.question for one in found.left_out] == [SERVING]
    assert found.left_out[0].why
    assert len(found.verdicts) == 2
