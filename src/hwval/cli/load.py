"""`hwval load`: the load generator by itself, against any OpenAI-compatible server."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any
from typing import Final

import typer

from hwval.cli.common import AsJson
from hwval.cli.common import console
from hwval.errors import UsageError

if TYPE_CHECKING:
    from hwval.engine.base import Endpoint
    from hwval.load import Goals
    from hwval.load import Limits
    from hwval.load import Progress
    from hwval.load import Summary
    from hwval.load.schedule import Rate

__all__ = ["load"]

_AUTO: Final = "auto"
_CONCURRENCY: Final = 8
_FEWEST_REQUESTS: Final = 32
_REQUESTS_PER_STREAM: Final = 4
_SEED_BITS: Final = 32


class Endpoints(StrEnum):
    """The APIs that can be asked."""

    COMPLETIONS = "completions"
    CHAT = "chat"


_LENGTH_HELP: Final = "N, A..B (uniform) or N~S (normal, deviation S)."


def load(
    url: Annotated[str, typer.Argument(metavar="URL", help="Base URL, with or without /v1.")],
    *,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="M", help="Served model. Default: the only one."),
    ] = None,
    endpoint: Annotated[
        Endpoints, typer.Option("--endpoint", help="Which API.")
    ] = Endpoints.COMPLETIONS,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            min=1,
            help="Requests at a time (closed loop, default 8); with --rate, at most so many.",
        ),
    ] = None,
    requests: Annotated[
        int | None,
        typer.Option("--requests", min=1, help="How many. Default: 4 for each stream, from 32 on."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="R", help="Open loop at R requests per second."),
    ] = None,
    burstiness: Annotated[
        float,
        typer.Option("--burstiness", help="1: Poisson; below: bursts; inf: even distances."),
    ] = 1.0,
    ramp_from: Annotated[
        float, typer.Option("--ramp-from", metavar="R", help="Rate at which --ramp begins.")
    ] = 0.0,
    ramp: Annotated[
        str | None,
        typer.Option("--ramp", metavar="TIME", help="Reach --rate evenly in this time."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="Times and lengths: JSON lines."),
    ] = None,
    input_tokens: Annotated[
        str, typer.Option("--input-tokens", help=f"Prompt length: {_LENGTH_HELP}")
    ] = "128",
    output_tokens: Annotated[
        str, typer.Option("--output-tokens", help=f"Answer length: {_LENGTH_HELP}")
    ] = "128",
    shared_prefix_tokens: Annotated[
        int, typer.Option("--shared-prefix-tokens", min=0, help="Beginning that prompts share.")
    ] = 0,
    prefixes: Annotated[
        int, typer.Option("--prefixes", min=1, help="How many different beginnings.")
    ] = 1,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            "--tokenizer", metavar="PATH", help="Model's folder or tokenizer.json: exact lengths."
        ),
    ] = None,
    warmup: Annotated[
        int, typer.Option("--warmup", min=0, help="Requests before that do not count.")
    ] = 3,
    ignore_eos: Annotated[
        bool,
        typer.Option("--ignore-eos/--stop-at-eos", help="Whether answers have full length."),
    ] = True,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            "--slo", metavar="NAME=TIME", help="Goal of a request, as ttft=500ms; also tpot, e2el."
        ),
    ] = None,
    slo_share: Annotated[
        float,
        typer.Option("--slo-share", min=0, max=1, help="How many requests must keep the goals."),
    ] = 0.99,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="Longest time for a request.")
    ] = "10 min",
    stall: Annotated[
        str, typer.Option("--stall", metavar="TIME", help="Longest silence within a stream.")
    ] = "60 s",
    deadline: Annotated[
        str | None,
        typer.Option("--deadline", metavar="TIME", help="End the run then, with what it has."),
    ] = None,
    processes: Annotated[
        str, typer.Option("--processes", metavar="N|auto", help="Processes of the generator.")
    ] = _AUTO,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Same prompts and times again. Default: drawn, and told."),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option("--api-key-env", metavar="NAME", help="Variable that holds the API key."),
    ] = None,
    body: Annotated[
        str | None,
        typer.Option("--body", metavar="JSON", help="Further fields; null takes one out."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Load a server and measure TTFT, ITL, TPOT, latency and throughput."""
    from hwval.load import LoadPlan
    from hwval.load import Target
    from hwval.load import run_load
    from hwval.load import summarise
    from hwval.load.lengths import parse_lengths
    from hwval.load.schedule import read_trace
    from hwval.load.workload import Workload

    goals = _goals(slo or [], slo_share)
    recorded = read_trace(trace) if trace else None
    arrivals = _rate(rate, ramp_from, ramp)
    is_open = recorded is not None or arrivals is not None
    if recorded is not None and arrivals is not None:
        raise UsageError("--rate and --trace: a trace has its own times; name one of them")
    streams = concurrency if is_open else concurrency or _CONCURRENCY
    peak_per_s = rate if recorded is None else len(recorded) / max(1.0, recorded[-1].at_s)
    many = _processes(processes, streams, peak_per_s)
    limits = _limits(timeout, stall, deadline)
    seed = SystemRandom().getrandbits(_SEED_BITS) if seed is None else seed
    extra = _body(body)
    workload = Workload(
        requests=requests or max(_FEWEST_REQUESTS, _REQUESTS_PER_STREAM * (streams or 0)),
        input_tokens=parse_lengths(input_tokens),
        output_tokens=parse_lengths(output_tokens),
        rate=arrivals,
        burstiness=burstiness,
        trace=recorded,
        prefix_tokens=shared_prefix_tokens,
        prefixes=prefixes,
        warmups=warmup,
        kind=endpoint.value,
        tokenizer=tokenizer,
        seed=seed,
    )
    server = _server(url, api_key_env)
    target = Target(
        base_url=server.base_url,
        model=_model(server, model),
        kind=endpoint.value,
        ignore_eos=ignore_eos,
        extra=extra,
        api_key=server.api_key,
    )
    made = workload.make()
    plan = LoadPlan(target, made.asks, made.warmups, streams, limits, many)
    with _progress() as tell:
        summary = summarise(run_load(plan, tell), goals)
    settings = {
        "url": target.base_url,
        "model": target.model,
        "endpoint": endpoint.value,
        "loop": "open" if is_open else "closed",
        "concurrency": streams,
        "rate_per_s": rate,
        "input_tokens": None if recorded else input_tokens,
        "output_tokens": None if recorded else output_tokens,
        "warmups": warmup,
        "processes": len(summary.clients),
        "seed": seed,
        "tls": target.uses_tls,
        "approximate_prompt_lengths": not made.is_exact,
    }
    _print(summary, settings, server, as_json=as_json)
    raise typer.Exit(1 if summary.failed or summary.missed_goals else 0)


def _print(summary: Summary, settings: dict[str, Any], server: Endpoint, *, as_json: bool) -> None:
    from hwval.redaction import Redactor

    # Servers repeat what they were given, keys too.
    redactor = Redactor((server.api_key,))
    said = summary.failure_examples.items()
    summary = replace(summary, failure_examples={kind: redactor.text(text) for kind, text in said})
    if as_json:
        approximate = settings.pop("approximate_prompt_lengths")
        report = summary.to_json() | {"approximate_prompt_lengths": approximate}
        report["settings"] = settings
        typer.echo(json.dumps(report, ensure_ascii=False, allow_nan=False, indent=2))
    else:
        from hwval.cli.loadtable import print_load

        print_load(console(), summary, settings)


def _processes(text: str, streams: int | None, rate_per_s: float | None) -> int:
    from hwval.load import processes_for

    if text == _AUTO:
        return processes_for(streams, rate_per_s)
    if not text.isdecimal() or not int(text):
        raise UsageError(f"--processes {text!r}: expected a number from 1 on, or {_AUTO}")
    return int(text)


def _limits(timeout: str, stall: str, deadline: str | None) -> Limits:
    from hwval.load import Limits

    return Limits(
        request_s=_seconds("--timeout", timeout),
        stall_s=_seconds("--stall", stall),
        run_s=_seconds("--deadline", deadline) if deadline else None,
    )


def _server(url: str, api_key_variable: str | None) -> Endpoint:
    from hwval.engine.external import ExternalEngine

    server = ExternalEngine(url, api_key_variable=api_key_variable).endpoint()
    if api_key_variable and not server.api_key:
        raise UsageError(f"--api-key-env {api_key_variable}: no such variable, or it is empty")
    return server


def _model(server: Endpoint, wanted: str | None) -> str:
    from hwval.client import list_models

    offered = [model.id for model in list_models(server)]
    if wanted is None and len(offered) == 1:
        return offered[0]
    if wanted not in offered:
        asked = "no --model" if wanted is None else f"--model {wanted!r}"
        listed = ", ".join(map(repr, offered)) or "none"
        raise UsageError(f"{asked} for {server.base_url}: it serves {listed}; name one of these")
    return wanted


def _rate(rate: float | None, start: float, ramp: str | None) -> Rate | None:
    from hwval.load.schedule import Rate

    if rate is None:
        if ramp is not None or start:
            raise UsageError("--ramp and --ramp-from: expected --rate, where the ramp ends")
        return None
    if ramp is None:
        return Rate(rate, rate)
    return Rate(start, rate, _seconds("--ramp", ramp))


def _goals(texts: list[str], share: float) -> Goals:
    from hwval.load import Goals

    limits: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in {"ttft", "tpot", "e2el"}:
            raise UsageError(f"--slo {text!r}: expected ttft, tpot or e2el, as in ttft=500ms")
        limits[f"{name}_s"] = _seconds(f"--slo {name}", value)
    return Goals(share=share, **limits)


def _seconds(option: str, text: str) -> float:
    from hwval.units import parse_duration_s

    try:
        found = parse_duration_s(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if not found:
        raise UsageError(f"{option} {text!r}: expected more than 0")
    return found


def _body(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--body: no JSON: {error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"--body {text!r}: expected a JSON object")
    return data


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None] | None]:
    """Show progress on a terminal; nothing elsewhere, since the answer is soon there."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn
    from rich.progress import MofNCompleteColumn
    from rich.progress import Progress as Bars
    from rich.progress import TextColumn
    from rich.progress import TimeElapsedColumn
    from rich.progress import TimeRemainingColumn

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
    )
    with bars:
        task = bars.add_task("connecting", total=None, failed=0)

        def tell(news: Progress) -> None:
            if bars.tasks[0].description != news.stage:
                bars.reset(task, description=news.stage, total=news.total, failed=0)
            bars.update(task, completed=news.ended, failed=news.failed)

        yield tell
