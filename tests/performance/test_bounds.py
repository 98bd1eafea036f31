"""What metrics can come to by their workload alone."""

from __future__ import annotations

from typing import Any

import pytest

from hwval.cell import ArgValue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.load.schedule import Rate
from hwval.load.schedule import arrival_times_s
from hwval.performance.bounds import bounds_of
from hwval.performance.floors import impossible_promises
from hwval.performance.promise import PerformanceSection
from hwval.performance.promise import Serving

HIT = "prefix_cache_hit_rate"
SPECULATION = "speculative-config"


def cell(**flags: ArgValue) -> Cell:
    engine = tuple((name.replace("_", "-"), value) for name, value in flags.items())
    return Cell("cpu", 1, "img:1", "model", Dtype.AUTO, engine_args=engine)


def problems(question: str, engine: Cell | None = None, **section: Any) -> list[str]:
    promised = PerformanceSection.model_validate({question: section})
    return list(impossible_promises(promised, cell=engine))


def limit(metric: str, **promise: Any) -> dict[str, Any]:
    return {"limits": {metric: promise}}


@pytest.mark.parametrize(
    ("question", "section", "told"),
    [
        ("serving", {"rates_per_s": [4], **limit("request_per_s", floor=8)},
         "floor asks for at least 8 requests/s, possible is at most 4.684 requests/s"),
        ("serving", {"rates_per_s": [4], **limit("output_tokens_per_s", floor=600)}, "599.6"),
        ("serving", {"rates_per_s": [4], "goals": {"ttft": "1 s"},
                     **limit("goodput_request_per_s", floor=8)}, "at most 4.684"),
        ("bench_serve", {"rate_per_s": 4, **limit("request_per_s", floor=8)}, "at most 5.278"),
        ("concurrency_sweep", {"concurrencies": [1, 2], **limit("knee_concurrency", floor=64)},
         "at least 64 streams, possible is at most 2 streams (concurrencies end at 2)"),
        ("prefix_cache", {"input_tokens": 256, "shared_prefix_tokens": 224,
                          **limit(HIT, floor="99 %")}, "possible is at most 87.6%"),
    ],
)  # fmt: skip
def test_more_than_the_workload_allows(question: str, section: dict[str, Any], told: str) -> None:
    """With both numbers."""
    (problem,) = problems(question, **section)

    assert told in problem
    assert problem.endswith("write that or less")


@pytest.mark.parametrize(
    ("question", "section", "told"),
    [
        ("serving", {"rates_per_s": [4], **limit("ttft_p99_s", ceiling=500)},
         "write less than 5 min 00 s, or 500 ms if that is meant, or raise round_deadline"),
        ("single_stream", limit("ttft_p50_s", ceiling="6 min"),
         "cut off by round_deadline; write less than 5 min 00 s, or raise round_deadline"),
        ("single_stream", {"round_deadline": "5 s", **limit("ttft_p50_s", ceiling=9)},
         "write less than 5 s, or raise round_deadline"),
        ("bench_latency", {"timeout": "50 s", **limit("latency_mean_s", ceiling="11 s")},
         "timeout of 50.0 s leaves 10.0 s for each of 5 iterations; write less than 10 s, or"),
        ("bench_serve", {"timeout": "50 s", **limit("e2el_mean_s", ceiling="50 s")},
         "what takes longer than 50.0 s is cut off by timeout; write less than 50 s, or raise"),
        ("concurrency_sweep", {"concurrencies": [2, 4], **limit("knee_concurrency", floor=2)},
         "floor of 2 streams can never be missed: a knee is one of the concurrencies, from 2 on"),
    ],
)  # fmt: skip
def test_what_every_engine_keeps(question: str, section: dict[str, Any], told: str) -> None:
    """No round that counts could break it."""
    (problem,) = problems(question, **section)

    assert told in problem


@pytest.mark.parametrize("metric", ["decode_tokens_per_s", "tpot_p50_s", "itl_p99_s"])
def test_answers_of_one_token_have_no_pace(metric: str) -> None:
    """There is nothing after the first token."""
    promise = {"floor": 1} if metric.startswith("decode") else {"ceiling": "1 s"}

    (problem,) = problems("single_stream", output_tokens=1, **limit(metric, **promise))

    assert f"{metric} is never measured: output_tokens is 1" in problem
    assert problems("single_stream", output_tokens="1..2", **limit(metric, **promise)) == []
    assert problems("single_stream", output_tokens=1, **limit("ttft_p50_s", ceiling="1 s")) == []


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        (cell(), "never measured: nothing is drafted without engine.speculative-config; set it"),
        (cell(speculative_config='{"method": "ngram"}'), ""),
        (cell(speculative_model="org/draft"), ""),
        (cell(config="/flags.yaml"), ""),
        (None, ""),
    ],
)
def test_drafts_need_speculation(engine: Cell | None, told: str) -> None:
    """A server that others started, or a file of flags, may have it."""
    found = problems("speculative", engine, **limit("acceptance_rate", floor="30 %"))

    assert (found == []) is (not told)
    assert all(told in one for one in found)


def test_no_more_tokens_are_accepted_than_were_drafted() -> None:
    """One comes from the model itself, with or without."""
    engine = cell(speculative_config='{"method": "ngram", "num_speculative_tokens": 3}')
    length = "accepted_length_tokens"

    assert "at most 4 tokens" in problems("speculative", engine, **limit(length, floor=5))[0]
    assert "never be missed" in problems("speculative", engine, **limit(length, floor=1))[0]
    assert problems("speculative", engine, **limit(length, floor=4)) == []
    for odd in ("3", "{", '{"num_speculative_tokens": "many"}'):
        assert problems("speculative", cell(speculative_config=odd), **limit(length, floor=9)) == []


def test_nothing_is_found_in_a_cache_that_is_off() -> None:
    """It takes vLLM's flag to turn it off."""
    asked = limit(HIT, floor="30 %")

    assert "is false" in problems("prefix_cache", cell(enable_prefix_caching=False), **asked)[0]
    assert problems("prefix_cache", cell(enable_prefix_caching=True), **asked) == []


def test_a_template_may_be_shared_too() -> None:
    """How long it is nobody knows here."""
    chat: dict[str, Any] = {"input_tokens": 256, "shared_prefix_tokens": 224, "endpoint": "chat"}

    assert problems("prefix_cache", **chat, **limit(HIT, floor="99 %")) == []


@pytest.mark.parametrize(("requests", "burstiness"), [(12, 1), (30, 0.5), (30, 4), (200, 1)])
def test_chance_does_not_reach_the_bound_of_arrivals(requests: int, burstiness: float) -> None:
    """An engine that answers at once has the rate of its arrivals, five rounds on average."""
    section = Serving(rates_per_s=(2.0,), requests=requests, burstiness=burstiness)
    found = {one.metric: one.value for one in bounds_of(section, 2.0) if one.kind == "best"}
    rates = [
        requests / arrival_times_s(requests, Rate(2, 2), burstiness=burstiness, seed=seed)[-1]
        for seed in range(2500)
    ]
    means = [sum(rates[start : start + 5]) / 5 for start in range(0, 2500, 5)]

    assert 2 < max(means) < found["request_per_s"]
    few = Serving(rates_per_s=(2.0,), requests=8)
    assert "request_per_s" not in {one.metric for one in bounds_of(few, 2.0)}
