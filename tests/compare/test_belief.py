"""Which differences are believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwval.compare import Change
from hwval.compare import Comparison
from hwval.compare import SpeedChange
from hwval.compare import compare_runs
from tests.fakes.two_runs import measured_pair
from tests.fakes.two_runs import rounds

RATE, WAIT = "output_tokens_per_s", "ttft_p99_s"


def speed_of(found: Comparison) -> dict[str, SpeedChange]:
    return {one.metric: one for one in found.cells[0].speed}


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
    base, new = ({"": {metric: rounds(100 * by, seed=seed)}} for by, seed in ((1, 1), (factor, 2)))
    one = speed_of(compare_runs(*measured_pair(tmp_path, base, new)))[metric]

    assert one.change is change
    assert one.low is not None
    assert one.high is not None
    assert one.low < factor < one.high
    assert (one.base_rounds, one.new_rounds) == (8, 8)


def test_noise_is_no_change_and_a_single_round_tells_nothing(tmp_path: Path) -> None:
    """However large the difference."""
    base = {"x": {RATE: [100.0, 50.0, 140.0]}, "y": {WAIT: [1.0]}}
    new = {"x": {RATE: [60.0, 90.0, 100.0]}, "y": {WAIT: [3.0]}}
    found = speed_of(compare_runs(*measured_pair(tmp_path, base, new)))

    assert found[RATE].change is Change.SAME
    assert (found[WAIT].change, found[WAIT].low) == (Change.SAME, None)
    assert found[WAIT].ratio == pytest.approx(3.0)
    assert found[WAIT].point == "y"


def test_many_comparisons_of_the_same_raise_no_alarm(tmp_path: Path) -> None:
    """200 points of equal truth: by chance 10 would differ at 5 %."""
    base, new = (
        {str(at): {RATE: rounds(100, 0.05, 5, seed + at)} for at in range(200)}
        for seed in (0, 10_000)
    )
    found = compare_runs(*measured_pair(tmp_path, base, new), least_change=0.0)

    assert sum(one.p_value < 0.05 for one in found.cells[0].speed) > 3
    assert not found.got_worse


def test_small_changes_are_not_called_one(tmp_path: Path) -> None:
    """1 % is sure here, and no news."""
    before, now = ({"": {RATE: rounds(mean, 0.0005)}} for mean in (100, 99))
    base, new = measured_pair(tmp_path, before, now)

    assert not compare_runs(base, new).got_worse
    assert compare_runs(base, new, least_change=0.005).got_worse
