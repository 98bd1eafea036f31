"""Commands and results of `vllm bench`, across versions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hwval.performance import bench
from hwval.performance.promise import BenchLatency
from hwval.performance.promise import BenchServe
from hwval.performance.promise import BenchThroughput

LATENCY = BenchLatency(batch=2, input_tokens=32, output_tokens=16, iterations=3)
THROUGHPUT = BenchThroughput(requests=8, input_tokens=32, output_tokens=16)
SERVE = BenchServe(requests=10, input_tokens=32, output_tokens=16)
# Keys as vLLM 0.8.5 and 0.32.0 wrote them.
SERVE_085: dict[str, Any] = {
    "date": "20250501-101010",
    "backend": "vllm",
    "model_id": "m",
    "num_prompts": 10,
    "request_rate": "inf",
    "duration": 2.0,
    "completed": 9,
    "total_input_tokens": 288,
    "total_output_tokens": 144,
    "request_throughput": 4.5,
    "request_goodput:": None,
    "output_throughput": 80.0,
    "total_token_throughput": 240.0,
    "mean_ttft_ms": 50.0,
    "median_ttft_ms": 40.0,
    "std_ttft_ms": 1.0,
    "p99_ttft_ms": 90.0,
}
SERVE_032 = SERVE_085 | {
    "completed": 10,
    "total_input_tokens": 330,  # a token before each prompt
    "failed": 0,
    "request_goodput": None,
    "max_output_tokens_per_s": 90.0,
    "rtfx": 0.0,
    "p95_ttft_ms": 80.0,
    "mean_tpot_ms": float("nan"),
    "spec_decode_acceptance_rate": 62.5,
    "spec_decode_acceptance_length": 2.5,
}


def test_latency_rounds_are_its_iterations() -> None:
    """Each is a batch; its tokens are known, its time is told."""
    text = json.dumps({"avg_latency": 0.6, "latencies": [0.5, 0.7], "percentiles": {"50": 0.6}})
    found = bench.read_latency(text, LATENCY)

    assert [one["latency_mean_s"] for one in found.metrics] == [0.5, 0.7]
    assert found.metrics[0]["output_tokens_per_s"] == 64.0


THROUGHPUT_032 = {
    "elapsed_time": 2.0,
    "num_requests": 8,
    "total_num_tokens": 386,  # two more than asked for, by the round trip through the tokenizer
    "requests_per_second": 4.0,
    "tokens_per_second": 193.0,
}


def test_throughput_counts_prompts_too() -> None:
    """The rate of answers alone is computed: each has exactly its length."""
    [found] = bench.read_throughput(json.dumps(THROUGHPUT_032), THROUGHPUT).metrics

    assert found == {
        "request_per_s": 4.0,
        "output_tokens_per_s": 64.0,
        "total_tokens_per_s": 193.0,
        "input_tokens_per_s": 129.0,
    }


def test_throughput_of_another_workload_is_refused() -> None:
    """vLLM 0.32.0 runs 1024 and 128 tokens if it is given the flags of its forerunners."""
    other = THROUGHPUT_032 | {"total_num_tokens": 8 * (1024 + 128)}
    with pytest.raises(bench.NotMeasured, match="9,216 tokens, asked for 384"):
        bench.read_throughput(json.dumps(other), THROUGHPUT)


def test_throughput_flags_of_earlier_versions() -> None:
    """Those that do not know the flags of random prompts."""
    new, old = (
        " ".join(
            bench.throughput_command(THROUGHPUT, model="/m", flags=[], result="/r", is_old=is_old)
        )
        for is_old in (False, True)
    )

    assert "--random-input-len 32 --random-output-len 16" in new
    assert "--input-len 32 --output-len 16" in old


def test_serve_result_of_an_older_vllm() -> None:
    """Failures are what is missing, where it does not tell them."""
    found = bench.read_serve(json.dumps(SERVE_085), SERVE)

    assert (found.requests, found.failed, found.duration_s) == (10, 1, 2.0)
    assert found.metrics[0] == {
        "request_per_s": 4.5,
        "output_tokens_per_s": 80.0,
        "total_tokens_per_s": 240.0,
        "input_tokens_per_s": 144.0,
        "ttft_mean_s": 0.05,
        "ttft_p50_s": 0.04,
        "ttft_p99_s": 0.09,
    }


def test_serve_result_of_a_newer_vllm() -> None:
    """Acceptance is told in percent; what is no number is left out."""
    found = bench.read_serve(json.dumps(SERVE_032), SERVE)

    assert found.failed == 0
    assert found.metrics[0]["acceptance_rate"] == 0.625
    assert found.metrics[0]["accepted_length_tokens"] == 2.5
    assert found.metrics[0]["ttft_p95_s"] == 0.08
    assert "tpot_mean_s" not in found.metrics[0]


def test_serve_result_of_other_answers_does_not_count() -> None:
    """Shorter answers are no faster ones, and what is missing has failed."""
    short = bench.read_serve(json.dumps(SERVE_085 | {"total_output_tokens": 72}), SERVE)
    none = {"completed": 0, "failed": 0, "total_input_tokens": 0}
    empty = bench.read_serve(json.dumps(SERVE_032 | none), SERVE)

    assert short.problem == "the answers have 72 tokens, asked for 144"
    assert bench.read_serve(json.dumps(SERVE_085), SERVE).problem is None
    assert empty.failed == 10


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"latencies": [0]}', '{"duration": -1}'])
def test_what_cannot_be_is_refused(text: str) -> None:
    """No rate is made of a time that is not above 0."""
    with pytest.raises(bench.NotMeasured, match="vllm bench latency"):
        bench.read_latency(text, LATENCY)
    with pytest.raises(bench.NotMeasured, match="vllm bench throughput"):
        bench.read_throughput(text, THROUGHPUT)
    with pytest.raises(bench.NotMeasured, match="vllm bench serve"):
        bench.read_serve(text, SERVE)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("mean_ttft_ms", -3.0, "mean_ttft_ms is -3, expected 0 or more"),
        ("output_throughput", -1, "output_throughput is -1, expected 0 or more"),
        ("spec_decode_acceptance_rate", 140, "a share of 140 %, expected at most 100 %"),
        ("completed", 20, "20 requests, asked for 10: another workload"),
        ("total_input_tokens", 10240, "10,240 tokens of prompts, asked for 320: this version"),
    ],
)
def test_serve_numbers_that_cannot_be_measure_nothing(key: str, value: float, why: str) -> None:
    """A time below 0 would keep any ceiling."""
    with pytest.raises(bench.NotMeasured, match=f"vllm bench serve: {why}"):
        bench.read_serve(json.dumps(SERVE_032 | {key: value}), SERVE)


def test_serve_tells_zero_of_what_it_did_not_measure() -> None:
    """Answers of one token have no time between tokens; 0 would be the best of all."""
    told = SERVE_032 | {"mean_tpot_ms": 0.0, "p99_itl_ms": 0, "spec_decode_acceptance_rate": 0.0}
    [found] = bench.read_serve(json.dumps(told), SERVE).metrics

    assert not {"tpot_mean_s", "itl_p99_s"} & found.keys()
    assert found["acceptance_rate"] == 0.0


@pytest.mark.parametrize("requests", [1, 7, 9])
def test_throughput_of_other_requests_is_no_failure_of_the_engine(requests: int) -> None:
    """It tells how many it made; one that fails ends the command."""
    with pytest.raises(bench.NotMeasured, match=f"{requests} requests, asked for 8"):
        bench.read_throughput(json.dumps(THROUGHPUT_032 | {"num_requests": requests}), THROUGHPUT)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), True, None, "1", 10**400])
def test_latency_with_an_odd_iteration_is_refused(odd: object) -> None:
    """The others alone would be another measurement."""
    with pytest.raises(bench.NotMeasured, match="expected seconds above 0"):
        bench.read_latency(json.dumps({"latencies": [0.5, odd, 0.7]}), LATENCY)


def test_engine_flags_are_those_of_the_cell_without_the_servers() -> None:
    """`vllm bench latency` knows the engine's flags alone."""
    arguments = (
        ("enable-auto-tool-choice", True),
        ("enable-prefix-caching", False),
        ("enforce-eager", True),
        ("max-model-len", 2048),
        ("tool-call-parser", "hermes"),
    )

    assert bench.engine_flags(arguments, "bfloat16") == [
        *("--dtype", "bfloat16", "--no-enable-prefix-caching", "--enforce-eager"),
        "--max-model-len=2048",
    ]
    assert bench.engine_flags((), "auto") == []


def test_commands_name_the_workload() -> None:
    """In the flags that 0.32.0 and its forerunners have."""
    section = BenchServe(requests=7, rate_per_s=2.5, max_concurrency=3)
    serve = bench.serve_command(
        section, base_url="http://h:1", served="s", model="/m", result="/tmp/x/r.json", seed=4
    )
    latency = bench.latency_command(LATENCY, model="/m", flags=["--a"], result="/r")
    throughput = bench.throughput_command(THROUGHPUT, model="/m", flags=[], result="/r")

    assert serve[:3] == ["vllm", "bench", "serve"]
    assert " ".join(serve).endswith(
        "--result-dir /tmp/x --result-filename r.json --request-rate 2.5 --max-concurrency 3"
    )
    assert " ".join(latency) == (
        "vllm bench latency --model /m --a --input-len 32 --output-len 16 --batch-size 2 "
        "--num-iters-warmup 3 --num-iters 3 --output-json /r"
    )
    assert "--num-prompts 8" in " ".join(throughput)
