"""`hwval load`: the load generator by itself, against any OpenAI-compatible server."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from math import inf
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any
from typing import Final

import typer

from hwval.cli.common import AsJson
from hwval.cli.common import console
from hwval.errors import ResponseError
from hwval.errors import UsageError

if TYPE_CHECKING:
    from hwval.engine.base import Endpoint
    from hwval.load import Goals
    from hwval.load import Limits
    from hwval.load import LoadPlan
    from hwval.load import LoadRun
    from hwval.load import Progress
    from hwval.load import Summary
    from hwval.load.lengths import Lengths
    from hwval.load.schedule import Rate

__all__ = ["load"]

_AUTO: Final = "auto"
_CONCURRENCY: Final = 8
_FEWEST_REQUESTS: Final = 32
_REQUESTS_PER_STREAM: Final = 4
_LENGTH: Final = "128"
_GOAL_SHARE: Final = 0.99
_MOST_REQUESTS: Final = 1_000_000
"""Each is written before the clock starts, and its recording is kept until the end."""
_MOST_TOKENS: Final = 10_000_000
"""No model reads or writes more at once."""
_PROCESSES_PER_CORE: Final = 4
_SEED_BITS: Final = 32
_INTERRUPTED: Final = 130
"""As shells have it: 128 and the number of SIGINT."""

_SENT: Final = "What is sent"
_WHEN: Final = "When it is sent"
_ENDS: Final = "When it is given up"
_ANSWERED: Final = "What is answered"
_JUDGED: Final = "What a good answer is"
_MADE: Final = "How it is done"


class Endpoints(StrEnum):
    """The APIs that can be asked."""

    COMPLETIONS = "completions"
    CHAT = "chat"


def load(
    url: Annotated[str, typer.Argument(metavar="URL", help="Base URL, with or without /v1.")],
    *,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="M", help="Served model. Default: the only one."),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option("--api-key-env", metavar="NAME", help="Variable that holds the API key."),
    ] = None,
    as_json: AsJson = False,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency", metavar="N", rich_help_panel=_WHEN,
            help="Closed loop: requests at a time, default 8. With --rate or --trace: at most "
            "so many.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", metavar="R", rich_help_panel=_WHEN, help="Open loop: requests per second."
        ),
    ] = None,
    burstiness: Annotated[
        float | None,
        typer.Option(
            "--burstiness", metavar="B", rich_help_panel=_WHEN,
            help="Of --rate. 1: Poisson (default); below: bursts; inf: even distances.",
        ),
    ] = None,
    ramp: Annotated[
        str | None,
        typer.Option(
            "--ramp", metavar="TIME", rich_help_panel=_WHEN,
            help="Reach --rate evenly in this time.",
        ),
    ] = None,
    ramp_from: Annotated[
        float | None,
        typer.Option(
            "--ramp-from", metavar="R", rich_help_panel=_WHEN,
            help="Rate at which --ramp begins. Default: 0.",
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace", metavar="FILE", rich_help_panel=_WHEN,
            help="Open loop by recorded times and lengths: JSON lines.",
        ),
    ] = None,
    warmup: Annotated[
        int,
        typer.Option(
            "--warmup", metavar="N", show_default=False,
            rich_help_panel=_WHEN, help="Requests before that do not count. Default: 3.",
        ),
    ] = 3,
    requests: Annotated[
        int | None,
        typer.Option(
            "--requests", metavar="N", rich_help_panel=_SENT,
            help=f"How many. Default: 4 for each stream, 32 at least. Most: {_MOST_REQUESTS:,}.",
        ),
    ] = None,
    input_tokens: Annotated[
        str | None,
        typer.Option(
            "--input-tokens", metavar="LEN", rich_help_panel=_SENT,
            help="Prompt length: N, A..B (uniform) or N~S (normal, deviation S). Default: 128.",
        ),
    ] = None,
    output_tokens: Annotated[
        str | None,
        typer.Option(
            "--output-tokens", metavar="LEN", rich_help_panel=_ANSWERED,
            help="Answer length, as --input-tokens. Default: 128.",
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            "--tokenizer", metavar="PATH", rich_help_panel=_SENT,
            help="Model's folder or tokenizer.json: exact prompt lengths.",
        ),
    ] = None,
    shared_prefix_tokens: Annotated[
        int,
        typer.Option(
            "--shared-prefix-tokens", metavar="N", show_default=False,
            rich_help_panel=_SENT, help="Beginning that prompts share.",
        ),
    ] = 0,
    prefixes: Annotated[
        int | None,
        typer.Option(
            "--prefixes", metavar="N", rich_help_panel=_SENT,
            help="How many different such beginnings. Default: 1.",
        ),
    ] = None,
    endpoint: Annotated[
        Endpoints,
        typer.Option(
            "--endpoint", metavar="API", show_default=False, rich_help_panel=_SENT,
            help="completions (default) or chat.",
        ),
    ] = Endpoints.COMPLETIONS,
    ignore_eos: Annotated[
        bool,
        typer.Option(
            "--ignore-eos/--stop-at-eos", show_default=False, rich_help_panel=_ANSWERED,
            help="Answers of full length (default), or until the model ends them.",
        ),
    ] = True,
    body: Annotated[
        str | None,
        typer.Option(
            "--body", metavar="JSON", rich_help_panel=_SENT,
            help="Further fields; null takes one out.",
        ),
    ] = None,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            "--slo", metavar="NAME=TIME", rich_help_panel=_JUDGED,
            help="Goal of a request: ttft=500ms, tpot=40ms, e2el=20s; may be repeated.",
        ),
    ] = None,
    slo_share: Annotated[
        float | None,
        typer.Option(
            "--slo-share", metavar="PART", rich_help_panel=_JUDGED,
            help="How many requests must keep all goals, 0 to 1. Default: 0.99.",
        ),
    ] = None,
    timeout: Annotated[
        str,
        typer.Option(
            "--timeout", metavar="TIME", show_default=False, rich_help_panel=_ENDS,
            help="Longest time for a request. Default: 10 min.",
        ),
    ] = "10 min",
    stall: Annotated[
        str,
        typer.Option(
            "--stall", metavar="TIME", show_default=False, rich_help_panel=_ENDS,
            help="Longest silence within a stream. Default: 60 s.",
        ),
    ] = "60 s",
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline", metavar="TIME", rich_help_panel=_ENDS,
            help="End the run then, with what it has.",
        ),
    ] = None,
    processes: Annotated[
        str,
        typer.Option(
            "--processes", metavar="N", show_default=False, rich_help_panel=_MADE,
            help="Processes of the generator. Default: auto, as the load needs.",
        ),
    ] = _AUTO,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", rich_help_panel=_MADE,
            help="Same prompts and times again. Default: drawn, and told.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Load a server and measure TTFT, ITL, TPOT, latency and throughput."""
    from hwval.load import LoadPlan
    from hwval.load import Target
    from hwval.load import summarise
    from hwval.load.schedule import read_trace
    from hwval.load.workload import Workload

    _check_together(
        {
            "--requests": requests,
            "--input-tokens": input_tokens,
            "--output-tokens": output_tokens,
            "--burstiness": burstiness,
            "--ramp": ramp,
            "--ramp-from": ramp_from,
            "--prefixes": prefixes,
            "--slo-share": slo_share,
        },
        {
            "--trace": trace,
            "--rate": rate,
            "--ramp": ramp,
            "--shared-prefix-tokens": shared_prefix_tokens or None,
            "--slo": slo or None,
        },
    )
    for name, number, least, most in (
        ("--concurrency", concurrency, 1, _MOST_REQUESTS),
        ("--requests", requests, 1, _MOST_REQUESTS),
        ("--warmup", warmup, 0, _MOST_REQUESTS),
        ("--prefixes", prefixes, 1, _MOST_REQUESTS),
        ("--shared-prefix-tokens", shared_prefix_tokens, 0, _MOST_TOKENS),
        ("--slo-share", slo_share, 0, 1),
    ):
        if number is not None and not least <= number <= most:
            raise UsageError(f"{name} {number:,}: expected {least} to {most:,}")
    goals = _goals(slo or [], _GOAL_SHARE if slo_share is None else slo_share)
    recorded = read_trace(trace) if trace else None
    arrivals = _rate(rate, ramp_from or 0.0, ramp)
    is_open = recorded is not None or arrivals is not None
    streams = concurrency if is_open else concurrency or _CONCURRENCY
    peak_per_s = rate if recorded is None else len(recorded) / max(1.0, recorded[-1].at_s)
    many = _processes(processes, streams, peak_per_s)
    limits = _limits(timeout, stall, deadline)
    seed = SystemRandom().getrandbits(_SEED_BITS) if seed is None else seed
    extra = _body(body)
    workload = Workload(
        requests=requests
        or min(_MOST_REQUESTS, max(_FEWEST_REQUESTS, _REQUESTS_PER_STREAM * (streams or 0))),
        input_tokens=_lengths("--input-tokens", input_tokens),
        output_tokens=_lengths("--output-tokens", output_tokens),
        rate=arrivals,
        burstiness=_burstiness(burstiness),
        trace=recorded,
        prefix_tokens=shared_prefix_tokens,
        prefixes=prefixes or 1,
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
    run, is_interrupted = _run(LoadPlan(target, made.asks, made.warmups, streams, limits, many))
    summary = summarise(run, goals)
    settings = {
        "url": target.base_url,
        "model": target.model,
        "endpoint": endpoint.value,
        "loop": "open" if is_open else "closed",
        "concurrency": streams,
        "rate_per_s": rate,
        "input_tokens": None if recorded else input_tokens or _LENGTH,
        "output_tokens": None if recorded else output_tokens or _LENGTH,
        "warmups": warmup,
        "processes": len(summary.clients),
        "seed": seed,
        "tls": target.uses_tls,
        "approximate_prompt_lengths": not made.is_exact,
    }
    _print(summary, settings, server, as_json=as_json)
    if is_interrupted:
        raise typer.Exit(_INTERRUPTED)
    raise typer.Exit(1 if summary.failed or summary.missed_goals or not summary.answered else 0)


def _run(plan: LoadPlan) -> tuple[LoadRun, bool]:
    """Return what was measured, and whether Ctrl-C ended it."""
    from hwval.load import LoadInterrupted
    from hwval.load import run_load

    try:
        with _progress() as tell:
            return run_load(plan, tell), False
    except LoadInterrupted as interrupt:
        return interrupt.run, True
    except KeyboardInterrupt:
        typer.echo("hwval: interrupted before anything was measured", err=True)
        raise typer.Exit(_INTERRUPTED) from None


_NEEDED: Final = {
    "--burstiness": "--rate",
    "--ramp": "--rate",
    "--ramp-from": "--ramp",
    "--prefixes": "--shared-prefix-tokens",
    "--slo-share": "--slo",
}
_OF_A_TRACE: Final = ("--requests", "--input-tokens", "--output-tokens")


def _check_together(given: Mapping[str, object], partners: Mapping[str, object]) -> None:
    """Refuse what would do nothing: an option without the one that it changes, or beside a trace.

    Raises:
        UsageError: With both names.
    """
    if partners["--trace"] is not None:
        if partners["--rate"] is not None:
            raise UsageError("--rate and --trace: a trace has its own times; name one of them")
        for name in _OF_A_TRACE:
            if given[name] is not None:
                raise UsageError(f"{name} and --trace: a trace has its own; leave out {name}")
    for name, partner in _NEEDED.items():
        if given[name] is not None and partners[partner] is None:
            raise UsageError(f"{name}: does nothing without {partner}; expected {partner} too")


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
    most = _PROCESSES_PER_CORE * len(os.sched_getaffinity(0))
    if not text.isdecimal() or not 1 <= int(text[:9]) <= most:
        raise UsageError(f"--processes {text!r}: expected 1 to {most} on this machine, or {_AUTO}")
    return int(text)


def _lengths(option: str, text: str | None) -> Lengths:
    from hwval.load.lengths import parse_lengths

    try:
        found = parse_lengths(text or _LENGTH)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error
    # The tail of a normal distribution is cut; what a person wrote is its middle.
    longest = found.high_tokens if found.spread_tokens is None else (found.high_tokens + 1) // 2
    if max(longest, found.spread_tokens or 0) > _MOST_TOKENS:
        raise UsageError(f"{option} {text!r}: expected {_MOST_TOKENS:,} tokens at most")
    return found


def _burstiness(value: float | None) -> float:
    if value is not None and not value > 0:
        raise UsageError(f"--burstiness {value:g}: expected a number above 0")
    return 1.0 if value is None else value


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

    try:
        offered = [model.id for model in list_models(server)]
    except ResponseError as error:
        if not any(f"status {status}" in str(error) for status in (401, 403)):
            raise
        hint = "is the key right?" if server.api_key else "does it want one?"
        raise ResponseError(f"{error}; --api-key-env names the key's variable: {hint}") from error
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
        return None
    for name, value, is_right in (
        ("--rate", rate, 0 < rate < inf),
        ("--ramp-from", start, 0 <= start < inf),
    ):
        if not is_right:
            least = "a finite number above 0" if name == "--rate" else "a finite number from 0 on"
            raise UsageError(f"{name} {value:g}: expected {least}, requests per second")
    return Rate(rate, rate) if ramp is None else Rate(start, rate, _seconds("--ramp", ramp))


def _goals(texts: list[str], share: float) -> Goals:
    from hwval.load import Goals

    limits: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in {"ttft", "tpot", "e2el"}:
            raise UsageError(f"--slo {text!r}: expected ttft, tpot or e2el, as in ttft=500ms")
        limits[f"{name}_s"] = _seconds(f"--slo {text!r}", value)
    return Goals(share=share, **limits)


def _seconds(option: str, text: str) -> float:
    from hwval.units import parse_duration_s

    try:
        found = parse_duration_s(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if not 0 < found < inf:
        raise UsageError(f"{option}: {text!r} is no time above 0")
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
