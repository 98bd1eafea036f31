"""What the load generator saw, as metrics; and why a load does not count.

Nothing that failed is fast: a load with failed requests says nothing of speed, and the same holds
where the generator itself was the limit or another program was asked too.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from math import floor

from hwval.load import LoadPlan
from hwval.load import LoadRun
from hwval.load import Summary
from hwval.load.failure import Failure
from hwval.load.failure import FailureKind
from hwval.load.sample import Sample
from hwval.units import format_count
from hwval.units import format_duration_s

__all__ = [
    "came_at_once",
    "client_bound",
    "client_numbers",
    "cut_short",
    "disagreements",
    "fault_of",
    "fell_silent_s",
    "own_failures",
    "silence",
    "why_invalid",
]

# Counters are read a moment before and after; aborts and warm-ups of others are more.
_COUNT_TOLERANCE = 0.01
# Servers differ in whether they count special tokens.
_PROMPT_TOLERANCE = 0.05
_TTFT_TOLERANCE = 0.2
_TTFT_SLACK_S = 0.02
_KINDS = ("ttft", "itl", "tpot", "e2el")
# So much of a load's time, and so many times its longest wait before, is no slow engine's silence.
_SILENT_SHARE = 0.5
_SILENT_TIMES = 10
# How the kernel says that this host has no more files, ports or memory: EMFILE, ENFILE,
# EADDRNOTAVAIL, ENOBUFS, ENOMEM.
_NO_ROOM = re.compile(r"\[Errno (24|23|99|105|12)\]")


def client_numbers(run: LoadRun, summary: Summary) -> dict[str, float]:
    """Return the metrics of one load by their names in ``hwval.threshold.METRICS``.

    ``prefill_tokens_per_s`` and ``decode_tokens_per_s`` are those of single requests: prompt tokens
    over time to first token, and tokens after the first over the time since; where requests run
    at the same time, they are what one of them gets.

    Args:
        run: What was measured.
        summary: What it came to.
    """
    good = [sample for sample in run.samples if sample.failure is None]
    found: dict[str, float | None] = {
        "output_tokens_per_s": summary.output_tokens_per_s,
        "request_per_s": summary.request_per_s,
        "goodput_request_per_s": summary.goodput_request_per_s,
        "good_share": summary.good_share,
        "decode_tokens_per_s": _decode(good),
        "prefill_tokens_per_s": _prefill(good),
    }
    if summary.input_tokens is not None and summary.duration_s:
        total = summary.input_tokens + summary.output_tokens
        found["input_tokens_per_s"] = summary.input_tokens / summary.duration_s
        found["total_tokens_per_s"] = total / summary.duration_s
    for kind in _KINDS:
        spread = getattr(summary, f"{kind}_s")
        for name in ("mean", "p50", "p90", "p99") if spread is not None else ():
            found[f"{kind}_{name}_s"] = getattr(spread, name)
    for kind, values in _values_s(good).items():
        if values:
            found[f"{kind}_p95_s"] = _quantile(sorted(values), 0.95)
    return {name: value for name, value in found.items() if value is not None}


def own_failures(run: LoadRun) -> list[Failure]:
    """Return the failures that are the generator's own limits, of which no server knows."""
    failures = (one.failure for one in run.samples if one.failure is not None)
    return [one for one in failures if _is_own(one)]


def fault_of(summary: Summary, own: Sequence[Failure] = ()) -> str | None:
    """Return what the server did wrong, in words with counts; None if nothing.

    Args:
        summary: What the client saw.
        own: Failures among it that are not the server's.
    """
    if summary.failed <= len(own):
        return None
    kinds = ", ".join(
        f"{format_count(count, 'time')} {kind} ({summary.failure_examples.get(kind, 'no detail')})"
        for kind, count in summary.failures.items()
    )
    return f"{summary.failed} of {format_count(summary.requests, 'request')} failed: {kinds}"


def why_invalid(
    summary: Summary,
    engine: Mapping[str, float],
    throttled: Sequence[str],
    own: Sequence[Failure] = (),
    overlong: Sequence[Failure] = (),
) -> Iterator[str]:
    """Yield why a load does not count, each reason in words.

    Args:
        summary: What the client saw.
        engine: What the engine said of the same time; see ``engine_numbers``.
        throttled: Devices that ran slower against their will.
        own: Failures that are the generator's.
        overlong: Failures of requests that may have been too long for the engine.
    """
    if fault := fault_of(summary, (*own, *overlong)):
        yield fault
    if overlong:
        yield (
            f"{format_count(len(overlong), 'request')} too long for the engine's context "
            f"({overlong[0].detail}): lower input_tokens or output_tokens"
        )
    if own:
        first = f"{own[0].name} ({own[0].detail})"
        many = format_count(len(own), "request")
        yield f"{many} met a limit of the generator or of this host: {first}"
    if summary.ended_by:
        open_ones, all_ = summary.unfinished + summary.unsent, summary.requests
        yield f"{open_ones} of {format_count(all_, 'request')} cut off: {summary.ended_by}"
    if summary.answered and summary.output_tokens_from != "usage":
        yield "the server does not count tokens (no usage), so that rates would be guesses"
    if summary.stopped_early:
        stopped = format_count(summary.stopped_early, "answer")
        yield f"{stopped} ended before the length that was asked for"
    if preempted := round(engine.get("preemptions", 0.0)):
        times = format_count(preempted, "time")
        yield f"the engine preempted requests {times}: its KV cache is too small for them"
    for device in throttled:
        yield f"throttled: {device}"
    yield from _foreign_tokens(summary, engine)


def cut_short(run: LoadRun, plan: LoadPlan) -> Iterator[str]:
    """Yield that less work was done than asked for: less read, or less written.

    A server may read only the end of a prompt. An engine that gives a request up may end its stream
    as if nothing were, with a reason of its own (``abort``).

    Args:
        run: What was measured.
        plan: What was asked for.
    """
    short = [
        one.finish_reason or "none told"
        for one in run.samples
        if one.failure is None
        and one.finish_reason != "stop"
        and one.output_tokens < plan.asks[one.index].output_tokens
    ]
    if short:
        reasons = ", ".join(sorted(set(short)))
        yield f"{format_count(len(short), 'answer')} cut short (finish_reason: {reasons})"
    unread = [
        (one.input_tokens, wanted)
        for one in run.samples
        if one.failure is None
        and one.input_tokens is not None
        and (wanted := plan.asks[one.index].input_tokens) is not None
        and one.input_tokens < wanted * (1 - _PROMPT_TOLERANCE)
    ]
    if unread:
        read, wanted = unread[0]
        many = format_count(len(unread), "prompt")
        yield f"{many} not read whole: {read:,} of {wanted:,} tokens counted"


def client_bound(summary: Summary) -> str | None:
    """Return why the generator itself was the limit, None if it was not."""
    if not summary.client_bound:
        return None
    return f"client-bound: {'; '.join(summary.client_bound_reasons)}"


def came_at_once(client: Mapping[str, float]) -> bool:
    """Return whether answers took no time: a generator without a core reads them whole.

    Only times between single tokens may be 0, of tokens that were sent together.

    Args:
        client: Metrics of the load.
    """
    spreads = (f"{kind}_{name}_s" for kind in ("ttft", "tpot", "e2el") for name in ("p50", "mean"))
    return any(client.get(name) == 0 for name in spreads)


def fell_silent_s(run: LoadRun) -> float | None:
    """Return how long an engine had sent nothing when the run ended; None if it may be slow.

    All requests that the end cut off had begun to be answered, and no token of any request came in
    half of the run's time, ten times as long as anybody had waited for one before. A deadline that
    is too short for an engine cuts it off while it sends.

    Args:
        run: What was measured.
    """
    cut = [one for one in run.samples if one.sent_ns and one.failure and one.failure.is_cut]
    if not cut or not all(one.token_ns for one in cut):
        return None
    begun = [one for one in run.samples if one.sent_ns and one.token_ns]
    began_ns, ended_ns = min(one.sent_ns for one in begun), max(one.ended_ns for one in cut)
    silent_ns = ended_ns - max(one.token_ns[-1] for one in begun)
    waited_ns = max(
        later - earlier
        for one in begun
        for earlier, later in pairwise((one.sent_ns, *one.token_ns))
    )
    least_ns = max(_SILENT_SHARE * (ended_ns - began_ns), _SILENT_TIMES * waited_ns)
    return silent_ns / 1e9 if silent_ns > least_ns else None


def silence(run: LoadRun) -> Iterator[str]:
    """Yield that the engine hangs, where the end of a load shows it."""
    if (silent_s := fell_silent_s(run)) is not None:
        yield f"answers began, and nothing came in the last {format_duration_s(silent_s)}"


def disagreements(summary: Summary, engine: Mapping[str, float]) -> Iterator[str]:
    """Yield where client and engine tell different things of the same load, for people."""
    theirs, ours = engine.get("ttft_mean_s"), summary.ttft_s
    if theirs is None or ours is None:
        return
    if abs(ours.mean - theirs) > max(_TTFT_SLACK_S, _TTFT_TOLERANCE * theirs):
        yield (
            f"mean TTFT is {ours.mean * 1e3:.1f} ms for the client and {theirs * 1e3:.1f} ms for "
            "the engine: the difference passes before the engine sees a request, or behind it"
        )


def _is_own(failure: Failure) -> bool:
    if failure.kind is FailureKind.CONNECT:
        return _NO_ROOM.search(failure.detail) is not None
    return failure.kind is FailureKind.MEMORY


def _foreign_tokens(summary: Summary, engine: Mapping[str, float]) -> Iterator[str]:
    counted = engine.get("generation_tokens")
    if counted is None or summary.failed or summary.ended_by or not summary.output_tokens:
        return
    if abs(counted - summary.output_tokens) > max(1.0, _COUNT_TOLERANCE * summary.output_tokens):
        yield (
            f"the engine generated {counted:,.0f} tokens meanwhile, its answers had "
            f"{summary.output_tokens:,}: somebody else asks it too, or one of both counts wrongly"
        )


def _decode(good: Sequence[Sample]) -> float | None:
    rates = [1 / one.tpot_s for one in good if one.tpot_s]
    return statistics.harmonic_mean(rates) if rates else None


def _prefill(good: Sequence[Sample]) -> float | None:
    tokens = [one.input_tokens for one in good]
    waited_s = sum(one.ttft_s for one in good)
    known = [one for one in tokens if one is not None]
    return sum(known) / waited_s if waited_s and len(known) == len(good) else None


def _values_s(good: Sequence[Sample]) -> dict[str, list[float]]:
    return {
        "ttft": [one.ttft_s for one in good],
        "tpot": [one.tpot_s for one in good if one.tpot_s is not None],
        "itl": [
            (later - earlier) / 1e9
            for one in good
            for earlier, later in zip(one.token_ns, one.token_ns[1:], strict=False)
        ],
        "e2el": [one.e2el_s for one in good],
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return a percentile by linear interpolation, as ``hwval.load`` has its own."""
    place = share * (len(ordered) - 1)
    low, high = floor(place), ceil(place)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
