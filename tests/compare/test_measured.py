"""What was measured in both runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwval.compare import Change
from hwval.compare import compare_runs
from hwval.performance.promise import BenchServe
from hwval.performance.promise import ConcurrencySweep
from hwval.performance.promise import FixedBatch
from hwval.performance.promise import Serving
from hwval.performance.promise import Speculative
from hwval.yamlmodel import YamlModel
from tests.fakes.two_runs import EXACT
from tests.fakes.two_runs import FAST
from tests.fakes.two_runs import SERVING
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
    base, new = measured_pair(
        tmp_path,
        {at: points[at] for at in ("1", "2")},
        {at: points[at] for at in ("2", "4")},
        ({"concurrencies": ["1", "2"], "max_rounds": 2}, {"concurrencies": ["2", "4"]}),
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
