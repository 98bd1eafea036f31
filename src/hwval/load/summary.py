"""What a load came to: latencies, rates, goodput, failures by kind, and whether to believe it.

Absent is absent: where nothing was measured there is None, never 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from math import inf
from typing import Any
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwval.load.failure import Failure
from hwval.load.health import Health
from hwval.load.run import LoadRun
from hwval.load.sample import Sample
from hwval.units import format_count

__all__ = ["Client", "Distribution", "Goals", "Summary", "summarise"]

# Timers of the loop are exact to a millisecond, and any kernel takes another to wake a process.
_LEAST_LAG_S: Final = 0.003
_LAG_SHARE: Final = 0.05
_MOST_CPU_SHARE: Final = 0.9
_MOST_STARVED_SHARE: Final = 0.1
_TAIL_SAMPLES: Final = 100


@dataclass(frozen=True, slots=True)
class Distribution:
    """Mean and percentiles, seconds.

    Source: linear interpolation between order statistics (type 7 of Hyndman and Fan 1996, numpy's
    default), as `vllm bench serve` has it.
    """

    mean: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, slots=True)
class Goals:
    """What a request must keep to count as good; None is no goal.

    Attributes:
        ttft_s: Longest time to the first output, seconds > 0.
        tpot_s: Longest time per token after the first, seconds > 0.
        e2el_s: Longest time to the last output, seconds > 0.
        share: How many of the requests must be good, 0 to 1.
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2el_s: float | None = None
    share: float = 0.99

    @property
    def limits_s(self) -> Mapping[str, float]:
        """The goals that were set, by name."""
        named = {"ttft_s": self.ttft_s, "tpot_s": self.tpot_s, "e2el_s": self.e2el_s}
        return {name: limit for name, limit in named.items() if limit is not None}

    def are_met(self, sample: Sample) -> bool:
        """Return whether a request is good; one that failed never is."""
        if sample.failure is not None:
            return False
        values = {"ttft_s": sample.ttft_s, "tpot_s": sample.tpot_s, "e2el_s": sample.e2el_s}
        return all((values[name] or 0.0) <= limit for name, limit in self.limits_s.items())

    def are_open(self, sample: Sample) -> bool:
        """Return whether the run ended before a request had kept or missed them."""
        failure = sample.failure
        if failure is None or not failure.is_cut:
            return False
        if not sample.sent_ns:
            return True
        lasted_s = (sample.ended_ns - sample.sent_ns) / 1e9
        ttft_s = sample.ttft_s if sample.token_ns else lasted_s
        return ttft_s <= (self.ttft_s or inf) and lasted_s <= (self.e2el_s or inf)


@dataclass(frozen=True, slots=True)
class Client:
    """How one process of the generator fared.

    Attributes:
        cpu_share: Part of one core that it used, 0 to 1.
        starved_share: Part of the time that it waited for a core, None where nobody tells.
        loop_lag_p95_s: How late its event loop came to a timer, seconds.
        loop_lag_p99_s: Likewise.
        loop_lag_max_s: The worst of it.
        peak_memory_bytes: Most memory that it had until the last answer.
        late_connections: Connections that were opened while the clock ran.
        resent_requests: Requests that met a connection which the server had just closed.
    """

    cpu_share: float
    starved_share: float | None
    loop_lag_p95_s: float | None
    loop_lag_p99_s: float | None
    loop_lag_max_s: float | None
    peak_memory_bytes: int
    late_connections: int
    resent_requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A load in numbers: base units, as ``hwval load --json`` names them.

    Attributes:
        requests: All that were to be sent.
        failed: Those whose answers do not count; none of their tokens or times is in any number.
        unfinished: Those that the run's own end cut off, likewise in no number.
        unsent: Those that it came before.
        ended_by: What ended the run early, in words; None if it came to its end.
        duration_s: From the first request sent to the last answer's end; None if none was sent.
        output_tokens: Tokens of all good answers.
        input_tokens: Tokens of their prompts as the server counted them, None if it did not.
        output_tokens_per_s: Over ``duration_s``.
        request_per_s: Good answers over ``duration_s``.
        ttft_s: Sending to first output.
        itl_s: Between two events with output.
        tpot_s: Per token after the first, a request's mean.
        e2el_s: Sending to last output.
        output_tokens_from: Who counted: ``usage`` (the server), ``events``, or ``mixed``.
        tokens_per_event: Tokens in an event on average; above 1, ITL is not per token.
        failures: How many by kind, most frequent first.
        failure_examples: What was seen first, by kind.
        stopped_early: Good answers that ended before their full length by themselves.
        goals: Limits by name, seconds; empty for none.
        goal_share: Part of the requests that has to keep them; None without limits.
        good_share: Part of the requests that kept them, of all but those that the run's end left
            undecided; None without limits, or if all were.
        goodput_request_per_s: Requests that kept them over ``duration_s``; None without limits.
        send_lag_p99_s: How late requests of an open loop were sent; None in a closed loop.
        concurrency_bound: Whether requests of an open loop were late because as many as are allowed
            were in flight.
        concurrency_bound_reason: Which ones and how late, in words; empty if none were.
        client_bound: Whether the generator itself was the limit, so that times are its own.
        client_bound_reasons: Why, in words.
        clients: How each of its processes fared.
        loop: Event loop that it ran on.
        notes: What a reader of the numbers has to know.
    """

    requests: int
    failed: int
    duration_s: float | None
    output_tokens: int
    input_tokens: int | None
    output_tokens_per_s: float | None
    request_per_s: float | None
    ttft_s: Distribution | None
    itl_s: Distribution | None
    tpot_s: Distribution | None
    e2el_s: Distribution | None
    output_tokens_from: str | None
    tokens_per_event: float | None
    failures: Mapping[str, int]
    failure_examples: Mapping[str, str]
    stopped_early: int
    goals: Mapping[str, float]
    goal_share: float | None
    good_share: float | None
    goodput_request_per_s: float | None
    send_lag_p99_s: float | None
    client_bound: bool
    client_bound_reasons: tuple[str, ...]
    clients: tuple[Client, ...]
    loop: str
    notes: tuple[str, ...]
    unfinished: int = 0
    unsent: int = 0
    ended_by: str | None = None
    concurrency_bound: bool = False
    concurrency_bound_reason: str = ""

    @property
    def answered(self) -> int:
        """Requests whose answers count."""
        return self.requests - self.failed - self.unfinished - self.unsent

    @property
    def missed_goals(self) -> bool:
        """Whether fewer requests were good than had to be."""
        if self.good_share is None or self.goal_share is None:
            return False
        return self.good_share < self.goal_share

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints; absent numbers are None."""
        return asdict(self)


def summarise(run: LoadRun, goals: Goals | None = None) -> Summary:
    """Make numbers of samples.

    Args:
        run: What was measured.
        goals: What a good request keeps; None for no goals.
    """
    goals = goals or Goals()
    good = [sample for sample in run.samples if sample.failure is None]
    sent = [sample for sample in run.samples if sample.sent_ns]
    cut = [one for one in run.samples if one.failure is not None and one.failure.is_cut]
    duration_s = _duration_s(sent)
    tokens = sum(sample.output_tokens for sample in good)
    events = sum(len(sample.token_ns) for sample in good)
    ttft_s = _distribution([sample.ttft_s for sample in good])
    clients = tuple(_client(health) for health in run.healths)
    held_back, reasons = _bounds(run, clients, ttft_s)
    kept = sum(goals.are_met(sample) for sample in run.samples)
    decided = len(run.samples) - sum(goals.are_open(sample) for sample in cut)
    has_goals = bool(goals.limits_s)
    per_event = tokens / events if events else None
    return Summary(
        requests=len(run.samples),
        failed=len(run.samples) - len(good) - len(cut),
        unfinished=sum(bool(one.sent_ns) for one in cut),
        unsent=sum(not one.sent_ns for one in cut),
        ended_by=next((one.failure.detail for one in cut if one.failure), None),
        duration_s=duration_s,
        output_tokens=tokens,
        input_tokens=_input_tokens(good),
        output_tokens_per_s=_rate(tokens, duration_s),
        request_per_s=_rate(len(good), duration_s),
        ttft_s=ttft_s,
        itl_s=_distribution(_gaps_s(good)),
        tpot_s=_distribution([one for sample in good if (one := sample.tpot_s) is not None]),
        e2el_s=_distribution([sample.e2el_s for sample in good]),
        output_tokens_from=_counted_by(good),
        tokens_per_event=per_event,
        failures=dict(Counter(each.name for each in _failures(run.samples)).most_common()),
        failure_examples=_examples(run.samples),
        stopped_early=_stopped_early(good),
        goals=goals.limits_s,
        goal_share=goals.share if has_goals else None,
        good_share=kept / decided if has_goals and decided else None,
        goodput_request_per_s=_rate(kept, duration_s) if has_goals else None,
        send_lag_p99_s=_send_lag_p99_s(sent),
        concurrency_bound=bool(held_back),
        concurrency_bound_reason=held_back,
        client_bound=bool(reasons),
        client_bound_reasons=reasons,
        clients=clients,
        loop=run.loop,
        notes=(
            *_notes_on_answers(good, per_event),
            *_notes_on_end(cut, len(good)),
            *_notes_on_way(run.warmups, clients),
        ),
    )


def _duration_s(sent: Sequence[Sample]) -> float | None:
    if not sent:
        return None
    return (max(one.ended_ns for one in sent) - min(one.sent_ns for one in sent)) / 1e9


def _rate(count: int, duration_s: float | None) -> float | None:
    return count / duration_s if duration_s else None


def _distribution(values_s: Sequence[float] | NDArray[np.float64]) -> Distribution | None:
    if len(values_s) == 0:
        return None
    p50, p90, p99 = np.percentile(values_s, (50, 90, 99))
    return Distribution(float(np.mean(values_s)), float(p50), float(p90), float(p99))


def _gaps_s(samples: Iterable[Sample]) -> NDArray[np.float64]:
    gaps = [np.diff(np.frombuffer(sample.token_ns, dtype=np.int64)) for sample in samples]
    return np.concatenate(gaps).astype(np.float64) / 1e9 if gaps else np.empty(0)


def _input_tokens(samples: Sequence[Sample]) -> int | None:
    counts = [sample.input_tokens for sample in samples]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _counted_by(samples: Sequence[Sample]) -> str | None:
    found = {sample.is_counted for sample in samples}
    if len(found) > 1:
        return "mixed"
    return ("usage" if found.pop() else "events") if found else None


def _stopped_early(samples: Iterable[Sample]) -> int:
    return sum(sample.finish_reason == "stop" for sample in samples)


def _failures(samples: Iterable[Sample]) -> Iterable[Failure]:
    found = (sample.failure for sample in samples)
    return (failure for failure in found if failure is not None and not failure.is_cut)


def _examples(samples: Iterable[Sample]) -> dict[str, str]:
    found: dict[str, str] = {}
    for failure in _failures(samples):
        found.setdefault(failure.name, failure.detail)
    return found


def _send_lag_p99_s(sent: Sequence[Sample]) -> float | None:
    lags = [(one.sent_ns - one.due_ns) / 1e9 for one in sent if one.due_ns is not None]
    return float(np.percentile(lags, 99)) if lags else None


def _client(health: Health) -> Client:
    lags_s = np.frombuffer(health.lags_ns, dtype=np.int64) / 1e9
    wall_s = max(health.wall_s, 1e-9)
    return Client(
        cpu_share=health.cpu_s / wall_s,
        starved_share=None if health.starved_s is None else health.starved_s / wall_s,
        loop_lag_p95_s=float(np.percentile(lags_s, 95)) if len(lags_s) else None,
        loop_lag_p99_s=float(np.percentile(lags_s, 99)) if len(lags_s) else None,
        loop_lag_max_s=float(lags_s.max()) if len(lags_s) else None,
        peak_memory_bytes=health.peak_memory_bytes,
        late_connections=health.late_connections,
        resent_requests=health.resent_requests,
    )


def _bounds(
    run: LoadRun, clients: Sequence[Client], ttft_s: Distribution | None
) -> tuple[str, tuple[str, ...]]:
    """Return why arrivals were not those of the plan by its own limit, and by the generator."""
    most_s = max(_LEAST_LAG_S, _LAG_SHARE * ttft_s.p99 if ttft_s else 0.0)
    sent = [sample for sample in run.samples if sample.sent_ns]
    held = [sample for sample in sent if sample.is_held]
    reasons = [*_reasons(clients, most_s)]
    free_s = _send_lag_p99_s([sample for sample in sent if not sample.is_held])
    if free_s is not None and free_s > most_s:
        reasons.append(f"requests were sent up to {free_s * 1e3:.1f} ms late (p99)")
    held_s, all_s = _send_lag_p99_s(held), _send_lag_p99_s(sent)
    if held_s is None or all_s is None or all_s <= most_s:
        return "", tuple(reasons)
    late = f"{len(held):,} of {len(sent):,} requests were sent up to {held_s * 1e3:.1f} ms late"
    if run.concurrency is None:
        reasons.append(f"{late} (p99): all connections of the generator were in use")
        return "", tuple(reasons)
    held_back = f"{late} (p99), since {run.concurrency:,} were in flight already (--concurrency)"
    return held_back, tuple(reasons)


def _reasons(clients: Sequence[Client], most_s: float) -> Iterable[str]:
    for number, client in enumerate(clients, 1):
        who = f"process {number} of {len(clients)}"
        if client.cpu_share > _MOST_CPU_SHARE:
            yield f"{who} used {client.cpu_share:.0%} of its core; use more processes"
        # What happens in 1 % of the time hardly moves the p99 of what happens at any time.
        if client.loop_lag_p95_s is not None and client.loop_lag_p95_s > most_s:
            late_ms, most_ms = _told_apart(client.loop_lag_p95_s * 1e3, most_s * 1e3)
            late = f"up to {late_ms} ms late (p95), more than {most_ms} ms"
            yield f"{who} looked at its sockets {late}"
        if (client.starved_share or 0.0) > _MOST_STARVED_SHARE:
            yield f"{who} waited for a core in {client.starved_share:.0%} of the time"


def _told_apart(more: float, less: float) -> tuple[str, str]:
    """Return two numbers, > 0 and different, with as many digits as tell them apart."""
    digits = next((n for n in range(1, 6) if f"{more:.{n}f}" != f"{less:.{n}f}"), 6)
    return f"{more:.{digits}f}", f"{less:.{digits}f}"


def _notes_on_answers(good: Sequence[Sample], per_event: float | None) -> Iterable[str]:
    if 0 < len(good) < _TAIL_SAMPLES:
        yield f"p99 of {format_count(len(good), 'request')} is close to their maximum"
    if _counted_by(good) in {"events", "mixed"}:
        yield "the server did not count tokens (no usage); events were counted in their place"
    if per_event is not None and per_event > 1.05:
        yield f"events hold {per_event:.2f} tokens on average; ITL is between events"
    if stopped := _stopped_early(good):
        yield f"{format_count(stopped, 'answer')} ended before the full length"


def _notes_on_end(cut: Sequence[Sample], answered: int) -> Iterable[str]:
    unfinished = sum(bool(sample.sent_ns) for sample in cut)
    if unfinished and answered:
        many = format_count(unfinished, "request")
        yield f"{many} ran when the run ended; latencies lack the longest ones"


def _notes_on_way(warmups: Sequence[Sample], clients: Sequence[Client]) -> Iterable[str]:
    if resent := sum(client.resent_requests for client in clients):
        many = format_count(resent, "request")
        yield f"{many} met a connection that the server had closed, and went out again"
    if failed := sum(one.failure is not None for one in warmups):
        yield f"{failed} of {format_count(len(warmups), 'warm-up request')} failed"
