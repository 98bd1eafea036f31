"""When requests are sent: a closed loop, an open loop at a rate, or the times of a trace.

Pure: a schedule is made of numbers and a seed, before anything is sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any
from typing import Final

from hwval.errors import UsageError

__all__ = ["CONSTANT", "Rate", "TraceRequest", "arrival_times_s", "read_trace"]

CONSTANT: Final = math.inf
"""Burstiness of arrivals at equal distances."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate of arrivals, which may rise or fall evenly and then stays.

    Attributes:
        start_per_s: Requests per second at the beginning, >= 0; above 0 where there is no ramp.
        end_per_s: Requests per second after the ramp, > 0.
        ramp_s: Seconds that the ramp takes; 0 for none.
    """

    start_per_s: float
    end_per_s: float
    ramp_s: float = 0.0

    def __post_init__(self) -> None:
        values = (self.start_per_s, self.end_per_s, self.ramp_s)
        if not all(math.isfinite(value) and value >= 0 for value in values) or not self.end_per_s:
            raise UsageError(
                f"rate from {self.start_per_s:g} to {self.end_per_s:g} requests/s in "
                f"{self.ramp_s:g} s: expected finite numbers, and an end above 0"
            )

    def time_of(self, expected: float) -> float:
        """Return when ``expected`` (>= 0) arrivals are to have happened, seconds.

        The inverse of the integral of the rate: a quadratic inside the ramp, linear after it.
        """
        slope = (self.end_per_s - self.start_per_s) / self.ramp_s if self.ramp_s else 0.0
        in_ramp = (self.start_per_s + self.end_per_s) / 2 * self.ramp_s
        if expected >= in_ramp:
            return self.ramp_s + (expected - in_ramp) / self.end_per_s
        # Written so that a slope near 0 loses no digits.
        root = math.sqrt(max(0.0, self.start_per_s**2 + 2 * slope * expected))
        return 2 * expected / (self.start_per_s + root) if expected else 0.0


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """One line of a trace.

    Attributes:
        at_s: When it is sent, seconds after the first one.
        input_tokens: Length of its prompt, >= 1.
        output_tokens: Length of its answer, >= 1.
    """

    at_s: float
    input_tokens: int
    output_tokens: int


def arrival_times_s(
    requests: int, rate: Rate, *, burstiness: float = 1.0, seed: int = 0
) -> tuple[float, ...]:
    """Return when each request is sent, seconds after the start, ascending; the first at 0.

    Args:
        requests: How many, >= 0.
        rate: Arrivals per second over time.
        burstiness: Shape of the gamma distribution of the distances: 1 is a Poisson process,
            below 1 comes in bursts, above 1 is more even, `CONSTANT` is even.
        seed: The same seed gives the same times.

    Raises:
        UsageError: Burstiness is not above 0.

    Source:
        Gamma distances with mean 1 / rate, as `vllm bench serve --burstiness` has them; rates that
        change by time rescaling of a process with rate 1.

    Example:
        >>> arrival_times_s(3, Rate(2, 2), burstiness=CONSTANT)
        (0.0, 0.5, 1.0)
    """
    if not burstiness > 0:
        raise UsageError(f"burstiness {burstiness:g}: expected a number above 0")
    totals = _unit_arrivals(requests, burstiness, seed)
    times_s = (rate.time_of(total) if total else 0.0 for total in totals)
    # Two arrivals that nearly coincide may change places in the last digit.
    return tuple(accumulate(times_s, max))


def read_trace(path: Path) -> tuple[TraceRequest, ...]:
    """Read a trace: JSON lines with time, prompt length and answer length.

    Each line has ``at_s``, ``input_tokens`` and ``output_tokens``; or, as Mooncake's traces do,
    ``timestamp`` in milliseconds, ``input_length`` and ``output_length``.

    Raises:
        UsageError: The file cannot be read, holds no request, or a line is not of that form.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    found = [
        _trace_request(f"{path}:{number}", line)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not found:
        raise UsageError(f"{path}: holds no request, expected JSON lines")
    found.sort(key=lambda request: request.at_s)
    first_s = found[0].at_s
    return tuple(
        TraceRequest(one.at_s - first_s, one.input_tokens, one.output_tokens) for one in found
    )


def _unit_arrivals(requests: int, burstiness: float, seed: int) -> Iterator[float]:
    random = Random(seed)  # noqa: S311 - arrivals are no secret
    total = 0.0
    for number in range(requests):
        yield total
        if math.isinf(burstiness):
            total = float(number + 1)  # no sum, so that rounding does not add up
        else:
            total += random.gammavariate(burstiness, 1 / burstiness)


def _trace_request(where: str, line: str) -> TraceRequest:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where}: no JSON: {error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{where}: {line[:80]!r}, expected a JSON object")
    scale, names = 1.0, ("at_s", "input_tokens", "output_tokens")
    if "timestamp" in data:
        scale, names = 1e-3, ("timestamp", "input_length", "output_length")
    at, *lengths = _numbers(where, data, names)
    if at < 0 or not math.isfinite(at) or any(one < 1 or one % 1 for one in lengths):
        raise UsageError(f"{where}: expected a time >= 0 and whole lengths >= 1")
    return TraceRequest(at * scale, *map(int, lengths))


def _numbers(where: str, data: dict[str, Any], names: Iterable[str]) -> list[float]:
    values = [data.get(name) for name in names]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in values):
        raise UsageError(
            f"{where}: expected numbers under at_s, input_tokens, output_tokens (or timestamp in "
            "milliseconds, input_length, output_length)"
        )
    return [float(one) for one in values if one is not None]
