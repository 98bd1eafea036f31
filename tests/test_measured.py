"""Checks as people read them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.measured import Measured
from hwval.measured import measured_of
from hwval.threshold import Limit
from hwval.threshold import judge
from hwval.verdict import Outcome
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_verdict


def read(check: dict[str, Any], question: str = "performance/single_stream") -> Measured:
    (found,) = measured_of(make_verdict(make_cell(), question, checks=(check,)))
    return found


def test_threshold_and_reader_agree() -> None:
    """What is written by the one is read by the other, with units."""
    limit = Limit.model_validate({"floor": 42.0, "good": 50.0, "source": "lab"})
    (check,) = judge("decode_tokens_per_s", limit, [53.0, 54.0, 55.0], ceiling=130.0)
    found = read(check.to_json())

    assert found.metric == "decode_tokens_per_s"
    assert found.title == "output of a single stream"
    assert (found.value, found.band, found.share_of_ceiling) == ("54 tokens/s", "good", "42%")
    assert found.spread.endswith("tokens/s, 3 rounds")
    assert (found.outcome, found.source) == (check.outcome, "lab")
    assert "42 tokens/s" in found.limit
    assert found.smallest_detectable.endswith(" tokens/s")
    assert not found.is_relation


def test_latencies_are_in_milliseconds() -> None:
    """As people say them."""
    assert read({"metric": "ttft_p99_s", "unit": "s", "value": 0.0123}).value == "12.3 ms"


def test_relation_is_a_factor() -> None:
    """Of the other cell, whatever the metric's unit is."""
    check = {
        "metric": "decode_tokens_per_s", "unit": "times", "kind": "relative_to", "value": 1.5,
        "low": 1.4, "high": 1.6, "n": 5, "partner": "other",
    }  # fmt: skip
    found = read(check)

    assert (found.value, found.spread) == ("1.5 times", "1.4 times to 1.6 times, 5 rounds")
    assert found.is_relation


def test_accuracy_is_a_share_of_questions() -> None:
    """And the difference of two shares is in points, since percent would be ambiguous."""
    score = {"metric": "mmlu_accuracy", "unit": "", "value": 0.6276, "low": 0.6, "high": 0.65,
             "n": 717, "smallest_detectable": 0.03}  # fmt: skip
    pair = score | {"kind": "relative_to", "value": -0.0014, "low": -0.01, "high": 0.02}

    assert read(score, "accuracy/score").value == "62.76%"
    assert read(score, "accuracy/score").spread == "60.00% to 65.00%, 717 questions"
    assert read(pair, "accuracy/paired").value == "-0.14 points"
    assert read(pair, "accuracy/paired").smallest_detectable == "3.00 points"


def test_point_stands_behind_the_metric() -> None:
    """As in the names of numbers."""
    found = read({"metric": "request_per_s", "point": "2 requests/s"})

    assert (found.point, found.name) == ("2 requests/s", "request_per_s (2 requests/s)")
    assert read({"metric": "request_per_s"}).name == "request_per_s"


def test_relation_without_a_ratio_tells_this_cells_own_number() -> None:
    """In the metric's unit; a ratio is in times."""
    told = {"metric": "ttft_p50_s", "kind": "relative_to", "value": 0.0123, "n": 5}

    assert read(told | {"unit": "s"}).value == "12.3 ms"
    assert read(told | {"unit": "times", "value": 1.5}).value == "1.5 times"


def test_single_round_excludes_nothing() -> None:
    """One round is one round."""
    assert read({"metric": "request_per_s", "value": 3.0, "n": 1}).spread == "1 round"


def test_nothing_known_is_empty_and_not_run() -> None:
    """Missing is never good."""
    found = read({})

    assert found.outcome is Outcome.NOT_RUN
    assert found.value == found.spread == found.limit == found.share_of_ceiling == ""


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)
_KEYS = st.sampled_from(
    ("metric", "unit", "kind", "outcome", "value", "low", "high", "n", "limit", "band", "partner",
     "share_of_ceiling", "smallest_detectable", "source", "text")
)  # fmt: skip


@given(check=st.dictionaries(_KEYS, _ANYTHING))
def test_whatever_a_journal_holds_is_read(check: dict[str, Any]) -> None:
    """A damaged journal is still a report."""
    found = read(check)

    assert isinstance(found.value, str)
    assert isinstance(found.outcome, Outcome)


@pytest.mark.parametrize("checks", [(), ("text",), (3, None)])
def test_what_is_no_check_is_left_out(checks: tuple[object, ...]) -> None:
    """Old journals have none."""
    assert not measured_of(make_verdict(make_cell(), "performance/x", checks=checks))
