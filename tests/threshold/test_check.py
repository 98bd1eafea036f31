"""Measurements held against promises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.stats import Interval
from hwval.stats import Looks
from hwval.threshold import Limit
from hwval.threshold import invalid
from hwval.threshold import judge
from hwval.threshold import needs_more_rounds
from hwval.verdict import Outcome

DECODE = "decode_tokens_per_s"
AROUND_13 = [13.0, 13.1, 12.9, 13.05, 12.95]
BASE = {"value": 15, "tolerance": "5 %", "source": "run 7", "date": "2026-05-01"}


def promise(**fields: object) -> Limit:
    """Return a limit as a matrix would have it."""
    return Limit.model_validate(fields)


@pytest.mark.parametrize(
    ("metric", "limit", "values", "outcome"),
    [
        (DECODE, {"floor": 12}, AROUND_13, Outcome.PASS),
        (DECODE, {"floor": 14}, AROUND_13, Outcome.FAIL),
        (DECODE, {"floor": 13.05}, AROUND_13, Outcome.INCONCLUSIVE),
        (DECODE, {"floor": 12}, [13.0], Outcome.INCONCLUSIVE),
        (DECODE, {"floor": 12}, [13.0, 13.0], Outcome.INCONCLUSIVE),
        (DECODE, {"floor": 14}, [13.0, 13.0], Outcome.INCONCLUSIVE),
        (DECODE, {"floor": 12}, [13.0, 13.0, 13.0], Outcome.PASS),
        (DECODE, {"acceptable": 14, "good": 20}, AROUND_13, Outcome.FAIL),
        (DECODE, {"baseline": BASE}, AROUND_13, Outcome.FAIL),
        (DECODE, {"baseline": BASE}, [one * 1.2 for one in AROUND_13], Outcome.PASS),
        ("ttft_p99_s", {"ceiling": "500 ms"}, [0.31, 0.3, 0.32, 0.3, 0.31], Outcome.PASS),
        ("ttft_p99_s", {"ceiling": "200 ms"}, [0.31, 0.3, 0.32, 0.3, 0.31], Outcome.FAIL),
    ],
)
def test_three_words(
    metric: str, limit: dict[str, Any], values: list[float], outcome: Outcome
) -> None:
    """Surely kept, surely broken, or not decided."""
    (check,) = judge(metric, promise(**limit), values)

    assert check.outcome is outcome
    assert check.is_open is (outcome is Outcome.INCONCLUSIVE)


def test_check_says_both_numbers_and_where_they_come_from() -> None:
    """One sentence, and each number by itself."""
    limit = promise(floor=12, good=20, source="lab note", date="2026-05-02")
    (check,) = judge(DECODE, limit, AROUND_13, ceiling=54)

    assert check.text == (
        "decode_tokens_per_s is 13 tokens/s (12.79 to 13.21 tokens/s, 5 rounds), "
        "acceptable: keeps floor 12 tokens/s"
    )
    assert (check.value, check.limit_value, check.n) == (13.0, 12, 5)
    assert check.share_of_ceiling == pytest.approx(13 / 54)
    assert check.source == "lab note (2026-05-02)"
    assert check.noise_share == pytest.approx(0.00608, abs=1e-5)
    assert check.smallest_detectable is not None
    assert json.loads(json.dumps(check.to_json(), allow_nan=False))["outcome"] == "PASS"


def test_single_round_has_no_ends_in_the_journal() -> None:
    """Infinity is not JSON; absent is absent."""
    (check,) = judge(DECODE, promise(floor=12), [13.0])

    assert (check.low, check.high, check.smallest_detectable) == (None, None, None)
    assert "a single round" in check.text
    json.dumps(check.to_json(), allow_nan=False)


def test_share_is_not_told_to_be_above_all() -> None:
    """Its interval ends at 100 %, unless a round was beyond; what decides is the whole of it."""
    shares = [0.75, 1.0, 0.85, 0.99, 0.9]
    [check] = judge("good_share", promise(floor=0.95), shares)
    [of_many] = judge("scaling_efficiency", promise(floor=0.5), [1.1, 0.8, 1.0])
    [rate] = judge(DECODE, promise(floor=0.5), shares)

    assert check.high == 1.0
    assert "89.8% (62.2% to 100.0%, 5 rounds)" in check.text
    assert of_many.high is not None
    assert rate.high is not None
    assert min(of_many.high, rate.high) > 1


def test_share_of_the_roofline() -> None:
    """25 % of 54 tokens/s are 13.5; of a latency the least is multiplied by four."""
    (rate,) = judge(DECODE, promise(of_ceiling="25 %"), AROUND_13, ceiling=54)
    (wait,) = judge("tpot_mean_s", promise(of_ceiling="25 %"), [0.03, 0.031, 0.03], ceiling=0.01)

    assert (rate.outcome, rate.limit_value) == (Outcome.FAIL, 13.5)
    assert (wait.outcome, wait.limit_value) == (Outcome.PASS, 0.04)
    assert wait.share_of_ceiling == pytest.approx(0.33, abs=0.01)


def test_share_of_an_unknown_roofline_does_not_pass() -> None:
    """Nothing that is missing passes."""
    (check,) = judge(DECODE, promise(of_ceiling="25 %"), AROUND_13)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert not check.is_open
    assert "no ceiling known" in check.text


@pytest.mark.parametrize(
    ("metric", "limit", "values", "ceiling"),
    [
        (DECODE, {"floor": 12}, [64.0, 64.1, 63.9, 64.0, 64.0], 54.0),
        ("tpot_mean_s", {"ceiling": 0.1}, [0.001, 0.0011, 0.001], 0.01),
        (DECODE, {"relative_to": {"cell": "x", "at_least": 1.5}}, [64.0, 64.1, 64.0], 54.0),
    ],
)
def test_faster_than_physics_is_never_a_pass(
    metric: str, limit: dict[str, Any], values: list[float], ceiling: float
) -> None:
    """The measurement or the catalogue is wrong, and more rounds do not mend that."""
    checks = judge(metric, promise(**limit), values, ceiling=ceiling)

    assert {check.outcome for check in checks} == {Outcome.INCONCLUSIVE}
    assert not needs_more_rounds(checks)
    assert "physics" in checks[0].text


def test_floor_above_physics_is_a_mistake_of_the_matrix() -> None:
    """It cannot be reached, and that is not the product's fault."""
    (check,) = judge(DECODE, promise(floor=60), AROUND_13, ceiling=54)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert "correct the matrix" in check.text


@pytest.mark.parametrize(
    ("metric", "limit", "values"),
    [
        ("tpot_mean_s", {"ceiling": 0.1}, [0.0, 0.0, 0.0]),
        ("tpot_mean_s", {"ceiling": 0.1}, [0.01, 0.0, 0.01]),
        ("tpot_mean_s", {"relative_to": {"cell": "x", "at_most": 2}}, [0.0, 0.0, 0.0]),
        ("ttft_p99_s", {"ceiling": 0.1}, [-0.1, -0.1, -0.1]),
        (DECODE, {"floor": 12}, [-13.0, -13.1, -13.2]),
    ],
)
def test_what_takes_no_time_was_not_measured(
    metric: str, limit: dict[str, Any], values: list[float]
) -> None:
    """As where an answer comes in one piece: it is neither fast nor slow."""
    (check,) = judge(metric, promise(**limit), values)

    assert (check.outcome, check.is_open) == (Outcome.INCONCLUSIVE, False)
    assert "so the measurement is wrong" in check.text


def test_share_of_nothing_may_be_nothing() -> None:
    """Of a metric of which more is better, 0 is a value: no draft was accepted."""
    (check,) = judge("acceptance_rate", promise(floor="30 %"), [0.0, 0.0, 0.0])

    assert check.outcome is Outcome.FAIL


def test_every_promise_is_a_check_of_its_own() -> None:
    """Floor, share and baseline may come to different words."""
    limit = promise(floor=12, of_ceiling="20 %", baseline=BASE)
    checks = judge(DECODE, limit, AROUND_13, ceiling=54)

    assert [(check.kind, check.outcome) for check in checks] == [
        ("floor", Outcome.PASS),
        ("of_ceiling", Outcome.PASS),
        ("baseline", Outcome.FAIL),
    ]
    assert checks[2].source == "run 7 (2026-05-01)"


def test_relation_alone_is_not_judged_before_the_other_cell_is_known() -> None:
    """It is held against the other cell at the end of the run."""
    assert judge(DECODE, promise(relative_to={"cell": "x", "at_least": 2}), AROUND_13) == ()


def test_interval_that_was_computed_otherwise_is_taken() -> None:
    """As a percentile's, from order statistics."""
    interval = Interval(0.4, 0.35, 0.45, 0.99, 1000)
    (check,) = judge("ttft_p99_s", promise(ceiling=0.5), interval)

    assert (check.outcome, check.n, check.confidence) == (Outcome.PASS, 1000, 0.99)


@given(
    st.lists(st.floats(0.5, 100), min_size=2, max_size=12),
    st.floats(0.5, 100),
    st.one_of(st.none(), st.floats(0.5, 100)),
)
def test_worse_values_never_get_a_better_word(
    values: list[float], floor: float, ceiling: float | None
) -> None:
    """Nor does a value above the ceiling ever pass."""
    (check,) = judge(DECODE, promise(floor=floor), values, ceiling=ceiling, looks=Looks(3, 12))

    if check.outcome is Outcome.PASS:
        assert sum(values) / len(values) >= floor
        assert ceiling is None or sum(values) / len(values) <= ceiling * (1 + 1e-12)
    if check.outcome is Outcome.FAIL:
        assert sum(values) / len(values) < floor
    assert DECODE in check.text


def test_measurement_that_does_not_count_is_neither_fast_nor_slow() -> None:
    """Failed requests and empty texts make no number."""
    check = invalid(DECODE, promise(floor=12, source="lab note"), "3 of 8 answers were empty")

    assert (check.outcome, check.value, check.n) == (Outcome.INCONCLUSIVE, None, 0)
    assert "3 of 8 answers were empty" in check.text
    assert not check.is_open
