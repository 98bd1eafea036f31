"""Rounds are added until all is decided or the budget is spent."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.errors import ResponseError
from hwval.performance.campaign import Campaign
from hwval.performance.campaign import RequestsFailed
from hwval.performance.campaign import Scene
from hwval.performance.measurement import Round
from hwval.stats import Looks
from hwval.threshold import Check
from hwval.threshold import Limit
from hwval.verdict import Outcome

LOOKS = Looks(first=3, most=12)
RATE = "output_tokens_per_s"


def metric_scene(metric: str, requests: int, value: float) -> Scene:
    def play(number: int) -> Round:
        return Round(
            point="p",
            number=number,
            duration_s=1.0,
            requests=requests,
            client={metric: value + number / 1000},
        )

    return Scene(name="p", play=play, limits={metric: Limit(ceiling=1.0)})


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


@pytest.mark.parametrize(
    ("metric", "requests", "is_told"),
    [
        ("ttft_p99_s", 32, True),
        ("ttft_p99_s", 100, False),
        ("ttft_p90_s", 9, True),
        ("ttft_p90_s", 10, False),
        ("ttft_p50_s", 1, False),
        ("itl_p99_s", 1, False),
    ],
)
def test_percentile_of_few_requests_is_told(metric: str, requests: int, is_told: bool) -> None:  # noqa: FBT001
    """It is nearly the largest; of times between tokens there are many in each request."""
    (check,) = campaign().measure([metric_scene(metric, requests, 0.5)], LOOKS, 60.0)

    assert check.outcome is Outcome.PASS
    assert (f"with {requests} requests a round it is close to their largest" in check.text) is (
        is_told
    )


def test_share_of_an_unknown_ceiling_takes_no_further_rounds() -> None:
    """None would make it known."""
    one = campaign()
    limit = Limit.model_validate({"of_ceiling": "25 %"})
    unknown = replace(scene(float), limits={RATE: limit}, ceiling={})
    checks = one.measure([unknown], LOOKS, 60.0)

    assert [check.outcome for check in checks] == [Outcome.INCONCLUSIVE]
    assert len(one.rounds) == LOOKS.first


def test_spent_budget_leaves_it_open() -> None:
    """What has been measured until then is judged as far as it goes."""
    one = campaign()
    checks = one.measure([scene(lambda number: 200 + number)], LOOKS, 1e-9)

    assert [check.outcome for check in checks] == [Outcome.INCONCLUSIVE]
    assert len(one.rounds) == 1
    assert one.problem() == (
        "p: 1 of 1 round counts, too few to judge: max_duration (0 ms) was spent; raise it"
    )


def test_rounds_that_do_not_count_are_given_up() -> None:
    """After some tries; the reason is told."""
    one = campaign()
    checks = one.measure([scene(lambda _: 200.0, valid=False)], LOOKS, 60.0)
    [point] = one.measurement().points

    assert [check.outcome for check in checks] == [Outcome.INCONCLUSIVE]
    assert one.problem() == "p: 0 of 4 rounds count, too few to judge: the machine was busy"
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


def silent(number: int, *, cut: int = 0) -> Round:
    failures = {"cut off": 1} if number <= cut else {"gone silent": 1}
    why = ("answers began, and nothing came in the last 4.8 s",)
    return Round(
        point="p",
        number=number,
        duration_s=5.0,
        requests=1,
        failures=failures,
        valid=False,
        why_invalid=why,
    )


def test_engine_that_hangs_in_every_round_has_failed() -> None:
    """Its requests did not fail by themselves, since the round's deadline came first."""
    with pytest.raises(RequestsFailed, match="p: in each of 4 rounds answers began, and nothing"):
        campaign().measure([Scene(name="p", play=silent)], LOOKS, 60.0)


@pytest.mark.parametrize(("cut", "budget_s"), [(1, 60.0), (0, 1e-9)])
def test_engine_that_may_be_slow_has_not_failed(cut: int, budget_s: float) -> None:
    """It went on sending in a round, or there were too few of them to tell."""
    play = functools.partial(silent, cut=cut)

    assert campaign().measure([Scene(name="p", play=play)], LOOKS, budget_s) == ()


def test_status_of_refused_requests_is_told() -> None:
    """A refusal is no wrong answer."""
    bad = replace(silent(1), failed=2, failures={"stalled": 1, "status 429": 1})
    with pytest.raises(RequestsFailed) as seen:
        campaign().measure([Scene(name="p", play=lambda _: bad)], LOOKS, 60.0)

    assert seen.value.status == 429


def test_checks_of_several_points_name_theirs() -> None:
    """As a field, and at the head of the sentence; a single point needs no name."""
    first = scene(lambda number: 200.0 + number)
    second = replace(first, name="q", play=lambda number: replace(first.play(number), point="q"))
    alone = campaign().measure([first], LOOKS, 60.0)
    checks = campaign().measure([first, second], LOOKS, 60.0)

    assert [check.point for check in alone] == [""]
    assert [check.point for check in checks] == ["p", "q"]
    assert checks[1].text.startswith("q: output_tokens_per_s is ")


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ("prefix_cache_hit_rate", "the engine does not tell prefix_cache_hit_rate"),
        ("energy_j_per_token", "no sensor of the devices tells energy_j_per_token"),
        ("tpot_p50_s", "no round that counts tells tpot_p50_s"),
    ],
)
def test_metric_that_nobody_tells_was_measured_all_the_same(metric: str, why: str) -> None:
    """Rounds count; it is not they that are missing."""
    blind = replace(scene(lambda _: 200.0), limits={metric: Limit(floor=0.5)})
    spoilt = replace(blind, play=scene(lambda _: 200.0, valid=False).play)
    [check] = campaign().measure([blind], LOOKS, 60.0)
    [other] = campaign().measure([spoilt], LOOKS, 60.0)

    assert (check.outcome, check.text) == (Outcome.INCONCLUSIVE, f"{metric}: not judged: {why}")
    assert other.text.endswith("it was not measured in any round that counts")


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


@given(
    played=st.lists(
        st.tuples(st.floats(0.01, 9.0), st.floats(90.0, 110.0), st.booleans()), min_size=1
    ),
    points=st.integers(1, 3),
    budget_s=st.floats(0.1, 60.0),
    most=st.integers(3, 20),
)
def test_budget_is_kept_and_checks_are_of_the_latest_look(
    played: list[tuple[float, float, bool]], points: int, budget_s: float, most: int
) -> None:
    """Whatever rounds take, tell and miss: no more than one of each point beyond the budget."""
    watch, rounds, one = _Watch(), itertools.cycle(played), campaign()

    def play(name: str, number: int) -> Round:
        took_s, value, is_valid = next(rounds)
        watch.elapsed_s += took_s
        client = {RATE: value}
        return Round(
            point=name, number=number, duration_s=took_s, requests=1, client=client, valid=is_valid
        )

    names = [f"p{place}" for place in range(points)]
    scenes = [
        Scene(name=name, play=functools.partial(play, name), limits={RATE: Limit(floor=100.0)})
        for name in names
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwval.performance.campaign.Stopwatch", lambda: watch)
        checks = one.measure(scenes, Looks(first=3, most=most), budget_s)
    last_s = sum(each.duration_s or 0.0 for each in one.rounds[-points:])
    counts = [len(one.valid(name)) for name in names]

    assert len(one.rounds) == points or watch.elapsed_s - last_s <= budget_s * points
    assert min(counts) <= most
    assert [check.n for check in checks] == counts
    assert len(one.rounds) % points == 0


@dataclass
class _Watch:
    elapsed_s: float = 0.0


def related(*, is_open: bool) -> tuple[Campaign, list[tuple[str | None, int]]]:
    """Return a campaign whose relation stays undecided up to five rounds, and what it was asked."""
    asked: list[tuple[str | None, int]] = []

    def relate(
        metric: str, limit: Limit, values: Sequence[float], point: str | None, looks: Looks
    ) -> Check:
        del limit, looks
        asked.append((point, len(values)))
        outcome = Outcome.INCONCLUSIVE if len(values) <= 5 else Outcome.PASS
        return Check(
            metric=metric,
            unit="times",
            kind="relative_to",
            outcome=outcome,
            text="is related",
            is_open=is_open and outcome is Outcome.INCONCLUSIVE,
        )

    return Campaign("performance/test", "cell", {}, relate=relate), asked


TWICE = Limit.model_validate({"floor": 1, "relative_to": {"cell": "other", "at_least": 2}})


def test_relations_are_part_of_every_look() -> None:
    """Rounds are added until they are decided too."""
    one, asked = related(is_open=True)
    fast = replace(scene(lambda number: 200.0 + number), limits={RATE: TWICE})
    checks = one.measure([fast], LOOKS, 60.0)

    assert [(check.kind, check.outcome) for check in checks] == [
        ("floor", Outcome.PASS),
        ("relative_to", Outcome.PASS),
    ]
    assert asked == [("p", 3), ("p", 5), ("p", 8)]


def test_relations_that_no_round_can_decide_cost_none() -> None:
    """The other cell is missing, or its noise is too large."""
    one, asked = related(is_open=False)
    fast = replace(scene(lambda number: 200.0 + number), limits={RATE: TWICE})
    checks = one.measure([fast], LOOKS, 60.0)

    assert checks[-1].outcome is Outcome.INCONCLUSIVE
    assert asked == [("p", 3)]


def test_relation_without_another_cell_is_never_passed_over() -> None:
    """Where nothing knows other cells, none was measured."""
    fast = replace(scene(lambda number: 200.0 + number), limits={RATE: TWICE})
    checks = campaign().measure([fast], LOOKS, 60.0)

    assert [check.outcome for check in checks] == [Outcome.PASS, Outcome.INCONCLUSIVE]
    assert "other was not measured" in checks[1].text


def test_metrics_that_compare_points_are_related_too() -> None:
    """Of the whole measurement, at no point."""
    one, asked = related(is_open=True)
    checks = one.judge_values("speedup", TWICE, [3.0, 3.1, 3.2], looks=LOOKS)

    assert [check.kind for check in checks] == ["floor", "relative_to"]
    assert asked == [(None, 3)]


def test_progress_tells_rounds_and_time_left() -> None:
    """For the line that moves."""
    one = campaign()
    one.measure([scene(lambda number: 200 + number)], LOOKS, 60.0)

    assert one.ahead.startswith("3 of 5 rounds count, about ")
    assert one.ahead.endswith(" at most")
