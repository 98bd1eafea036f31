"""When requests are sent."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from statistics import mean
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.errors import UsageError
from hwval.load.schedule import CONSTANT
from hwval.load.schedule import Rate
from hwval.load.schedule import TraceRequest
from hwval.load.schedule import arrival_times_s
from hwval.load.schedule import read_trace

RATES = st.floats(0.01, 1e4)


def gaps(times_s: tuple[float, ...]) -> list[float]:
    return [after - before for before, after in pairwise(times_s)]


@given(
    requests=st.integers(0, 200),
    rate=st.builds(Rate, st.floats(0, 1e4), RATES, st.floats(0, 1e3)),
    burstiness=st.floats(0.05, 50) | st.just(CONSTANT),
    seed=st.integers(0),
)
def test_times_ascend_from_0_and_repeat(
    requests: int, rate: Rate, burstiness: float, seed: int
) -> None:
    """Any shape: as many as asked for, the first at once, the same for the same seed."""
    times = arrival_times_s(requests, rate, burstiness=burstiness, seed=seed)

    assert len(times) == requests
    assert list(times) == sorted(times)
    assert times[:1] == (0.0,)[:requests]
    assert times == arrival_times_s(requests, rate, burstiness=burstiness, seed=seed)


@given(start=st.floats(0, 1e4), end=RATES, ramp_s=st.floats(0.001, 1e3), part=st.floats(0, 3))
def test_ramp_is_the_inverse_of_its_integral(
    start: float, end: float, ramp_s: float, part: float
) -> None:
    """The arrivals expected until a time lead back to that time."""
    time_s = part * ramp_s
    inside = min(time_s, ramp_s)
    expected = start * inside + (end - start) * inside**2 / (2 * ramp_s)
    expected += end * max(0.0, time_s - ramp_s)

    assert Rate(start, end, ramp_s).time_of(expected) == pytest.approx(time_s, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("burstiness", "spread"), [(1.0, 1.0), (0.25, 2.0), (4.0, 0.5)])
def test_burstiness_is_the_spread_of_gaps(burstiness: float, spread: float) -> None:
    """Gamma distances: mean 1 / rate, variation 1 / sqrt(burstiness)."""
    found = gaps(arrival_times_s(20_000, Rate(50, 50), burstiness=burstiness, seed=1))

    assert mean(found) == pytest.approx(0.02, rel=0.05)
    assert stdev(found) / mean(found) == pytest.approx(spread, rel=0.08)


def test_constant_arrivals_are_even_to_the_end() -> None:
    """Rounding does not add up."""
    assert arrival_times_s(10_001, Rate(10, 10), burstiness=CONSTANT)[-1] == 1000.0


@pytest.mark.parametrize(
    "values", [(0, 0, 0), (1, -1, 0), (-1, 1, 1), (1, math.inf, 0), (1, 1, math.nan)]
)
def test_impossible_rates_are_refused(values: tuple[float, float, float]) -> None:
    """Nothing would ever be sent, or everything at once."""
    with pytest.raises(UsageError, match="rate from"):
        Rate(*values)


@pytest.mark.parametrize("burstiness", [0, -1, math.nan])
def test_impossible_burstiness_is_refused(burstiness: float) -> None:
    """Only numbers above 0 are shapes."""
    with pytest.raises(UsageError, match="burstiness"):
        arrival_times_s(1, Rate(1, 1), burstiness=burstiness)


class TestTrace:
    def test_both_spellings_are_read(self, tmp_path: Path) -> None:
        """Seconds or milliseconds, in any order, from the first request on."""
        own = {"at_s": 12.5, "input_tokens": 7, "output_tokens": 8}
        mooncake = {"timestamp": 12000, "input_length": 3, "output_length": 4, "hash_ids": [1]}
        (tmp_path / "t.jsonl").write_text(f"{json.dumps(own)}\n\n{json.dumps(mooncake)}\n")

        assert read_trace(tmp_path / "t.jsonl") == (
            TraceRequest(0.0, 3, 4),
            TraceRequest(0.5, 7, 8),
        )

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "holds no request"),
            ("{", "t.jsonl:1: no JSON"),
            ("[]", "t.jsonl:1: .*expected a JSON object"),
            ("\n{}", "t.jsonl:2: expected numbers"),
            ('{"at_s": 1, "input_tokens": true, "output_tokens": 1}', "expected numbers"),
            ('{"at_s": 1, "input_tokens": 0, "output_tokens": 1}', "whole lengths"),
            ('{"at_s": 1, "input_tokens": 1.5, "output_tokens": 1}', "whole lengths"),
            ('{"at_s": -1, "input_tokens": 1, "output_tokens": 1}', "time >= 0"),
            ('{"at_s": NaN, "input_tokens": 1, "output_tokens": 1}', "time >= 0"),
        ],
    )
    def test_other_lines_are_refused(self, tmp_path: Path, text: str, problem: str) -> None:
        """With file and line."""
        (tmp_path / "t.jsonl").write_text(text)

        with pytest.raises(UsageError, match=problem):
            read_trace(tmp_path / "t.jsonl")

    def test_missing_file_is_told(self, tmp_path: Path) -> None:
        """By name."""
        with pytest.raises(UsageError, match=r"none\.jsonl: cannot be read"):
            read_trace(tmp_path / "none.jsonl")
