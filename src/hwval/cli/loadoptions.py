"""Reads what the options of `hwval load` say, and refuses what cannot be meant.

Raises `UsageError` with the option's name: the caller's words, in one line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING
from typing import Any
from typing import Final

from hwval.errors import ResponseError
from hwval.errors import UsageError
from hwval.units import format_count

if TYPE_CHECKING:
    from hwval.client import ServedModel
    from hwval.engine.base import Endpoint
    from hwval.load import Goals
    from hwval.load import Limits
    from hwval.load.lengths import Lengths
    from hwval.load.schedule import Rate

__all__ = [
    "AUTO",
    "DEFAULT_LENGTH",
    "MOST_REQUESTS",
    "check_options",
    "read_body",
    "read_burstiness",
    "read_goals",
    "read_lengths",
    "read_limits",
    "read_processes",
    "read_rate",
    "served_model",
    "server_of",
]

AUTO: Final = "auto"
DEFAULT_LENGTH: Final = "128"
MOST_REQUESTS: Final = 1_000_000
"""Each is written before the clock starts, and its recording is kept until the end."""
_MOST_TOKENS: Final = 10_000_000
"""No model reads or writes more at once."""
_GOAL_SHARE: Final = 0.99
_PROCESSES_PER_CORE: Final = 4
_NEEDED: Final = {
    "--burstiness": "--rate",
    "--ramp": "--rate",
    "--ramp-from": "--ramp",
    "--prefixes": "--shared-prefix-tokens",
    "--slo-share": "--slo",
}
_RANGES: Final = {
    "--concurrency": (1, MOST_REQUESTS),
    "--requests": (1, MOST_REQUESTS),
    "--warmup": (0, MOST_REQUESTS),
    "--prefixes": (1, MOST_REQUESTS),
    "--shared-prefix-tokens": (0, _MOST_TOKENS),
    "--slo-share": (0, 1),
}
_OF_OTHERS: Final = {
    "model": "--model says it",
    "max_tokens": "--output-tokens says it",
    "ignore_eos": "--ignore-eos or --stop-at-eos says it",
    "prompt": "prompts are made; --input-tokens says how long",
    "messages": "they are made; --input-tokens says how long",
    "stream": "answers are always streamed, since they are timed",
    "n": "each request has one answer",
}
"""Fields of a body that are not to be given, and why."""
_OF_A_TRACE: Final = ("--requests", "--input-tokens", "--output-tokens")


def check_options(given: Mapping[str, Any]) -> None:
    """Refuse numbers out of range, and what would do nothing: an option without its partner.

    Args:
        given: Values by the option's name; None was not given.

    Raises:
        UsageError: With the names.
    """
    if given["--trace"] is not None:
        if given["--rate"] is not None:
            raise UsageError("--rate and --trace: a trace has its own times; name one of them")
        for name in _OF_A_TRACE:
            if given[name] is not None:
                raise UsageError(f"{name} and --trace: a trace has its own; leave out {name}")
    for name, partner in _NEEDED.items():
        if given[name] is not None and given[partner] is None:
            raise UsageError(f"{name}: does nothing without {partner}; expected {partner} too")
    for name, (least, most) in _RANGES.items():
        number = given[name]
        if number is not None and not least <= number <= most:
            raise UsageError(f"{name} {number:,}: expected {least} to {most:,}")


def read_processes(text: str, streams: int | None, rate_per_s: float | None, requests: int) -> int:
    """Return how many processes are to work, as many as the load needs with ``auto``."""
    from hwval.load import processes_for

    if text == AUTO:
        return processes_for(streams, rate_per_s)
    most = _PROCESSES_PER_CORE * len(os.sched_getaffinity(0))
    if not text.isdecimal() or not 1 <= int(text[:9]) <= most:
        raise UsageError(f"--processes {text!r}: expected 1 to {most} on this machine, or {AUTO}")
    most = min(streams or requests, requests)
    if int(text) > most:
        raise UsageError(
            f"--processes {text}: {format_count(most, 'request')} at a time keep no more than "
            f"{most} busy; expected {most} at most, or {AUTO}"
        )
    return int(text)


def read_lengths(option: str, text: str | None) -> Lengths:
    """Return the lengths that ``--input-tokens`` or ``--output-tokens`` describes, in tokens."""
    from hwval.load.lengths import parse_lengths

    try:
        found = parse_lengths(text or DEFAULT_LENGTH)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error
    # Of a normal distribution, what a person wrote is the middle.
    longest = found.high_tokens if found.spread_tokens is None else (found.high_tokens + 1) // 2
    if longest > _MOST_TOKENS:
        raise UsageError(f"{option} {text!r}: expected {_MOST_TOKENS:,} tokens at most")
    return found


def read_burstiness(value: float | None) -> float:
    """Return the burstiness of an open loop, 1 where none was given."""
    if value is not None and not value > 0:
        raise UsageError(f"--burstiness {value:g}: expected a number above 0")
    return 1.0 if value is None else value


def read_limits(timeout: str, stall: str, deadline: str | None) -> Limits:
    """Return when to give up."""
    from hwval.load import Limits

    return Limits(
        request_s=_seconds("--timeout", timeout),
        stall_s=_seconds("--stall", stall),
        run_s=_seconds("--deadline", deadline) if deadline else None,
    )


def server_of(url: str, api_key_variable: str | None) -> Endpoint:
    """Return the server of a URL, with the key of the variable that was named."""
    from hwval.engine.external import ExternalEngine

    server = ExternalEngine(url, api_key_variable=api_key_variable).endpoint()
    if api_key_variable and not server.api_key:
        raise UsageError(f"--api-key-env {api_key_variable}: no such variable, or it is empty")
    return server


def served_model(server: Endpoint, wanted: str | None) -> ServedModel:
    """Return the model to ask for: the one that was named, or the only one that is served."""
    from hwval.client import list_models

    try:
        offered = {model.id: model for model in list_models(server)}
    except ResponseError as error:
        if not any(f"status {status}" in str(error) for status in (401, 403)):
            raise
        hint = "is the key right?" if server.api_key else "does it want one?"
        raise ResponseError(f"{error}; --api-key-env names the key's variable: {hint}") from error
    if wanted is None and len(offered) == 1:
        return next(iter(offered.values()))
    if wanted is None or wanted not in offered:
        asked = "no --model" if wanted is None else f"--model {wanted!r}"
        listed = ", ".join(map(repr, offered)) or "none"
        raise UsageError(f"{asked} for {server.base_url}: it serves {listed}; name one of these")
    return offered[wanted]


def read_rate(rate: float | None, start: float, ramp: str | None) -> Rate | None:
    """Return the rate of an open loop, None for a closed one."""
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


def read_goals(texts: list[str], share: float | None) -> Goals:
    """Return what a good request keeps."""
    from hwval.load import Goals

    limits: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in {"ttft", "tpot", "e2el"}:
            raise UsageError(f"--slo {text!r}: expected ttft, tpot or e2el, as in ttft=500ms")
        if f"{name}_s" in limits:
            raise UsageError(f"--slo {text!r}: {name} has a goal already; name one of them")
        limits[f"{name}_s"] = _seconds(f"--slo {text!r}", value)
    return Goals(share=_GOAL_SHARE if share is None else share, **limits)


def read_body(text: str | None) -> dict[str, Any]:
    """Return further fields of each request's body."""
    if text is None:
        return {}
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--body: no JSON: {error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"--body {text!r}: expected a JSON object")
    for name, instead in _OF_OTHERS.items():
        if data.get(name) is not None:
            # An answer of another length would be called the server's mistake.
            raise UsageError(f"--body: {name}: {instead}")
    return data


def _seconds(option: str, text: str) -> float:
    from hwval.units import parse_duration_s

    try:
        found = parse_duration_s(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if not 0 < found < inf:
        raise UsageError(f"{option}: {text!r} is no time above 0")
    return found
