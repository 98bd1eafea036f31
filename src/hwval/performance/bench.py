"""``vllm bench``: its commands, and its results across versions.

An alternative client, for numbers that are to be comparable with published ones. Keys of its JSON
come and go between versions, so each is optional and what is not there is left out.

Source: vllm/benchmarks/latency.py, throughput.py and serve.py of 0.32.0, and of the releases
between 0.8.0 and it for the keys that differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from hwval.cell import ArgValue
from hwval.errors import HwvalError
from hwval.performance.promise import BenchLatency
from hwval.performance.promise import BenchServe
from hwval.performance.promise import BenchThroughput

__all__ = [
    "UNKNOWN_FLAG",
    "BenchResult",
    "NotMeasured",
    "engine_flags",
    "latency_command",
    "read_latency",
    "read_serve",
    "read_throughput",
    "serve_command",
    "throughput_command",
]

UNKNOWN_FLAG: Final = "unrecognized arguments: --random-input-len"
"""What a version says that does not know the flag."""

# Flags of `vllm serve` that are its server's, not its engine's: `vllm bench latency` refuses them.
# Source: vllm/entrypoints/openai/cli_args.py of 0.32.0.
_SERVER_FLAGS: Final = frozenset(
    {
        *("allow-credentials", "allowed-headers", "allowed-methods", "allowed-origins"),
        *("api-server-count", "chat-template", "chat-template-content-format"),
        *(
            "default-chat-template-kwargs",
            "disable-fastapi-docs",
            "disable-frontend-multiprocessing",
        ),
        *("disable-uvicorn-access-log", "enable-auto-tool-choice", "enable-force-include-usage"),
        *("enable-log-outputs", "enable-log-requests", "enable-prompt-tokens-details"),
        *("enable-request-id-headers", "enable-server-load-tracking", "headless"),
        *("disable-log-requests", "log-config-file", "lora-modules", "max-log-len", "middleware"),
        *("response-role", "return-tokens-as-token-ids", "root-path", "tool-call-parser"),
        *("tool-parser-plugin", "tool-server", "trust-request-chat-template"),
        *("uvicorn-log-level", "ssl-ca-certs", "ssl-cert-reqs", "ssl-certfile", "ssl-keyfile"),
    }
)
# Prompts that are decoded and encoded again come out a few tokens longer or shorter.
_LENGTH_TOLERANCE: Final = 0.05
# Tokenizers put one before a prompt, and some another behind it.
_SPECIAL_TOKENS: Final = 2
_PERCENTILES: Final = ("50", "90", "95", "99")
_KINDS: Final = ("ttft", "tpot", "itl", "e2el")


class NotMeasured(HwvalError):  # noqa: N818 - an event, not a failure
    """The command told nothing that can be used; of the engine that says nothing."""


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What one run of the command told.

    Attributes:
        metrics: Names of ``hwval.threshold.METRICS`` -> values, one mapping a round.
        requests: Requests that were sent, None where it does not say.
        failed: Requests that failed.
        duration_s: Time that it measured, None where it does not say.
        problem: Why it does not count though nothing failed; None if it does.
    """

    metrics: tuple[Mapping[str, float], ...]
    requests: int | None = None
    failed: int = 0
    duration_s: float | None = None
    problem: str | None = None


def engine_flags(arguments: Iterable[tuple[str, ArgValue]], dtype: str) -> list[str]:
    """Return a cell's engine flags as ``vllm bench latency`` and ``throughput`` take them."""
    flags = [] if dtype == "auto" else ["--dtype", dtype]
    for name, value in arguments:
        if name in _SERVER_FLAGS:
            continue
        if isinstance(value, bool):
            flags.append(f"--{name}" if value else f"--no-{name}")
        else:
            flags += [f"--{name}={value}"]
    return flags


def latency_command(
    section: BenchLatency, *, model: str, flags: Sequence[str], result: str
) -> list[str]:
    """Return the command that writes its JSON to ``result``."""
    return [
        *("vllm", "bench", "latency", "--model", model, *flags),
        *("--input-len", str(section.input_tokens), "--output-len", str(section.output_tokens)),
        *("--batch-size", str(section.batch), "--num-iters-warmup", str(section.warm_up)),
        *("--num-iters", str(section.iterations), "--output-json", result),
    ]


def throughput_command(
    section: BenchThroughput, *, model: str, flags: Sequence[str], result: str, is_old: bool = False
) -> list[str]:
    """Return the command that writes its JSON to ``result``.

    Lengths of random prompts have flags of their own; vLLM 0.32.0 takes their defaults (1024 and
    128) whatever ``--input-len`` says, and earlier ones do not know them.

    Args:
        section: What is asked.
        model: What is loaded.
        flags: Of the engine.
        result: Path of the file.
        is_old: Whether the flags of earlier versions are used.
    """
    prefix = "" if is_old else "random-"
    return [
        *("vllm", "bench", "throughput", "--model", model, *flags),
        *("--dataset-name", "random", "--num-prompts", str(section.requests)),
        *(f"--{prefix}input-len", str(section.input_tokens)),
        *(f"--{prefix}output-len", str(section.output_tokens)),
        *("--output-json", result),
    ]


def serve_command(
    section: BenchServe, *, base_url: str, served: str, model: str, result: str, seed: int
) -> list[str]:
    """Return the command that asks a running engine and writes its JSON to ``result``.

    Args:
        section: What is asked.
        base_url: The engine, as a program beside it reaches it.
        served: Name under which it serves the model.
        model: What it loaded; its tokenizer makes the prompts.
        result: Path of the file, with a folder.
        seed: Of the prompts.
    """
    folder, _, name = result.rpartition("/")
    command = [
        *("vllm", "bench", "serve", "--backend", "openai", "--base-url", base_url),
        *("--model", model, "--served-model-name", served, "--seed", str(seed)),
        *("--dataset-name", "random", "--num-prompts", str(section.requests), "--ignore-eos"),
        *("--random-input-len", str(section.input_tokens)),
        *("--random-output-len", str(section.output_tokens)),
        *("--percentile-metrics", ",".join(_KINDS), "--metric-percentiles", ",".join(_PERCENTILES)),
        *("--save-result", "--result-dir", folder, "--result-filename", name),
    ]
    if section.rate_per_s is not None:
        command += ["--request-rate", f"{section.rate_per_s:g}"]
    if section.max_concurrency is not None:
        command += ["--max-concurrency", str(section.max_concurrency)]
    return command


def read_latency(text: str, section: BenchLatency) -> BenchResult:
    """Read the JSON of ``vllm bench latency``; each iteration is a round.

    Tokens per second are the batch's output over the time of a batch, its prefill included.

    Raises:
        NotMeasured: It is none, or its numbers cannot be.
    """
    told = _Told.read(text, "latency")
    latencies = told.numbers("latencies") or told.numbers("avg_latency")
    if not latencies or min(latencies) <= 0:
        raise told.wrong(f"latencies {latencies}, expected seconds above 0")
    tokens = section.batch * section.output_tokens
    return BenchResult(
        tuple({"latency_mean_s": one, "output_tokens_per_s": tokens / one} for one in latencies),
        requests=section.batch,
        duration_s=sum(latencies),
    )


def read_throughput(text: str, section: BenchThroughput) -> BenchResult:
    """Read the JSON of ``vllm bench throughput``.

    Its ``tokens_per_second`` counts prompts and answers together. What it prints of answers alone
    is not in the file, so it is computed; answers have exactly their length.

    Raises:
        NotMeasured: It is none, its numbers cannot be, or it ran another workload.
    """
    told = _Told.read(text, "throughput")
    elapsed_s, requests = told.number("elapsed_time"), told.number("num_requests")
    total = told.number("total_num_tokens")
    if not elapsed_s or not requests:
        raise told.wrong(f"{requests} requests in {elapsed_s} s")
    if requests != section.requests:  # those that it made; one that fails ends the command
        raise told.wrong(f"{requests:g} requests, asked for {section.requests}: another workload")
    answers_per_s = requests * section.output_tokens / elapsed_s
    found = {"request_per_s": requests / elapsed_s, "output_tokens_per_s": answers_per_s}
    if total:
        each = section.input_tokens + section.output_tokens
        told.check_tokens("tokens", total, requests, each)
        found["total_tokens_per_s"] = total / elapsed_s
        found["input_tokens_per_s"] = max(0.0, total / elapsed_s - answers_per_s)
    return BenchResult((_without_zeros(found),), section.requests, duration_s=elapsed_s)


def read_serve(text: str, section: BenchServe) -> BenchResult:
    """Read the JSON of ``vllm bench serve``; milliseconds become seconds.

    It tells 0 of what it did not measure, as of times between tokens where answers have but one.

    Raises:
        NotMeasured: It is none, its numbers cannot be, or it ran another workload.
    """
    told = _Told.read(text, "serve")
    duration_s, completed = told.number("duration"), told.number("completed")
    if not duration_s or completed is None:
        raise told.wrong(f"{completed} requests in {duration_s} s")
    if completed > section.requests:
        raise told.wrong(f"{completed:g} requests, asked for {section.requests}: another workload")
    # What it says of failures (by 0.11.2) may lack what is missing.
    failed = max(told.number("failed") or 0.0, section.requests - completed)
    tokens, asked = told.number("total_output_tokens"), completed * section.output_tokens
    problem = None
    if tokens is not None and abs(tokens - asked) > _LENGTH_TOLERANCE * asked:
        problem = f"the answers have {tokens:,.0f} tokens, asked for {asked:,.0f}"
    names = {
        "request_per_s": "request_throughput",
        "output_tokens_per_s": "output_throughput",
        "total_tokens_per_s": "total_token_throughput",
        "accepted_length_tokens": "spec_decode_acceptance_length",
    }
    found = {ours: told.number(theirs) for ours, theirs in names.items()}
    if (prompts := told.number("total_input_tokens")) is not None:
        told.check_tokens("tokens of prompts", prompts, completed, section.input_tokens)
        found["input_tokens_per_s"] = prompts / duration_s
    for kind in _KINDS:
        spreads = {"mean": f"mean_{kind}_ms", "p50": f"median_{kind}_ms"}
        spreads |= {f"p{share}": f"p{share}_{kind}_ms" for share in _PERCENTILES[1:]}
        for name, theirs in spreads.items():
            if (value_ms := told.number(theirs)) is not None:
                found[f"{kind}_{name}_s"] = value_ms / 1e3
    metrics = _without_zeros(found)
    if (rate := told.number("spec_decode_acceptance_rate")) is not None:
        metrics["acceptance_rate"] = told.share(rate)
    return BenchResult((metrics,), section.requests, round(failed), duration_s, problem)


@dataclass(frozen=True, slots=True)
class _Told:
    """The JSON of a command; whose numbers cannot be, measured nothing."""

    which: str
    data: Mapping[str, Any]

    @classmethod
    def read(cls, text: str, which: str) -> _Told:
        """Read it.

        Raises:
            NotMeasured: It is no JSON object.
        """
        try:
            # A serve result may hold NaN and Infinity, which Python reads and others refuse.
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise NotMeasured(f"vllm bench {which}: no JSON: {error}") from error
        if not isinstance(data, dict):
            raise NotMeasured(f"vllm bench {which}: {text[:80]!r}, expected an object")
        return cls(which, data)

    def wrong(self, why: str) -> NotMeasured:
        """Return the error that says so."""
        return NotMeasured(f"vllm bench {self.which}: {why}")

    def number(self, name: str) -> float | None:
        """Return a number, None where it tells none.

        Raises:
            NotMeasured: It is below 0; nothing that is told counts downwards.
        """
        found = _finite(self.data.get(name))
        if found is not None and found < 0:
            raise self.wrong(f"{name} is {found:g}, expected 0 or more")
        return found

    def numbers(self, name: str) -> list[float]:
        """Return numbers, of one alone too; none where any of them is not one."""
        values = self.data.get(name)
        found = [_finite(one) for one in (values if isinstance(values, list) else [values])]
        known = [one for one in found if one is not None]
        return known if len(known) == len(found) else []

    def share(self, percent: float) -> float:
        """Return a share that is told in percent."""
        if percent > 100:
            raise self.wrong(f"a share of {percent:g} %, expected at most 100 %")
        return percent / 100

    def check_tokens(self, what: str, found: float, requests: float, each: int) -> None:
        """Refuse a total that is not what so many requests of so many tokens have."""
        asked = requests * each
        if abs(found - asked) > max(_LENGTH_TOLERANCE * asked, _SPECIAL_TOKENS * requests):
            raise self.wrong(
                f"{found:,.0f} {what}, asked for {asked:,.0f}: this version reads its flags "
                "otherwise, and ran another workload"
            )


def _without_zeros(found: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in found.items() if value}


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number may have any number of digits
        return None
    return number if math.isfinite(number) else None
