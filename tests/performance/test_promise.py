"""What a matrix may write under performance, and what is refused at load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from hwval.catalogue import Capability
from hwval.load.lengths import Lengths
from hwval.matrix.schema import matrix_json_schema
from hwval.performance.promise import ConcurrencySweep
from hwval.performance.promise import LoadQuestion
from hwval.performance.promise import PerformanceSection
from hwval.performance.promise import Serving


def test_empty_section_asks_nothing() -> None:
    """Only what stands in the matrix is asked."""
    section = PerformanceSection()

    assert not section.is_asked
    assert section.partners == frozenset()


@pytest.mark.parametrize(
    ("offered", "is_asked"),
    [
        ({Capability.COMPLETIONS, Capability.CHAT}, True),
        ({Capability.CHAT, Capability.VISION}, True),
        ({Capability.EMBEDDINGS}, False),
        (set(), False),
    ],
)
def test_what_writes_no_text_has_no_speed(offered: set[Capability], *, is_asked: bool) -> None:
    """A matrix promises speed for all its cells, also for those that only embed."""
    section = PerformanceSection.model_validate({"single_stream": {}})

    assert section.asks("single_stream", frozenset(offered)) is is_asked
    assert not section.asks("serving", frozenset(offered))


def test_workload_and_limits_stand_together() -> None:
    """Lengths are written as for `hwval load`, limits as everywhere."""
    section = PerformanceSection.model_validate(
        {
            "single_stream": {
                "input_tokens": "64..128",
                "output_tokens": 16,
                "limits": {
                    "decode_tokens_per_s": {
                        "floor": 12,
                        "relative_to": {"cell": "aiter-off", "at_least": 1.5},
                    }
                },
            },
            "speculative": {"without": "plain"},
        }
    )
    single = section.single_stream

    assert single is not None
    assert single.input_tokens == Lengths(64, 128)
    assert single.context_tokens == 144
    assert section.is_asked
    assert section.partners == {"aiter-off", "plain"}


def test_limit_may_name_its_point() -> None:
    """What is promised at a point goes before what is promised everywhere."""
    section = PerformanceSection.model_validate(
        {
            "serving": {
                "rates_per_s": [1, 4],
                "limits": {"ttft_p99_s": {"ceiling": 1}},
                "limits_at": {4: {"ttft_p99_s": {"ceiling": 2}}},
            }
        }
    ).serving

    assert section is not None
    assert section.limits_of(1.0)["ttft_p99_s"].ceiling == 1
    assert section.limits_of(4.0)["ttft_p99_s"].ceiling == 2


def test_fixed_batch_looks_after_its_iterations() -> None:
    """The iterations are the rounds before the first look."""
    section = PerformanceSection.model_validate({"fixed_batch": {}}).fixed_batch

    assert section is not None
    assert (section.warm_up, section.iterations, section.looks.first) == (3, 5, 5)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"ofline": {}}, "did you mean 'offline'"),
        ({"serving": {}}, "Field required"),
        ({"serving": {"rates_per_s": []}}, "rising order"),
        ({"serving": {"rates_per_s": [4, 1]}}, "rising order"),
        ({"serving": {"rates_per_s": [0]}}, "greater than 0"),
        ({"concurrency_sweep": {"concurrencies": [1, 1]}}, "rising order"),
        ({"offline": {"input_tokens": 0}}, "expected 1 token or more"),
        ({"offline": {"input_tokens": True}}, "expected tokens"),
        ({"offline": {"requests": 1.5}}, "valid integer"),
        ({"offline": {"max_duration": 5}}, "unit"),
        ({"offline": {"max_duration": "1 ms"}}, "found 1 ms, expected 1.0 s or more: no round"),
        ({"offline": {"round_deadline": "1 ms"}}, "found 1 ms, expected 1.0 s or more"),
        ({"bench_latency": {"timeout": "1 ms"}}, "found 1 ms, expected 1.0 s or more"),
        ({"offline": {"min_rounds": 2}}, "greater than or equal to 3"),
        ({"offline": {"min_rounds": 9, "max_rounds": 8}}, "is below the 9 rounds"),
        ({"offline": {"limits": {"output_tokens_per_s": {"ceiling": 3}}}}, "floor"),
        ({"offline": {"limits": {"knee_concurrency": {"floor": 3}}}}, "is not measured here"),
        ({"offline": {"limits": {"tokens": {"floor": 3}}}}, "is no metric"),
        ({"prefix_cache": {"input_tokens": 64, "shared_prefix_tokens": 64}}, "less than input"),
        (
            {"serving": {"rates_per_s": [0.5, 1]}},
            "found 5 min 00 s, expected more than the 6 min 40 s that it takes 200 requests at",
        ),
        (
            {"serving": {"rates_per_s": [1], "max_duration": "10 min"}},
            "found 10 min 00 s, expected the 16 min 40 s or more that 5 rounds take, each with 200",
        ),
        (
            {"bench_serve": {"rate_per_s": 0.1}},
            "found 15 min 00 s, expected more than the 16 min 40 s that it takes 100 requests",
        ),
        (
            {
                "serving": {
                    "rates_per_s": [1],
                    "limits_at": {2: {"ttft_p99_s": {"ceiling": 1}}},
                }
            },
            "nothing is measured at 2; allowed: 1",
        ),
    ],
)
def test_nonsense_is_refused_at_load(written: dict[str, Any], problem: str) -> None:
    """With what is wrong and what is allowed."""
    with pytest.raises(ValidationError, match=problem):
        PerformanceSection.model_validate(written)


@pytest.mark.parametrize("written", ["128", "64..256", "128~32", "5~5"])
def test_workload_is_told_as_it_was_written(written: str) -> None:
    """Files that a run leaves speak the matrix's language."""
    section = PerformanceSection.model_validate({"offline": {"input_tokens": written}}).offline

    assert section is not None
    assert section.model_dump(mode="json")["input_tokens"] == written


def test_limits_that_nothing_would_judge_are_refused() -> None:
    """The knee is of the whole curve, and goodput needs goals."""
    knee = {"concurrencies": [1, 2], "limits_at": {"2": {"knee_concurrency": {"floor": 2}}}}
    with pytest.raises(ValidationError, match="knee_concurrency is of the whole curve"):
        ConcurrencySweep.model_validate(knee)
    good: dict[str, Any] = {"rates_per_s": [1], "limits": {"good_share": {"floor": 0.9}}}
    without: tuple[dict[str, Any], ...] = ({}, {"goals": {}})
    for goals in without:
        with pytest.raises(ValidationError, match="good_share needs ttft, tpot or e2el"):
            Serving.model_validate(good | goals)

    assert Serving.model_validate(good | {"goals": {"ttft": "1 s"}}).goals is not None


def test_time_that_suffices_is_taken() -> None:
    """To the second: what a round needs at least is what it needs."""
    written = {"rates_per_s": [1], "requests": 100, "min_rounds": 6, "max_duration": "10 min"}

    assert Serving.model_validate(written).max_duration == 600.0


@pytest.mark.parametrize(("streams", "requests"), [(1, 3), (2, 3), (256, 256)])
def test_warm_up_is_as_wide_as_the_point(streams: int, requests: int) -> None:
    """A batch that is seen for the first time is slow; a number of the matrix is taken as it is."""
    section = PerformanceSection.model_validate({"offline": {}, "kv_cache_dtype": {"warm_up": 0}})

    assert section.offline is not None
    assert section.kv_cache_dtype is not None
    assert section.offline.warm_up_requests(streams) == requests
    assert section.kv_cache_dtype.warm_up_requests(streams) == 0


@pytest.mark.parametrize(
    ("question", "key", "value"),
    [
        ("bench_latency", "min_rounds", 5),
        ("bench_latency", "max_rounds", 9),
        ("bench_latency", "max_duration", "10 min"),
        ("fixed_batch", "min_rounds", 5),
    ],
)
def test_where_iterations_are_the_rounds_there_is_no_other_number(
    question: str, key: str, value: object
) -> None:
    """What would do nothing is refused, and no editor offers it."""
    properties = matrix_json_schema()["$defs"]
    name = {"bench_latency": "BenchLatency", "fixed_batch": "FixedBatch"}[question]

    assert key not in properties[name]["properties"]
    with pytest.raises(ValidationError, match=f"unknown key '{key}'.*iterations"):
        PerformanceSection.model_validate({question: {key: value}})


def documented() -> dict[str, dict[str, Any]]:
    """Return the options that the document tells of each section, with their defaults."""
    text = (Path(__file__).parents[2] / "docs/performance.md").read_text("utf-8")
    table = text.partition("### Options")[2].partition("\n\nAn engine")[0]
    rows = re.findall(r"^\| `?([\w ]+)`? \| (.*) \|$", table, re.MULTILINE)
    return {
        name: {key: yaml.safe_load(value) for key, value in re.findall(r"`(\w+): ([^`]+)`", row)}
        for name, row in rows
    }


@pytest.mark.parametrize("name", PerformanceSection.model_fields)
def test_every_option_is_documented_with_its_default(name: str) -> None:
    """As a matrix may write it."""
    needed = {
        "serving": {"rates_per_s": [1]},
        "concurrency_sweep": {"concurrencies": [1]},
    }.get(name, {})
    plain = getattr(PerformanceSection.model_validate({name: needed}), name)
    known, told = type(plain).model_fields, documented()
    common = told["those of the load generator"] if isinstance(plain, LoadQuestion) else {}
    written = {key: value for key, value in common.items() if key in known} | told[name]

    assert written.keys() | needed.keys() == known.keys()
    section = PerformanceSection.model_validate({name: written | needed})
    assert getattr(section, name) == plain
