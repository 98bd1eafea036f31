"""Limits under repeated looks: the promise of judgement, by simulation."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.stats import DEFAULT_LOOKS
from hwval.stats import Decision
from hwval.stats import Interval
from hwval.stats import Looks
from hwval.stats import decide
from hwval.stats import mean_interval
from hwval.stats import rounds_interval
from hwval.stats import smallest_detectable_effect
from hwval.stats import wilson_interval
from tests.stats.series import decide_pair
from tests.stats.series import decide_series
from tests.stats.series import series

RUNS = 2_000
# Floors of the other cell, whose true value is 1: it ends at its first look, or by what it showed.
ENDS = {"at its first look": 0.1, "by a floor below": 0.93, "by a floor above": 1.07}


def outcomes(noise: str, truth: float, *, looks: Looks = DEFAULT_LOOKS) -> Counter[Decision]:
    """Return what ``RUNS`` runs of a cell come to whose true value is ``truth`` floors."""
    rows = truth * series(noise, 0.1, looks.most, RUNS, seed=20261121)
    return Counter(decide_series(row, 1.0, looks)[0] for row in rows.tolist())


def surely_at_most(count: int) -> float:
    """Return the largest error rate that ``count`` errors in ``RUNS`` do not exclude (99.9 %)."""
    return wilson_interval(count, RUNS, 0.998).high


@pytest.mark.parametrize("noise", ["normal", "lognormal", "heavy tails", "AR 0.3"])
def test_good_cell_fails_in_under_1_percent(noise: str) -> None:
    """Noise of 10 % a round, 5 % above its floor, 5 to 30 rounds."""
    assert surely_at_most(outcomes(noise, 1.05)[Decision.BREAKS]) < 0.01


@pytest.mark.parametrize("noise", ["normal", "lognormal", "heavy tails", "AR 0.3", "outliers"])
def test_bad_cell_passes_in_under_1_percent(noise: str) -> None:
    """Noise of 10 % a round, 10 % below its floor, 5 to 30 rounds."""
    found = outcomes(noise, 0.9)

    assert surely_at_most(found[Decision.HOLDS]) < 0.01
    assert found[Decision.BREAKS] / RUNS > 0.85, "and nearly all are found"


def test_wherever_the_truth_lies_the_error_is_as_planned() -> None:
    """At the floor itself, where both answers are wrong as often: 1 % each."""
    found = outcomes("normal", 1.0)

    assert wilson_interval(found[Decision.BREAKS], RUNS, 0.998).low < 0.01
    assert wilson_interval(found[Decision.HOLDS], RUNS, 0.998).low < 0.01


def test_rounds_that_follow_one_another_closely_are_known_to_err_more() -> None:
    """What docs/judgement.md says does not hold; if it does one day, the page is to change."""
    assert outcomes("AR 0.8", 1.05)[Decision.BREAKS] / RUNS > 0.01


def pair_outcomes(truth: float, floor: float) -> Counter[Decision]:
    """Return what ``RUNS`` runs come to, with a noise of 10 % a round on both cells."""
    own, other = (
        series("lognormal", 0.1, DEFAULT_LOOKS.most, RUNS, seed=seed).tolist() for seed in (21, 22)
    )
    pairs = (([truth * one for one in row], rest) for row, rest in zip(own, other, strict=True))
    return Counter(decide_pair(*pair, floor, DEFAULT_LOOKS)[0] for pair in pairs)


@pytest.mark.parametrize("floor", ENDS.values(), ids=list(ENDS))
def test_cell_that_keeps_its_factor_fails_in_under_1_percent(floor: float) -> None:
    """5 % above it, wherever the other cell's rounds ended."""
    assert surely_at_most(pair_outcomes(1.05, floor)[Decision.BREAKS]) < 0.01


@pytest.mark.parametrize("floor", ENDS.values(), ids=list(ENDS))
def test_cell_that_breaks_its_factor_passes_in_under_1_percent(floor: float) -> None:
    """10 % below it, wherever the other cell's rounds ended."""
    assert surely_at_most(pair_outcomes(0.9, floor)[Decision.HOLDS]) < 0.01


def test_exactly_at_the_factor_the_error_is_as_planned() -> None:
    """Where both words are wrong, and the other cell ends most often by a chance of its own."""
    found = pair_outcomes(1.0, 1.0)

    assert surely_at_most(found[Decision.HOLDS]) < 0.015
    assert surely_at_most(found[Decision.BREAKS]) < 0.015


def test_clear_differences_are_found() -> None:
    """A third more or less, with a partner of few rounds too."""
    assert pair_outcomes(1.4, 0.93)[Decision.HOLDS] / RUNS > 0.99
    assert pair_outcomes(0.7, 0.1)[Decision.BREAKS] / RUNS > 0.8


def test_looks_grow_and_end_at_the_budget() -> None:
    """Few looks, so that each has much of the error."""
    assert DEFAULT_LOOKS.rounds == (5, 8, 12, 19, 30)
    assert DEFAULT_LOOKS.confidence == pytest.approx(1 - 2 * 0.01 / 5)
    assert [DEFAULT_LOOKS.next(done) for done in (0, 5, 6, 29, 30)] == [5, 8, 8, 30, None]


@given(st.integers(3, 50), st.integers(0, 500), st.floats(0.0001, 0.4))
def test_looks_are_planned_within_the_budget(first: int, more: int, alpha: float) -> None:
    """From the first to the most, strictly growing, and their errors add up to alpha."""
    looks = Looks(first, first + more, alpha)

    assert looks.rounds[0] == first
    assert looks.rounds[-1] == first + more
    assert sorted(set(looks.rounds)) == list(looks.rounds)
    assert len(looks.rounds) * (1 - looks.confidence) / 2 == pytest.approx(alpha)


@given(st.integers(3, 20), st.integers(0, 60), st.integers(3, 20), st.integers(0, 60), st.data())
def test_errors_of_all_pairs_of_looks_add_up_to_alpha(
    first: int, more: int, others_first: int, others_more: int, data: st.DataObject
) -> None:
    """Wherever the other series ended; an end between two looks has the share of the later one."""
    looks, other = Looks(first, first + more), Looks(others_first, others_first + others_more)
    errors = [(1 - looks.confidence_beside(other, rounds)) / 2 for rounds in other.rounds]
    between = data.draw(st.integers(1, other.most))

    assert len(looks.rounds) * sum(errors) == pytest.approx(looks.alpha)
    assert looks.confidence_beside(other, between) == looks.confidence_beside(
        other, other.next(between - 1) or other.most
    )


@pytest.mark.parametrize("wrong", [(2, 30, 0.01), (8, 5, 0.01), (5, 30, 0.0), (5, 30, 0.5)])
def test_looks_that_cannot_decide_are_refused(wrong: tuple[int, int, float]) -> None:
    """Two rounds have no noise to speak of; an error of a half is a coin."""
    with pytest.raises(ValueError, match=r"rounds|alpha"):
        Looks(*wrong)


@given(
    mean=st.floats(-100, 100),
    half=st.floats(0, 50),
    limit=st.floats(-200, 200),
    higher_is_better=st.booleans(),
)
def test_decision_is_where_the_interval_lies(
    mean: float, half: float, limit: float, *, higher_is_better: bool
) -> None:
    """On one side, on the other, or across; mirrored for what should be small."""
    interval = Interval(mean, mean - half, mean + half, 0.95, 5)
    mirrored = Interval(-mean, -interval.high, -interval.low, 0.95, 5)
    decision = decide(interval, limit, higher_is_better=higher_is_better)

    assert decision is decide(mirrored, -limit, higher_is_better=not higher_is_better)
    if interval.low < limit < interval.high:
        assert decision is Decision.OPEN


def test_single_round_decides_nothing() -> None:
    """However far it is from the limit."""
    assert decide(mean_interval([1e6]), 1.0, higher_is_better=True) is Decision.OPEN


def test_drifting_rounds_have_a_wider_interval() -> None:
    """A device that warms up: the mean is less sure than the spread tells."""
    drifting = [100.0 - place for place in range(12)]
    mixed = [drifting[place * 5 % 12] for place in range(12)]

    wide, narrow = (rounds_interval(values, 0.99) for values in (drifting, mixed))

    assert wide.mean == pytest.approx(narrow.mean)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert narrow == mean_interval(mixed, 0.99)


def test_smallest_detectable_effect_is_found_in_80_of_100_runs() -> None:
    """A floor that far below is passed by four of five runs with so many rounds."""
    looks = Looks(12, 12, 0.01)
    rows = series("normal", 0.1, 12, RUNS, seed=5).tolist()
    effect = (
        sum(smallest_detectable_effect(row, looks.confidence) or math.nan for row in rows) / RUNS
    )
    found = sum(decide_series(row, 1 - effect, looks)[0] is Decision.HOLDS for row in rows)

    assert found / RUNS == pytest.approx(0.8, abs=0.05)


def test_smallest_detectable_effect_needs_two_rounds() -> None:
    """Absent is absent."""
    assert smallest_detectable_effect([1.0], 0.95) is None
