"""Runs a command of ``vllm bench``, and tells apart why one measured nothing.

An engine that died or refused is the product's failure. A command that was not ready in time, does
not take its own arguments or left no result says nothing of the engine's speed.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Final

from hwval.clock import Stopwatch
from hwval.diagnosis import Circumstances
from hwval.diagnosis import diagnose
from hwval.diagnosis.finding import LAB_FAMILY
from hwval.diagnosis.rules import Kind
from hwval.diagnosis.rules import load_rules
from hwval.engine.base import Completed
from hwval.engine.base import Workbench
from hwval.errors import EngineError
from hwval.errors import HostError
from hwval.errors import HwvalError
from hwval.performance.bench import NotMeasured

__all__ = ["NoSuchBench", "run_bench"]

_FILE_S: Final = 60.0
# `timeout` ends what it runs with the first, and what does not go with the second.
_LATE: Final = 124
_KILLED: Final = 137
# What the client says of a server that refuses or is gone: vllm/benchmarks/serve.py of 0.8 to 0.32
# sends one request first, and aiohttp names what became of a connection.
_REFUSED: Final = re.compile(
    r"Initial test run failed|All requests failed|aiohttp\.client_exceptions\."
)
# A segmentation fault, an abort, an unknown instruction, an arithmetic error: 128 more than the
# signal, or its negative number.
_CRASHES: Final = frozenset({139, 134, 132, 136, -11, -6, -4, -8})


class NoSuchBench(HwvalError):  # noqa: N818 - an event, not a failure
    """The command has no meaning for this image or this model."""


def run_bench(
    place: Workbench,
    command: Callable[[str], list[str]],
    timeout_s: float,
    *,
    has_engine: bool,
    keep: Callable[[str, str], None],
) -> str:
    """Run a command that writes a file, and return what it wrote.

    Args:
        place: Where it runs.
        command: Makes the words of the command from the path of the file.
        timeout_s: Its longest time, seconds > 0.
        has_engine: Whether the command starts an engine of its own, whose end is the engine's.
        keep: Takes what it is called and what it printed.

    Raises:
        NoSuchBench: The image does not have it, or it cannot work with the model.
        NotMeasured: It measured nothing, by no fault of the engine.
        EngineError: The engine died or refused.
        LabError: It could not be started, or the machine is at fault.
    """
    result = f"/tmp/hwval-bench-{secrets.token_hex(6)}.json"  # noqa: S108 - the name is random
    words = command(result)
    what, watch = " ".join(words[:3]), Stopwatch()
    done = place.run_beside(words, timeout_s)
    is_late = done.exit_code == _LATE or (
        done.exit_code == _KILLED and watch.elapsed_s >= timeout_s
    )
    keep(what, done.output)
    try:
        if is_late:
            raise NotMeasured(f"{what}: no result in {timeout_s:g} s: {_last_line(done)}")
        _check(done, what, has_engine=has_engine)
        told = place.run_beside(["cat", result], _FILE_S)
    finally:
        place.run_beside(["rm", "-f", result], _FILE_S)
    if told.exit_code:
        raise NotMeasured(f"{what}: it left no result: {_last_line(told)}")
    return told.output


def _check(done: Completed, what: str, *, has_engine: bool) -> None:
    """Raise what a failed command means."""
    if not done.exit_code:
        return
    if why := _why_not_here(done, what):
        raise NoSuchBench(why)
    seen = f"{what}: exit status {done.exit_code}: {_last_line(done)}"
    if has_engine:
        _check_engine(done, seen)
    elif _REFUSED.search(done.output):
        raise EngineError(seen)
    raise NotMeasured(seen)


def _check_engine(done: Completed, seen: str) -> None:
    """Raise what became of the command's own engine, by the rules for any engine's log."""
    known = Circumstances(exit_code=done.exit_code, failed=True)
    found = diagnose(done.output.splitlines(), known)
    if found.family == LAB_FAMILY:
        raise HostError(f"{seen}: {found.cause}: {found.summary}")
    if found.family not in {None, "none", "usage"}:
        raise EngineError(f"{seen}: {found.cause}: {found.summary}")
    book = load_rules()
    hits = (hit for line in done.output.splitlines() for hit in book.hits(line))
    has_died = any(hit.kind is Kind.DEATH for hit in hits)
    if found.family != "usage" and (has_died or done.exit_code in _CRASHES):
        raise EngineError(seen)


def _why_not_here(done: Completed, what: str) -> str:
    """Return why the command does not apply to this cell, empty if it does."""
    if done.exit_code == 127 or "invalid choice: 'bench'" in done.output:
        return "this image has no `vllm bench`"
    if what.endswith("latency") and "is out of vocabulary" in done.output:
        # vllm/benchmarks/latency.py draws token ids up to 10,000, whatever the model.
        return "`vllm bench latency` draws token ids that the model's vocabulary does not have"
    return ""


def _last_line(done: Completed) -> str:
    """Return what a command said of its failure: its last line with an error, or its last."""
    lines = [line.strip() for line in done.output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it printed nothing"])[-1][:300]
