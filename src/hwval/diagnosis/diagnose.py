"""Finds the first causal line of a log and what is known around it.

Order of trust: what the runtime itself says (an OOM kill leaves nothing in the log), then the
rules by rank, then the first line that looks like an error. Where the log does not say, the answer
says so and names where to look; it does not guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hwval.diagnosis.finding import Diagnosis
from hwval.diagnosis.finding import Evidence
from hwval.diagnosis.finding import failure_fingerprint
from hwval.diagnosis.rules import Rule
from hwval.diagnosis.rules import load_rules

__all__ = ["Circumstances", "diagnose"]

_SIGKILL_EXIT_CODES: Final = frozenset({137, -9})
_MAX_LINE_CHARACTERS: Final = 1000
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_PREFIX: Final = r"^(?:\([^)]*\)\s*)?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d (?:\[[^\]]*\] )?)?"
_ERROR_LINE: Final = re.compile(
    _PREFIX + r"(?:[\w.]+(?:Error|Exception|Exit|Interrupt)\b(?::|$)|Fatal Python error|error: )"
)
# Wrappers that say that something failed, never why.
_GENERIC: Final = re.compile(
    r"Engine core initialization failed|WorkerProc initialization failed|"
    r"EngineCore (?:failed to start|encountered a fatal error)|EngineDeadError|SystemExit"
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known besides the log.

    Attributes:
        exit_code: Exit status of the engine, None if it lives or nobody knows.
        oom_killed: Whether the runtime says that the kernel killed it for memory.
        timed_out: Whether it lived but was not ready by its deadline.
        failed: Whether the engine failed at all; a log of a healthy engine has no cause.
    """

    exit_code: int | None = None
    oom_killed: bool = False
    timed_out: bool = False
    failed: bool = True


def diagnose(lines: Iterable[str], circumstances: Circumstances | None = None) -> Diagnosis:
    """Return the root cause that ``lines`` and ``circumstances`` show.

    Args:
        lines: The log, one line an element, with or without line ends.
        circumstances: What is known besides; by default only that something failed.
    """
    known = circumstances or Circumstances()
    if not known.failed:
        return Diagnosis(None, None, None, "The engine is healthy.", "", None)
    if known.oom_killed:
        return _killed_for_memory(known)
    best: tuple[Rule, re.Match[str], Evidence] | None = None
    first_error: Evidence | None = None
    for number, raw in enumerate(lines, 1):
        line = _ESCAPES.sub("", raw.rstrip("\r\n"))[:_MAX_LINE_CHARACTERS]
        found = _match(line)
        if found and (best is None or found[0].rank > best[0].rank):
            best = (*found, Evidence(number, line.strip()))
        if first_error is None and _ERROR_LINE.search(line) and not _GENERIC.search(line):
            first_error = Evidence(number, line.strip())
    if best is not None:
        return _from_rule(*best)
    return _without_rule(first_error, known)


def _match(line: str) -> tuple[Rule, re.Match[str]] | None:
    for rule in load_rules():
        for pattern in rule.patterns:
            match = pattern.search(line)
            if match is not None:
                return rule, match
    return None


def _from_rule(rule: Rule, match: re.Match[str], evidence: Evidence) -> Diagnosis:
    groups = {name: value or "?" for name, value in match.groupdict().items()}
    return Diagnosis(
        cause=rule.cause,
        family=rule.family,
        evidence=evidence,
        summary=rule.summary.format_map(groups),
        remedy=rule.remedy.format_map(groups),
        fingerprint=failure_fingerprint(rule.cause, evidence.text),
    )


def _without_rule(first_error: Evidence | None, known: Circumstances) -> Diagnosis:
    if first_error is not None:
        return Diagnosis(
            cause="unknown",
            family="none",
            evidence=first_error,
            summary="An error that no rule knows; the evidence is the first causal one.",
            remedy="Read the log from the evidence line on.",
            fingerprint=failure_fingerprint("unknown", first_error.text),
        )
    if known.timed_out:
        return _by_circumstance(
            "startup-timeout",
            "process",
            "The engine lived but was not ready in time, and its log names no error.",
            "Look at the last phase it reached; raise `deadlines.load` if it was still working.",
        )
    code = known.exit_code
    if code in _SIGKILL_EXIT_CODES:
        return _by_circumstance(
            "terminated-by-signal",
            "lab",
            "It was killed by signal 9, and nobody says that memory was the reason.",
            "Read the kernel log of that time; look who stopped the process.",
        )
    return _by_circumstance(
        "cause-not-in-log",
        "none",
        f"The log does not say why (exit code {'unknown' if code is None else code}).",
        "Look at the exit code, the OOM flag and the kernel log of that time.",
    )


def _killed_for_memory(known: Circumstances) -> Diagnosis:
    code = "unknown" if known.exit_code is None else known.exit_code
    return _by_circumstance(
        "host-oom-killed",
        "memory",
        f"The kernel killed the engine for memory (exit code {code}, OOM flag set).",
        "Give the container more memory, or lower VLLM_CPU_KVCACHE_SPACE, the context length "
        "or the number of parallel loads.",
    )


def _by_circumstance(cause: str, family: str, summary: str, remedy: str) -> Diagnosis:
    return Diagnosis(cause, family, None, summary, remedy, failure_fingerprint(cause, ""))
