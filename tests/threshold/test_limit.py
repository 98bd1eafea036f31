"""What a matrix may promise of a metric, and what is refused with one line."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic import ValidationError

from hwval.clock import utc_now
from hwval.errors import MatrixError
from hwval.threshold import METRICS
from hwval.threshold import Limit
from hwval.threshold import Limits
from hwval.threshold import is_duration
from hwval.threshold.limit import BANDS
from hwval.yamlfile import load_yaml
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import validate

DECODE = METRICS["decode_tokens_per_s"]
TTFT = METRICS["ttft_p99_s"]


class File(YamlModel):
    """A file of limits alone."""

    limits: Limits


def read(tmp_path: Path, text: str) -> dict[str, Limit]:
    """Return the limits of a YAML text."""
    path = tmp_path / "limits.yaml"
    path.write_text(f"limits:\n{text}", "utf-8")
    return validate(load_yaml(path), File).limits


def test_everything_that_may_be_promised(tmp_path: Path) -> None:
    """The way a person writes it, units and percent included."""
    limits = read(
        tmp_path,
        """\
  decode_tokens_per_s:
    floor: 12
    acceptable: 12.5
    good: 20
    excellent: 24
    of_ceiling: 25 %
    relative_to: {cell: aiter-off, at_least: 1.5}
    baseline: {value: 15, tolerance: 5 %, source: "run 7 of v0.32.0", date: 2026-05-01}
    source: lab note
    date: 2026-05-02
  ttft_p99_s: {ceiling: 500 ms, good: 0.2}
  acceptance_rate: {floor: 60 %}
""",
    )
    decode = limits["decode_tokens_per_s"]

    assert (decode.floor, decode.good, decode.of_ceiling) == (12, 20, 0.25)
    assert decode.relative_to is not None
    assert decode.relative_to.factor == 1.5
    assert decode.baseline is not None
    assert str(decode.baseline.date) == "2026-05-01"
    assert limits["ttft_p99_s"].bound == 0.5
    assert limits["acceptance_rate"].bound == 0.6


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("decode_tok_s: {floor: 12}", "did you mean 'decode_tokens_per_s'"),
        ("decode_tokens_per_s: {ceiling: 12}", "more is better: it has a floor, not a ceiling"),
        ("ttft_p99_s: {floor: 1}", "more is worse: it has a ceiling, not a floor"),
        ("decode_tokens_per_s: {floor: 12, good: 10}", r"good \(10\) is below floor \(12\)"),
        ("decode_tokens_per_s: {floor: 12, good: 20, excellent: 15}", "excellent .* below good"),
        ("ttft_p99_s: {ceiling: 1 s, good: 2 s}", r"good \(2\) is above ceiling \(1\)"),
        ("decode_tokens_per_s: {of_ceiling: 120 %}", "at most 100 %"),
        ("decode_tokens_per_s: {of_ceiling: 0 %}", "more than 0 %"),
        ("decode_tokens_per_s: {of_ceiling: 0.25}", "in percent, as in 25 %"),
        ("decode_tokens_per_s: {floor: -1}", "above 0"),
        ("decode_tokens_per_s: {floor: 0}", "above 0"),
        ("decode_tokens_per_s: {floor: true}", "expected a number"),
        ("decode_tokens_per_s: {floor: [1]}", "expected a number"),
        ("decode_tokens_per_s: {floor: .nan}", "quote it|above 0"),
        ('decode_tokens_per_s: {floor: "nan"}', "'nan': write the plain number"),
        (
            "decode_tokens_per_s: {floor: 5 tokens/s}",
            r"decode_tokens_per_s\.floor: '5 tokens/s': write the plain number, in tokens/s",
        ),
        (
            "request_per_s: {baseline: {value: 3 rps, tolerance: 5 %}}",
            r"request_per_s\.baseline\.value: '3 rps': write the plain number, in requests/s",
        ),
        ("acceptance_rate: {floor: most}", "'most': write the plain number, or percent"),
        ("decode_tokens_per_s: {floor: 500 ms}", "floor is a duration, expected tokens/s"),
        ("decode_tokens_per_s: {floor: 50 %}", "floor is in percent, expected tokens/s"),
        ("ttft_p99_s: {ceiling: 5 parsecs}", "number with a unit"),
        ("ttft_p99_s: {ceiling: 0 ms}", "above 0"),
        ("acceptance_rate: {floor: 60}", "at most 1"),
        ("decode_tokens_per_s: {good: 20}", "nothing is promised"),
        ("decode_tokens_per_s: {}", "nothing is promised"),
        (
            "request_per_s: {baseline: {value: 1, tolerance: 100 %, source: x, date: 2026-05-01}}",
            "less 100 % promises nothing",
        ),
        ("decode_tokens_per_s: {flor: 12}", "did you mean 'floor'"),
        ("decode_tokens_per_s: {relative_to: {cell: off}}", "unquoted off"),
        ("decode_tokens_per_s: {relative_to: {cell: plain}}", "either at_least or at_most"),
        ("decode_tokens_per_s: {relative_to: {cell: plain, at_most: 2}}", "write at_least"),
        ("ttft_p99_s: {relative_to: {cell: plain, at_least: 2}}", "write at_most"),
        ("ttft_p99_s: {relative_to: {cell: plain, at_most: 0}}", "greater than 0"),
        ("ttft_p99_s: {relative_to: {cell: plain, at_most: much}}", "'much' is no factor"),
        ("decode_tokens_per_s: {baseline: {value: 15}}", "'tolerance' is missing"),
        (
            "decode_tokens_per_s: {baseline: {value: 15, tolerance: 5 %, source: x}}",
            "'date' is missing",
        ),
    ],
)
def test_nonsense_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    """With the file, the line, what was seen and what is allowed."""
    with pytest.raises(MatrixError, match=problem) as error:
        read(tmp_path, f"  {text}\n")

    assert str(error.value).count("\n") == 0
    assert error.value.line == 2


@pytest.mark.parametrize("text", ["1e9", "1E+9", "1.0e+9", "1000000000"])
def test_power_of_ten_is_a_number(tmp_path: Path, text: str) -> None:
    """Also where YAML takes it for text."""
    limits = read(tmp_path, f"  decode_tokens_per_s: {{floor: {text}}}\n")

    assert limits["decode_tokens_per_s"].floor == 1e9


@pytest.mark.parametrize(
    ("value", "band"),
    [(9, "poor"), (10, "acceptable"), (14.9, "acceptable"), (15, "good"), (25, "excellent")],
)
def test_bands_begin_where_they_are_written(value: float, band: str) -> None:
    """Seed of every table of targets: below 10 poor, 10 to 15 acceptable, and so on."""
    limit = Limit(acceptable=10, good=15, excellent=20)

    assert limit.band(DECODE, value) == band
    assert limit.bound == 10, "poor is a broken promise where no floor is written"


def test_bands_of_a_latency_go_the_other_way() -> None:
    """Less is better."""
    limit = Limit(ceiling=1.0, good=0.5, excellent=0.1)

    assert [limit.band(TTFT, value) for value in (0.05, 0.2, 0.7, 1.1)] == [
        "excellent",
        "good",
        "acceptable",
        "poor",
    ]
    assert Limit(ceiling=1.0).band(TTFT, 0.5) is None


@given(st.lists(st.floats(0.1, 100), min_size=3, max_size=3, unique=True), st.floats(0, 200))
def test_bands_grow_with_the_value(bounds: list[float], value: float) -> None:
    """A better value is never in a worse band."""
    low, middle, high = sorted(bounds)
    limit = Limit(acceptable=low, good=middle, excellent=high)
    band, better = (limit.band(DECODE, one) for one in (value, value * 1.5 + 0.1))

    assert band is not None
    assert better is not None
    assert BANDS.index(band) <= BANDS.index(better)


def test_schema_completes_the_names_of_metrics() -> None:
    """An editor offers them; it refuses others."""
    schema = TypeAdapter(Limits).json_schema()

    assert "ttft_p99_s" in schema["propertyNames"]["enum"]
    assert "floor" in schema["$defs"]["Limit"]["properties"]


@pytest.mark.parametrize("where", ["limit", "baseline"])
def test_day_that_has_not_been_dates_no_number(where: str) -> None:
    """Tomorrow may have begun where it was written."""
    now = utc_now().date()

    def dated(day: dt.date) -> Limit:
        base = {"value": 1, "tolerance": "5 %", "source": "s", "date": day}
        return Limit.model_validate({"baseline": base} if where == "baseline" else {"date": day})

    assert dated(now + dt.timedelta(days=1))
    with pytest.raises(ValidationError, match="expected a day that has been: today is"):
        dated(now + dt.timedelta(days=2))


def test_what_a_limit_asks_for() -> None:
    """A baseline with its tolerance, to the side that is worse."""
    base = {"value": 100, "tolerance": "5 %", "source": "s", "date": "2026-01-01"}
    limit = Limit.model_validate({"floor": 90, "good": 120, "baseline": base})
    latency = Limit.model_validate({"baseline": base})

    assert limit.demands(METRICS["request_per_s"]) == {
        "floor": 90,
        "good": 120,
        "baseline": pytest.approx(95),
    }
    assert latency.demands(METRICS["ttft_p50_s"]) == {"baseline": pytest.approx(105)}


def test_a_factor_may_be_in_percent() -> None:
    """As other shares are."""
    written = [
        Limit.model_validate({"relative_to": {"cell": "plain", "at_least": value}}).relative_to
        for value in ("30 %", "150%", 0.3)
    ]

    assert [one and one.factor for one in written] == [0.3, 1.5, 0.3]


def test_written_durations_are_known() -> None:
    """A plain number may have been meant in another unit."""
    written = [Limit.model_validate({"ceiling": value}).ceiling for value in ("6 min", 360)]

    assert [one is not None and is_duration(one) for one in written] == [True, False]
