"""performance.json is written and read without loss."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.errors import UsageError
from hwval.performance.measurement import Measurement
from hwval.performance.measurement import Point
from hwval.performance.measurement import Round
from hwval.performance.measurement import differing_workload

NUMBERS = st.dictionaries(
    st.text(min_size=1, max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=4
)
WORDS = st.lists(st.text(max_size=12), max_size=2).map(tuple)
ROUNDS = st.builds(
    Round,
    point=st.sampled_from(["concurrency 1", "concurrency 2"]),
    number=st.integers(1, 9),
    duration_s=st.none() | st.floats(0, 1e6),
    requests=st.integers(0, 100),
    client=NUMBERS,
    engine=NUMBERS,
    device=NUMBERS,
    valid=st.booleans(),
    why_invalid=WORDS,
    notes=WORDS,
)
POINTS = st.builds(
    Point,
    name=st.text(max_size=9),
    concurrency=st.none() | st.integers(1, 99),
    client=NUMBERS,
    ceiling=NUMBERS,
    ttft_values_s=st.lists(st.floats(0, 9), max_size=4).map(tuple),
)


def test_status_of_a_round_is_that_of_most_refusals() -> None:
    """Failures are in the order of their number."""
    one = Round(point="p", number=1, duration_s=1.0, requests=9)

    assert one.status is None
    assert replace(one, failures={"stalled": 4, "status 503": 3, "status 429": 2}).status == 503


@given(st.lists(ROUNDS, max_size=4), st.lists(POINTS, max_size=3), NUMBERS)
def test_what_is_written_is_read(
    rounds: list[Round], points: list[Point], numbers: dict[str, float]
) -> None:
    """Every field comes back."""
    one = Measurement(
        question="performance/serving",
        cell="a__b__c__d",
        workload={"requests": 3},
        rounds=rounds,
        points=points,
        numbers=numbers,
        derived={"speedup": [1.0, 2.0]},
    )
    back = Measurement.from_json(one.to_json())

    assert list(back.rounds) == [_with_lists(each) for each in rounds]
    assert list(back.points) == [_with_lists(each) for each in points]
    assert (back.numbers, back.derived, back.workload) == (
        numbers,
        {"speedup": [1.0, 2.0]},
        {"requests": 3},
    )


def round_of(number: int, *, point: str = "p", valid: bool = True, **sides: Any) -> Round:
    return Round(point=point, number=number, duration_s=1, requests=1, valid=valid, **sides)


def measurement(*rounds: Round) -> Measurement:
    return Measurement(question="q", cell="c", workload={}, points=(), rounds=rounds)


def test_values_are_those_of_rounds_that_count() -> None:
    """Of one point, in the order of time; a round that does not count has none."""
    one = measurement(
        round_of(1, client={"a": 1}),
        round_of(2, client={"a": 2}, valid=False),
        round_of(3, client={"a": 3}),
        round_of(1, point="other", client={"a": 4}),
    )

    assert one.values("p", "a") == [1, 3]


def test_a_metric_has_one_source_at_all_points() -> None:
    """Two sides mean different things by one name: where the one is silent nobody stands in."""
    one = measurement(
        round_of(1, client={"a": 1}, engine={"a": 9, "b": 5}, device={"b": 6, "c": 7}),
        round_of(2, engine={"a": 8, "b": 4}),
        round_of(1, point="other", engine={"a": 7}),
        round_of(2, point="other", client={"b": 1}, valid=False),
    )

    assert one.values("p", "a") == [1]
    assert one.values("other", "a") == []
    assert one.values("p", "b") == [5, 4]
    assert json.loads(one.to_json())["sources"] == {"a": "client", "b": "engine", "c": "device"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1}', "null"])
def test_what_is_no_measurement_is_refused(text: str) -> None:
    """A file of another kind or format is told apart."""
    with pytest.raises(UsageError, match=r"performance\.json"):
        Measurement.from_json(text)


def test_fields_of_a_later_version_are_left_out() -> None:
    """A reader does not stumble over what was added."""
    one = Measurement(question="q", cell="c", workload={}, points=(), rounds=())
    data = json.loads(one.to_json()) | {"more": 1, "points": [{"name": "p", "new": 2}]}

    assert Measurement.from_json(json.dumps(data)).points == (Point(name="p"),)


def _with_lists(one: Any) -> Any:
    """Return the same with lists in place of tuples, as JSON has them."""
    values = {name: getattr(one, name) for name in type(one).__dataclass_fields__}
    return type(one)(**{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()})


@pytest.mark.parametrize(
    ("key", "value"), [("concurrencies", [1, 2]), ("knee_gain", 0.5), ("tolerance", 0.5)]
)
def test_knees_of_other_curves_are_not_compared(key: str, value: object) -> None:
    """A knee is that of its curve; each point of it is the same without."""
    before = {"concurrencies": [1, 2, 4], "knee_gain": 0.25, "tolerance": 0.1}
    now = before | {key: value}

    assert differing_workload(before, now) == []
    of_curve = differing_workload(before, now, of_all_points=True)
    assert of_curve == ([] if key == "tolerance" else [key])
