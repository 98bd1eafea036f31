"""`hwval load`: the load generator by itself, against any OpenAI-compatible server."""

from __future__ import annotations

import json
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
from hwval.cli.loadoptions import AUTO
from hwval.cli.loadoptions import DEFAULT_LENGTH
from hwval.cli.loadoptions import MOST_REQUESTS
from hwval.cli.loadoptions import check_options
from hwval.cli.loadoptions import read_body
from hwval.cli.loadoptions import read_burstiness
from hwval.cli.loadoptions import read_goals
from hwval.cli.loadoptions import read_lengths
from hwval.cli.loadoptions import read_limits
from hwval.cli.loadoptions import read_processes
from hwval.cli.loadoptions import read_rate
from hwval.cli.loadoptions import served_model
from hwval.cli.loadoptions import server_of
from hwval.cli.loadprogress import load_progress
from hwval.errors import UsageError
from hwval.units import format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwval.client import ServedModel
    from hwval.engine.base import Endpoint
    from hwval.load import Ask
    from hwval.load import Limits
    from hwval.load import LoadPlan
    from hwval.load import LoadRun
    from hwval.load import Summary
    from hwval.load import Target
    from hwval.load.room import Room
    from hwval.load.sample import Sample
    from hwval.load.workload import Workload

__all__ = ["load"]

_CONCURRENCY: Final = 8
_FEWEST_REQUESTS: Final = 32
_REQUESTS_PER_STREAM: Final = 4
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
            help=f"How many. Default: 4 for each stream, 32 at least. Most: {MOST_REQUESTS:,}.",
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
    ] = AUTO,
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

    check_options(
        {
            "--concurrency": concurrency,
            "--requests": requests,
            "--warmup": warmup,
            "--input-tokens": input_tokens,
            "--output-tokens": output_tokens,
            "--trace": trace,
            "--rate": rate,
            "--burstiness": burstiness,
            "--ramp": ramp,
            "--ramp-from": ramp_from,
            "--shared-prefix-tokens": shared_prefix_tokens or None,
            "--prefixes": prefixes,
            "--slo": slo or None,
            "--slo-share": slo_share,
        }
    )
    goals = read_goals(slo or [], slo_share)
    recorded = read_trace(trace) if trace else None
    arrivals = read_rate(rate, ramp_from or 0.0, ramp)
    is_open = recorded is not None or arrivals is not None
    streams = concurrency if is_open else concurrency or _CONCURRENCY
    peak_per_s = rate if recorded is None else len(recorded) / max(1.0, recorded[-1].at_s)
    number = requests or _requests_for(streams) if recorded is None else len(recorded)
    many = read_processes(processes, streams, peak_per_s, number)
    limits = read_limits(timeout, stall, deadline)
    seed = SystemRandom().getrandbits(_SEED_BITS) if seed is None else seed
    extra = read_body(body)
    workload = Workload(
        requests=number,
        input_tokens=read_lengths("--input-tokens", input_tokens),
        output_tokens=read_lengths("--output-tokens", output_tokens),
        rate=arrivals,
        burstiness=read_burstiness(burstiness),
        trace=recorded,
        prefix_tokens=shared_prefix_tokens,
        prefixes=prefixes or 1,
        warmups=warmup,
        kind=endpoint.value,
        tokenizer=tokenizer,
        seed=seed,
    )
    server = server_of(url, api_key_env)
    served = served_model(server, model)
    target = Target(
        base_url=server.base_url,
        model=served.id,
        kind=endpoint.value,
        ignore_eos=ignore_eos,
        extra=extra,
        api_key=server.api_key,
    )
    made = replace(workload, room=_room(target, served, workload, limits)).make()
    run, is_interrupted = _run(LoadPlan(target, made.asks, made.warmups, streams, limits, many))
    summary = summarise(run, goals)
    settings = {
        "url": target.base_url,
        "model": target.model,
        "endpoint": endpoint.value,
        "loop": "open" if is_open else "closed",
        "concurrency": streams,
        "rate_per_s": rate,
        "input_tokens": None if recorded else input_tokens or DEFAULT_LENGTH,
        "output_tokens": None if recorded else output_tokens or DEFAULT_LENGTH,
        "warmups": warmup,
        "processes": len(summary.clients),
        "seed": seed,
        "tls": target.uses_tls,
        "approximate_prompt_lengths": not made.is_exact,
    }
    _print(summary, settings, server, as_json=as_json)
    if is_interrupted:
        raise typer.Exit(_INTERRUPTED)
    _refuse_overlong(run, made.asks, served)
    raise typer.Exit(1 if summary.failed or summary.missed_goals or not summary.answered else 0)


def _room(target: Target, served: ServedModel, workload: Workload, limits: Limits) -> Room:
    """Return what the server has room for; where requests come close to it, it is asked first."""
    from hwval.load import LoadPlan
    from hwval.load.room import Room

    def send(asks: Sequence[Ask]) -> Sequence[Sample]:
        run, is_interrupted = _run(LoadPlan(target, tuple(asks), concurrency=1, limits=limits))
        if is_interrupted:
            raise typer.Exit(_INTERRUPTED)
        return run.samples

    return Room(served.max_context_tokens).learned(
        workload.longest_tokens, kind=workload.kind, tokenizer=workload.tokenizer, send=send
    )


def _refuse_overlong(run: LoadRun, asks: Sequence[Ask], served: ServedModel) -> None:
    """Refuse what was asked for if the server had no room for it: that is no failure of its own."""
    from hwval.load.room import beyond_context

    context_tokens = served.max_context_tokens
    if found := list(beyond_context(run.samples, asks, context_tokens)):
        size = "of unknown length" if context_tokens is None else f"of {context_tokens:,} tokens"
        raise UsageError(
            f"--input-tokens and --output-tokens: {format_count(len(found), 'request')} too long "
            f"for the server's context {size}; ask for shorter ones, or give --tokenizer"
        )


def _run(plan: LoadPlan) -> tuple[LoadRun, bool]:
    """Return what was measured, and whether Ctrl-C ended it."""
    from hwval.load import LoadInterrupted
    from hwval.load import run_load

    try:
        with load_progress() as tell:
            return run_load(plan, tell), False
    except LoadInterrupted as interrupt:
        return interrupt.run, True
    except KeyboardInterrupt:
        typer.echo("hwval: interrupted before anything was measured", err=True)
        raise typer.Exit(_INTERRUPTED) from None


def _requests_for(streams: int | None) -> int:
    """Return how many requests are sent where nobody says: a few for each stream."""
    return min(MOST_REQUESTS, max(_FEWEST_REQUESTS, _REQUESTS_PER_STREAM * (streams or 0)))


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
