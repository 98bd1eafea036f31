"""Rounds are added until all is decided or the budget is spent."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from hwval.errors import ResponseError
from hwval.performance.campaign import Campaign
from hwval.performance.campaign import RequestsFailed
from hwval.performance.campaign import Scene
from hwval.performance.measurement import Round
from hwval.stats import Looks
from hwval.threshold import Limit
from hwval.verdict import Outcome

LOOKS = Looks(first=3, most=12)
RATE = "output_tokens_per_s"


def scene(value: Callable[[int], float], *, floor: float = 100.0, valid: bool = True) -> Scene:
    def play(number: int) -> Round:
        reasons = () if valid else ("the machine was busy",)
        client = {RATE: value(number)}
        return Round(
            point="p",
            number=number,
            duration_s=1.0,
            requests=1,
            client=client,
            valid=valid,
            why_invalid=reasons,
        )

    return Scene(name="p", play=play, limits={RATE: Limit(floor=floor)}, ceiling={RATE: 1000.0})


def campaign() -> Campaign:
    return Campaign("performance/test", "cell", {})


def test_clear_case_is_decided_at_the_first_look() -> None:
    """No round more than needed."""
    one = campaign()
    checks = one.measure([scene(lambda number: 200 + number)], LOOKS, 60.0)

    assert [check.outcome for check in checks] == [Outcome.PASS]
    assert len(one.rounds) == 3


def test_spent_budget_leaves_it_open() -> None:
    """What has been measured until then is judged as far as it goes."""
    one = campaign()
    checks = one.measure([scene(lambda number: 200 + number)], LOOKS, 1e-9)

    assert [check.outcome for check in checks] == [Outcome.INCONCLUSIVE]
    assert len(one.rounds) == 1
    assert one.problem(LOOKS) == "p: 1 of 1 rounds count, too few: the budget was spent"


def test_rounds_that_do_not_count_are_given_up() -> None:
    """After some tries; the reason is told."""
    one = campaign()
    checks = one.measure([scene(lambda _: 200.0, valid=False)], LOOKS, 60.0)
    [point] = one.measurement().points

    assert [check.outcome for check in checks] == [Outcome.INCONCLUSIVE]
    assert one.problem(LOOKS) == "p: 0 of 4 rounds count, too few: the machine was busy"
    assert (point.valid, point.why_invalid, point.client) == (False, ("the machine was busy",), {})


def test_faster_than_physics_is_never_a_pass() -> None:
    """The ceiling of the point is handed to the judge."""
    checks = campaign().measure([scene(lambda number: 2000.0 + number)], LOOKS, 60.0)

    assert [check.outcome for check in checks] == [Outcome.INCONCLUSIVE]
    assert "physics forbids" in checks[0].text


def test_noisy_case_near_its_limit_takes_more_rounds() -> None:
    """As many as are planned, and no more."""
    one, noise = campaign(), random.Random(4)
    one.measure([scene(lambda _: noise.gauss(100, 10))], LOOKS, 60.0)

    assert 3 < len(one.rounds) <= 12


def test_request_failures_stop_everything() -> None:
    """They are a wrong answer, not a slow one; what was measured stays."""
    bad = Round(
        point="p", number=1, duration_s=1.0, requests=4, failed=2, valid=False, why_invalid=("two",)
    )
    one = campaign()
    with pytest.raises(RequestsFailed, match="p, round 1: two") as seen:
        one.measure([Scene(name="p", play=lambda _: bad)], LOOKS, 60.0)

    assert isinstance(seen.value, ResponseError)
    assert one.measurement().rounds == (bad,)


def test_simulated_cells_get_the_right_word() -> None:
    """With 10 % noise, 200 cells 5 % above their floor hardly fail, and 10 % below never pass."""
    noise = random.Random(7)
    found = {1.05: [0, 0], 0.9: [0, 0]}
    for share, counts in found.items():
        for _ in range(200):
            [check] = campaign().measure([scene(_noisy(noise, 100 * share))], Looks(), 60.0)
            counts[0] += check.outcome is Outcome.FAIL
            counts[1] += check.outcome is Outcome.PASS

    assert found[1.05][0] <= 2
    assert found[0.9][1] <= 2


def _noisy(noise: random.Random, level: float) -> Callable[[int], float]:
    return lambda _: noise.gauss(level, level / 10)


def test_progress_tells_rounds_and_time_left() -> None:
    """For the line that moves."""
    one = campaign()
    one.measure([scene(lambda number: 200 + number)], LOOKS, 60.0)

    assert one.ahead.startswith("3 of 5 rounds count, about ")
    assert one.ahead.endswith(" at most")
