"""What a metric can come to in a question, whatever the engine: most, least, or nothing at all.

Arrivals bound what is answered, points bound a knee, deadlines bound latencies, and what an engine
is not started with is never measured. All bounds are on the safe side.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Final
from typing import Literal
from typing import NamedTuple

from hwval.cell import Cell
from hwval.load.lengths import Lengths
from hwval.performance.promise import BenchLatency
from hwval.performance.promise import BenchServe
from hwval.performance.promise import ChunkedPrefill
from hwval.performance.promise import ConcurrencySweep
from hwval.performance.promise import LoadQuestion
from hwval.performance.promise import PrefixCache
from hwval.performance.promise import Question
from hwval.performance.promise import Serving
from hwval.performance.promise.question import LATENCIES
from hwval.performance.promise.question import OF_SPECULATION
from hwval.units import format_duration_s

__all__ = ["Bound", "Deadline", "bounds_of", "deadline_of", "lengths_of"]

# The rates of rounds are an inverse gamma distribution: their mean is hardly ever so many standard
# deviations above what it is to be, unless so few arrive that chance decides.
_DEVIATIONS: Final = 5.0
_LEAST_SHAPE: Final = 10.0
# Tokenizers put one before a prompt, and some another behind it.
_SPECIAL_TOKENS: Final = 2
# Of a vLLM that reads its flags from a file nothing is known here.
_FILE: Final = "config"


class Bound(NamedTuple):
    """How far a metric goes.

    Attributes:
        metric: Its name.
        kind: ``best``: no round is better. ``worst``: every round that counts is as good, so that
            a promise of it or less means nothing. ``never``: it is not measured.
        value: In the metric's unit; NaN of what is not measured.
        because: What makes it so; of what is not measured, with what to write instead.
        key: What a matrix may raise to move it; empty for nothing.
    """

    metric: str
    kind: Literal["best", "worst", "never"]
    value: float
    because: str
    key: str = ""


class Deadline(NamedTuple):
    """What ends rounds.

    Attributes:
        key: Its name in a matrix.
        span_s: What it leaves them all, seconds.
        rounds: How many they are.
    """

    key: str
    span_s: float
    rounds: int = 1


def bounds_of(
    question: Question, point: float | None = None, cell: Cell | None = None
) -> Iterator[Bound]:
    """Yield what bounds the metrics of a question at one of its points.

    Args:
        question: A question of a matrix.
        point: The rate or concurrency of a curve; None for a question without.
        cell: How its engine is started; None where that is not known.
    """
    yield from _of_deadline(question)
    yield from _of_arrivals(question, point)
    if isinstance(question, ConcurrencySweep):
        first, last = question.at[0], question.at[-1]
        yield Bound("knee_concurrency", "best", last, f"concurrencies end at {last:g}")
        why = f"a knee is one of the concurrencies, from {first:g} on"
        yield Bound("knee_concurrency", "worst", first, why)
    if isinstance(question, PrefixCache) and question.endpoint == "completions":
        yield _of_prefix(question)
    if lengths_of(question, "output_tokens").high_tokens == 1:
        yield from _of_single_tokens(question)
    if cell is not None and cell.arg(_FILE) is None:
        yield from _of_engine(cell)


def deadline_of(question: Question) -> Deadline:
    """Return what ends a round, or the command that runs all of them."""
    if isinstance(question, LoadQuestion):
        return Deadline("round_deadline", question.round_deadline)
    timeout_s: float = question.timeout  # type: ignore[attr-defined] # vllm bench, all three
    iterations = question.iterations if isinstance(question, BenchLatency) else 1
    return Deadline("timeout", timeout_s, iterations)


def lengths_of(question: Question, name: str) -> Lengths:
    """Return ``input_tokens`` or ``output_tokens`` of a question."""
    tokens: Lengths | int = getattr(question, name)
    return Lengths(tokens, tokens) if isinstance(tokens, int) else tokens


def _of_deadline(question: Question) -> Iterator[Bound]:
    key, span_s, rounds = deadline_of(question)
    most_s = span_s / rounds
    why = f"what takes longer than {format_duration_s(most_s)} is cut off by {key}"
    if rounds > 1:  # a single one may take longer, their mean may not
        each = f"{format_duration_s(most_s)} for each of {rounds} iterations"
        why = f"{key} of {format_duration_s(span_s)} leaves {each}"
    for metric in (*LATENCIES, "latency_mean_s"):
        yield Bound(metric, "worst", most_s, why, key)


def _of_arrivals(question: Question, point: float | None) -> Iterator[Bound]:
    """Requests cannot be answered faster than they come, but for the chance in their arrivals."""
    rate_per_s, burstiness = point, 1.0
    if isinstance(question, BenchServe):
        rate_per_s = question.rate_per_s
    elif not isinstance(question, Serving):
        return
    else:
        burstiness = question.burstiness
    requests = question.requests
    # The first comes at once; the others take a time of gamma distribution, of this shape.
    shape = burstiness * (requests - 1)
    if rate_per_s is None or shape < _LEAST_SHAPE:
        return
    mean = rate_per_s * burstiness * requests / (shape - 1)
    most = mean * (1 + _DEVIATIONS / math.sqrt((shape - 2) * question.looks.first))
    why = f"{requests} requests come at {rate_per_s:g}/s, and chance is allowed for"
    for metric in ("request_per_s", "goodput_request_per_s"):
        yield Bound(metric, "best", most, why)
    longest = lengths_of(question, "output_tokens").high_tokens
    yield Bound("output_tokens_per_s", "best", most * longest, why)


def _of_prefix(question: PrefixCache) -> Bound:
    shared, shortest = question.shared_prefix_tokens, question.input_tokens.low_tokens
    most = (shared + _SPECIAL_TOKENS) / (shortest + _SPECIAL_TOKENS)
    why = f"{shared} of {shortest} input_tokens are shared"
    return Bound("prefix_cache_hit_rate", "best", most, why)


def _of_single_tokens(question: Question) -> Iterator[Bound]:
    why = "output_tokens is 1, and there is no time between tokens; raise it"
    apart = {name for name in LATENCIES if name.startswith(("tpot_", "itl_"))}
    if isinstance(question, ChunkedPrefill):
        apart.add("speedup")  # of the times between tokens
    for metric in (*sorted(apart), "decode_tokens_per_s"):
        yield Bound(metric, "never", math.nan, why)


def _of_engine(cell: Cell) -> Iterator[Bound]:
    if not any(name.startswith("speculative") for name, _ in cell.engine_args):
        for metric in sorted(OF_SPECULATION):
            why = "nothing is drafted without engine.speculative-config; set it"
            yield Bound(metric, "never", math.nan, why)
    else:
        why = "every step makes one token at least"
        yield Bound("accepted_length_tokens", "worst", 1.0, why)
        if (drafted := _drafted_tokens(cell)) is not None:
            why = f"one beside num_speculative_tokens, {drafted}"
            yield Bound("accepted_length_tokens", "best", 1.0 + drafted, why)
    if cell.arg("enable-prefix-caching") is False:
        why = "engine.enable-prefix-caching is false, and nothing is found cached; make it true"
        yield Bound("prefix_cache_hit_rate", "never", math.nan, why)


def _drafted_tokens(cell: Cell) -> int | None:
    written = cell.arg("speculative-config")
    try:
        read = json.loads(written) if isinstance(written, str) else None
    except ValueError:
        return None
    drafted = read.get("num_speculative_tokens") if isinstance(read, Mapping) else None
    return drafted if isinstance(drafted, int) and not isinstance(drafted, bool) else None
