"""Reads how a start-up went from vLLM's log: phases, sizes, and what it is doing now.

Pure, and for any version: what a log does not say is absent, never zero. Whole seconds come from
the time stamps, fractions from vLLM's own "took N seconds" where both agree.

Source: log calls of vLLM 0.6.0 to 0.33.0, in ``v1/engine/core.py``, ``v1/worker/*``,
``v1/core/kv_cache_utils.py``, ``compilation/monitor.py``, ``model_executor/model_loader/*``,
``entrypoints/openai/api_server.py``, and in ``worker/model_runner.py`` before 0.9; of Infinity
0.0.77, in ``infinity_server.py`` and ``inference/select_model.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Final
from typing import NamedTuple

__all__ = ["Startup", "current_phase", "is_complete", "read_startup", "split_lines"]

_GIB: Final = 2**30
_DAY_S: Final = 86400.0
# Time stamps have no fractions: a duration that vLLM measured may differ by that much.
_STAMP_RESOLUTION_S: Final = 1.0
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
_STAMP: Final = re.compile(
    r"\b(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+(?:\d{4}-)?\d\d-\d\d "
    r"(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?"
)
_READY: Final = re.compile(r"Application startup complete|Uvicorn running on")

# Phase -> the line that ends it. A phase whose line is missing counts towards the next one.
_PHASE_ENDS: Final = (
    (
        "import",
        re.compile(
            r"vLLM API server version|█\s+version \S|non-default args:|Creating \d+ engines"
        ),
    ),
    ("config", re.compile(r"Resolved architecture:|Using max model len|selected, using engine=")),
    ("engine_init", re.compile(r"Starting to load model")),
    (
        "weights_load",
        re.compile(r"Loading weights took|Model loading took|Loading model weights took"),
    ),
    (
        "profile_and_kv",
        re.compile(r"KV cache size: [\d,]+ tokens|Maximum concurrency for|# \w+ blocks: \d"),
    ),
    ("graph_capture", re.compile(r"(?<!Encoder )\bGraph capturing finished in")),
    # Infinity says nothing between the choice of its model and the end of the warm-up.
    ("warmup", re.compile(r"init engine \(profile|model warmed up, between")),
    ("server_start", _READY),
)
_COMPILED: Final = re.compile(r"torch\.compile (?:takes|took) ([\d.]+) s in total")
# vLLM's own clock for a phase; the last pattern of a phase that matches wins.
_MEASURED: Final = {
    "weights_load": (
        re.compile(r"Loading weights took ([\d.]+) sec"),
        re.compile(r"Model loading took [\d.]+ Gi?B(?: memory)? and ([\d.]+) sec"),
    ),
    "graph_capture": (re.compile(r"(?<!Encoder )\bGraph capturing finished in (\d+) secs"),),
}


class _Number(NamedTuple):
    name: str
    pattern: re.Pattern[str]
    scale: float
    over_workers: Callable[[float, float], float]


# Before 0.7 vLLM wrote GB for what it had divided by 2**30.
_NUMBERS: Final = (
    _Number(
        "weights_bytes",
        re.compile(r"(?:Model loading|Loading model weights) took ([\d.]+) Gi?B"),
        _GIB,
        max,
    ),
    _Number(
        "kv_cache_bytes",
        re.compile(r"Available KV cache memory: ([\d.]+) GiB"),
        _GIB,
        min,
    ),
    _Number(
        "kv_cache_bytes",
        re.compile(r"(?:Explicitly|Auto) set \(([\d.]+)/[\d.]+\) GiB for KV cache"),
        _GIB,
        min,
    ),
    _Number("kv_cache_tokens", re.compile(r"KV cache size: ([\d,]+) tokens"), 1, min),
    _Number("kv_cache_blocks", re.compile(r"# (?:GPU|CPU|CUDA|TPU|\w+) blocks: (\d+)"), 1, min),
    _Number(
        "max_concurrency",
        re.compile(r"Maximum concurrency for [\d,]+ tokens per request: ([\d.]+)x"),
        1,
        min,
    ),
    _Number(
        "graph_capture_bytes",
        re.compile(r"(?<!Encoder )\bGraph capturing finished in \d+ secs, took ([\d.]+) GiB"),
        _GIB,
        max,
    ),
)

# What a line says about what is going on after it; the last line that says anything counts.
_ACTIVITIES: Final = (
    (re.compile(r"(?:Fetching|Downloading)\b.*?\b(\d+/\d+) \["), "downloading the model"),
    (re.compile(r"Loading .*(?:shards|loader|Streamer).*?\b(\d+/\d+) \["), "loading weights"),
    (re.compile(r"Capturing .*?\b(\d+/\d+) \["), "capturing graphs"),
    (_READY, "ready"),
    (re.compile(r"init engine \(profile|Starting vLLM (?:API )?server"), "starting the server"),
    (re.compile(r"\bGraph capturing finished in"), "warming up"),
    (re.compile(r"Capturing .*graph", re.IGNORECASE), "capturing graphs"),
    (re.compile(r"KV cache size:|Maximum concurrency for|# \w+ blocks: \d"), "warming up"),
    (re.compile(r"Starting torch\.compile|Dynamo bytecode|for the compilation"), "compiling"),
    (re.compile(r"Compiling a graph|Cache the graph"), "compiling"),
    (re.compile(r"torch\.compile (?:takes|took)|Warming up done"), "profiling memory"),
    (re.compile(r"Model loading took|Loading model weights took"), "profiling memory"),
    (re.compile(r"Loading weights took"), "processing weights"),
    (re.compile(r"model warmed up, between"), "starting the server"),
    (re.compile(r"Getting timings for batch_size"), "warming up"),
    (re.compile(r"Starting to load model|selected, using engine="), "loading weights"),
    (re.compile(r"Resolved architecture:|Initializing an? .*LLM engine"), "starting the engine"),
    (re.compile(r"vLLM API server version|non-default args:"), "reading the configuration"),
)


@dataclass(frozen=True, slots=True)
class Startup:
    """How one start-up went, as far as its log says.

    Attributes:
        phases_s: Phase -> seconds >= 0, in order; they add up to the whole. Phases in order:
            ``import``, ``config``, ``engine_init``, ``weights_load``, ``compile``,
            ``profile_and_kv``, ``graph_capture``, ``warmup``, ``server_start``.
        numbers: ``weights_bytes`` and ``graph_capture_bytes`` (of the fullest device),
            ``kv_cache_bytes``, ``kv_cache_tokens``, ``kv_cache_blocks`` and ``max_concurrency``
            (of the tightest device).
    """

    phases_s: Mapping[str, float] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)


class _Segment(NamedTuple):
    phase: str
    begin_s: float
    end_s: float


def is_complete(lines: Iterable[str]) -> bool:
    """Return whether a log tells the end of the start-up."""
    return any(_READY.search(line) for line in lines)


def read_startup(log: str | Iterable[str], *, ready_s: float | None = None) -> Startup:
    """Read a start-up from its log; lines after "Application startup complete" are not looked at.

    Args:
        log: The log's text or its lines.
        ready_s: Seconds from the start of the process to its first answer. vLLM says nothing
            before it is imported, so only this tells how long ``import`` took; that phase is
            absent without it.
    """
    lines = tuple(_until_ready(split_lines(log)))
    phases_s = _measure_phases(lines)
    if ready_s is not None and phases_s:
        phases_s = {"import": max(0.0, ready_s - sum(phases_s.values()))} | phases_s
    return Startup(phases_s, _read_numbers(lines))


def current_phase(lines: Sequence[str]) -> str:
    """Return what the engine is doing, for people: ``loading weights 3/4``.

    Args:
        lines: The log so far, or its end.
    """
    for line in reversed(lines):
        for pattern, activity in _ACTIVITIES:
            if found := pattern.search(line):
                return f"{activity} {found[1]}" if found.lastindex else activity
    return "starting"


def split_lines(log: str | Iterable[str]) -> list[str]:
    """Return lines without colours; a progress bar's rewritten lines count each for itself."""
    parts = (log,) if isinstance(log, str) else log
    lines = (line for part in parts for line in re.split(r"[\r\n]+", part))
    return [_ANSI.sub("", line) for line in lines if line]


def _until_ready(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if _READY.search(line):
            return


def _measure_phases(lines: Sequence[str]) -> dict[str, float]:
    segments, compiled_at_s, compile_s = _find_segments(lines)
    phases_s: dict[str, float] = {}
    for phase, begin_s, end_s in segments:
        length_s = max(0.0, end_s - begin_s)
        if compile_s is not None and begin_s <= compiled_at_s <= end_s and phase != "weights_load":
            # Compilation is part of profiling, or of the warm-up, depending on the version.
            phases_s["compile"] = min(compile_s, length_s) if length_s else compile_s
            length_s = max(0.0, length_s - compile_s)
            compile_s = None
        own_s = _longest(lines, _MEASURED.get(phase, ()))
        is_same = own_s is not None and abs(own_s - length_s) <= _STAMP_RESOLUTION_S
        phases_s[phase] = own_s if own_s is not None and is_same else length_s
    return phases_s


def _find_segments(lines: Sequence[str]) -> tuple[list[_Segment], float, float | None]:
    """Return the segments between the lines that end a phase, and when and how long it compiled."""
    ends_s: dict[str, float] = {}
    compiled_at_s = 0.0
    by_worker_s: dict[str, float] = {}
    for now_s, line in _with_time(lines):
        for phase, pattern in _PHASE_ENDS:
            if pattern.search(line):
                ends_s[phase] = max(now_s, ends_s.get(phase, now_s))
        if found := _COMPILED.search(line):
            # A worker compiles its model and its draft one after the other; workers side by side.
            worker = line.partition("INFO")[0]
            by_worker_s[worker] = by_worker_s.get(worker, 0.0) + float(found[1])
            compiled_at_s = now_s
    begin_s = ends_s.pop("import", 0.0)
    segments = []
    for phase, _ in _PHASE_ENDS:
        if phase in ends_s:
            segments.append(_Segment(phase, begin_s, ends_s[phase]))
            begin_s = max(begin_s, ends_s[phase])
    return segments, compiled_at_s, max(by_worker_s.values(), default=None)


def _with_time(lines: Iterable[str]) -> Iterator[tuple[float, str]]:
    """Yield each line from the first time stamp on with its seconds on a running clock.

    The stamps have no year: only the time of day is used, and the clock goes the shorter way round
    from one stamp to the next, so midnight, New Year and 29 February need no thought, and lines of
    several processes may come out of order.
    """
    clock_s: float | None = None
    day_time_s = 0.0
    for line in lines:
        if found := _STAMP.search(line):
            hours, minutes, seconds = (int(found[index]) for index in (1, 2, 3))
            now_s = hours * 3600 + minutes * 60 + seconds + float(f"0.{found[4] or 0}")
            step_s = (now_s - day_time_s + _DAY_S / 2) % _DAY_S - _DAY_S / 2
            clock_s = 0.0 if clock_s is None else clock_s + step_s
            day_time_s = now_s
        if clock_s is not None:
            yield clock_s, line


def _longest(lines: Iterable[str], patterns: Sequence[re.Pattern[str]]) -> float | None:
    """Return the longest duration over all workers by the last pattern that matches anything."""
    found_s: dict[int, float] = {}
    for line in lines:
        for index, pattern in enumerate(patterns):
            if found := pattern.search(line):
                found_s[index] = max(float(found[1]), found_s.get(index, 0.0))
    return found_s[max(found_s)] if found_s else None


def _read_numbers(lines: Iterable[str]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for line in lines:
        for name, pattern, scale, over_workers in _NUMBERS:
            if found := pattern.search(line):
                value = float(found[1].replace(",", "")) * scale
                numbers[name] = over_workers(value, numbers.get(name, value))
    return numbers
