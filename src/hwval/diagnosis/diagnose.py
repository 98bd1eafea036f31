"""Decides which of the causes that a log shows is the first one.

Order of trust: what the kernel and the container runtime say (an OOM kill leaves nothing in the
log), then the rules by tier and line, then the first error that no rule knows. Where nothing says
why, the answer says so and names where to look; it does not guess.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from typing import Final

from hwval.diagnosis.circumstances import Circumstances
from hwval.diagnosis.events import Event
from hwval.diagnosis.finding import Diagnosis
from hwval.diagnosis.finding import Evidence
from hwval.diagnosis.finding import failure_fingerprint
from hwval.diagnosis.reading import Finding
from hwval.diagnosis.reading import Reading
from hwval.diagnosis.reading import match_line
from hwval.diagnosis.reading import read_log
from hwval.diagnosis.rules import Exit
from hwval.diagnosis.rules import RuleBook
from hwval.diagnosis.rules import Tier
from hwval.diagnosis.rules import load_rules
from hwval.diagnosis.template import compute
from hwval.diagnosis.template import fill

__all__ = ["diagnose", "diagnose_file", "diagnose_stream"]

_MAX_EVIDENCE_CHARACTERS: Final = 1000
_END_LINES: Final = 5
_SIGKILL: Final = 9
_STOPPED: Final = "terminated-by-signal"
_STUCK: Final = "startup-timeout"
_HEALTHY: Final = Diagnosis(
    None, None, None, "Nothing in the log says that the engine failed.", "", None
)


def diagnose_file(path: Path, circumstances: Circumstances | None = None) -> Diagnosis:
    """Return the root cause that the log at ``path`` and ``circumstances`` show.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        return diagnose_stream(stream, circumstances)


def diagnose(lines: Iterable[str], circumstances: Circumstances | None = None) -> Diagnosis:
    """Return the root cause that ``lines`` show, with or without line ends."""
    text = "\n".join(line.rstrip("\n") for line in lines)
    return diagnose_stream(io.BytesIO(text.encode("utf-8", "replace")), circumstances)


def diagnose_stream(stream: BinaryIO, circumstances: Circumstances | None = None) -> Diagnosis:
    """Return the root cause that a log shows.

    Args:
        stream: The log as bytes, of any size and encoding; it is read once.
        circumstances: What is known besides; by default nothing.
    """
    book, known = load_rules(), circumstances or Circumstances()
    reading = read_log(stream, book)
    besides = [
        *_lone(known.kernel_log, "kernel", book),
        *_lone(known.runtime_error.splitlines(), "runtime", book),
    ]
    return _Decision(book, reading, known, besides).diagnosis()


def _lone(lines: Sequence[str], origin: str, book: RuleBook) -> list[Finding]:
    found = [finding for line in lines if line.strip() for finding in match_line(line, book)]
    return [finding for finding in found if finding.rule.origin == origin]


class _Decision:
    """One choice among what a log and its circumstances show."""

    def __init__(
        self, book: RuleBook, reading: Reading, known: Circumstances, besides: list[Finding]
    ) -> None:
        self._book = book
        self._reading = reading
        self._known = known
        self._besides = besides
        found = [f for f in reading.findings if f.rule.origin != "kernel" and f.holds()]
        later = [f for f in found if f.line > reading.start_line]
        # What came before the server was up did not stop it.
        self._findings = later or found
        # An error goes on over several lines, and a rule may know any of them.
        known_ids = {id(f.event.traceback) for f in found if f.tier > Tier.HINT}
        self._errors = [e for e in reading.errors if id(e.traceback) not in known_ids]

    def diagnosis(self) -> Diagnosis:
        """Return the answer."""
        if self._known.failed is False:
            return _HEALTHY
        if self._known.oom_killed:
            return self._of_exit(self._book.exits["oom-killed"])
        if self._lives() and not self._of_origin("runtime"):
            return _HEALTHY  # the kernel may speak of somebody else
        best = self._decisive_finding()
        if best is not None:
            return self._of_finding(best)
        return self._by_exit() or self._unknown() or self._told_to_stop() or self._not_in_log()

    def _decisive_finding(self) -> Finding | None:
        """Return what decides: the runtime, then the log's causes, then the kernel, then the rest.

        The runtime speaks of this engine. The kernel may speak of somebody else's.
        """
        runtime = self._best(self._of_origin("runtime"))
        if runtime is not None and runtime.tier >= Tier.CAUSE:
            # What the runtime said may stand in the log as well; there it has a line.
            return next((f for f in self._findings if f.rule is runtime.rule), runtime)
        log = self._best_of_log()
        if log is not None and log.tier >= Tier.CAUSE:
            return log
        kernel = self._best(self._of_origin("kernel"))
        if kernel is not None and kernel.tier is Tier.HINT and self._first_error() is not None:
            kernel = None
        return kernel or log or runtime

    def _of_origin(self, origin: str) -> list[Finding]:
        return [finding for finding in self._besides if finding.rule.origin == origin]

    def _lives(self) -> bool:
        known, log = self._known, self._reading
        if known.failed is not None:
            return not known.failed
        if known.exit_code not in (None, 0) or known.timed_out or known.runtime_error:
            return False
        if log.death_line > log.start_line:
            return False
        if log.start_line:
            ended = log.end_line > log.start_line
            return not any(self._stops_a_server(f, ended=ended) for f in self._findings)
        trouble = [f.line for f in self._findings if f.tier > Tier.HINT or f.rule.cause == _STUCK]
        trouble += [error.line.number for error in self._errors]
        return log.work_line > max(trouble, default=0)

    def _stops_a_server(self, finding: Finding, *, ended: bool) -> bool:
        if finding.line <= self._reading.start_line:
            return False
        cause = finding.rule.cause
        if cause == _STUCK or (cause == _STOPPED and finding.tier > Tier.HINT):
            return finding.line > self._reading.work_line  # it did no work any more
        return ended and finding.tier >= Tier.CAUSE

    def _best_of_log(self) -> Finding | None:
        best = self._best(self._findings)
        if best is None or best.tier >= Tier.CAUSE:
            return best
        first = self._first_error()
        # Something that no rule knows came first: what follows from it is not the cause. A line of
        # level info explains no error at all.
        is_quiet = best.event.line.level == "info"
        if first is not None and (first.line.number < best.line or is_quiet):
            return None
        log, known = self._reading, self._known
        failed = known.failed or known.timed_out or known.exit_code not in (None, 0)
        # A hint explains a failure; it does not make one.
        has_failed = first or log.wrapper or log.death_line or failed
        if best.tier > Tier.HINT or has_failed:
            return best
        # What a log ends with may be why it goes no further.
        return self._best(f for f in self._findings if f.line > log.lines - _END_LINES)

    @staticmethod
    def _best(findings: Iterable[Finding]) -> Finding | None:
        return max(findings, key=lambda f: (f.tier, -f.line), default=None)

    def _first_error(self) -> Event | None:
        errors = [e for e in self._errors if e.line.number > self._reading.start_line]
        errors = errors or self._errors
        if not errors and not self._reading.start_line:
            errors = list(self._reading.refusals)  # without a server, nobody else was refused
        return next((e for e in errors if e.exception), errors[0] if errors else None)

    def _of_finding(self, best: Finding) -> Diagnosis:
        rule = best.rule
        values = compute(rule.compute, self._reading.facts | best.values)
        key = " ".join(str(values.get(name, "")) for name in rule.key)
        return Diagnosis(
            cause=rule.cause,
            family=self._book.causes[rule.cause].family,
            evidence=_evidence(self._shown(best)) if best.line else None,
            summary=fill(rule.summary, values),
            remedy=_with_link(fill(rule.remedy, values), rule.link),
            fingerprint=failure_fingerprint(rule.cause, f"{rule.id} {key}"),
            secondary=self._secondary(rule.cause),
            rule=rule.id,
        )

    def _shown(self, best: Finding) -> Event:
        """Return the event that shows a cause best: where it was foretold, if it was."""
        told = (f for f in self._findings if f.rule.id == best.rule.foretold_by)
        return next((f.event for f in told if f.line < best.line), best.event)

    def _secondary(self, cause: str) -> tuple[str, ...]:
        best_of_line: dict[int, Finding] = {}
        for finding in sorted(self._findings, key=lambda f: -f.tier):
            best_of_line.setdefault(finding.line, finding)
        others = [f for f in best_of_line.values() if f.tier > Tier.HINT]
        others.sort(key=lambda f: (-f.tier, f.line))
        seen = dict.fromkeys(f.rule.cause for f in others)
        seen.pop(cause, None)
        return tuple(seen)

    def _by_exit(self) -> Diagnosis | None:
        known = self._known
        if self._errors:
            return None
        if known.signal == _SIGKILL:
            name = "killed" if known.oom_killed is False else "killed-perhaps-for-memory"
            return self._of_exit(self._book.exits[name])
        if known.timed_out:
            return self._of_exit(self._book.exits["timed-out"])
        exit_rule = next((e for e in self._book.exits.values() if known.exit_code in e.codes), None)
        return self._of_exit(exit_rule) if exit_rule else None

    def _of_exit(self, rule: Exit) -> Diagnosis:
        values = self._reading.facts | {
            "exit_code": "unknown" if self._known.exit_code is None else self._known.exit_code
        }
        return Diagnosis(
            cause=rule.cause,
            family=self._book.causes[rule.cause].family,
            evidence=None,
            summary=fill(rule.summary, values),
            remedy=_with_link(fill(rule.remedy, values), rule.link),
            fingerprint=failure_fingerprint(rule.cause, rule.id),
            secondary=self._secondary(rule.cause),
            rule=rule.id,
        )

    def _unknown(self) -> Diagnosis | None:
        first = self._first_error()
        if first is None:
            return None
        frames = first.traceback.frames
        # A bare assertion is told from others by where it stands.
        place = frames[-1].rpartition("/")[2] if frames and first.exception else ""
        return Diagnosis(
            cause="unknown",
            family=self._book.causes["unknown"].family,
            evidence=_evidence(first),
            summary="An error that no rule knows; the evidence is the first causal one.",
            remedy="Read the log from the evidence line on.",
            fingerprint=failure_fingerprint("unknown", f"{first.line.text} {place}"),
        )

    def _told_to_stop(self) -> Diagnosis | None:
        told = self._best(f for f in self._findings if f.rule.cause == _STOPPED)
        return self._of_finding(told) if told is not None else None

    def _not_in_log(self) -> Diagnosis:
        said = self._known.runtime_error
        wrapper = self._reading.wrapper
        code = self._known.exit_code
        return Diagnosis(
            cause="cause-not-in-log",
            family=self._book.causes["cause-not-in-log"].family,
            evidence=_evidence(wrapper) if wrapper else None,
            summary=f"The runtime said: {said}"
            if said
            else "The log is empty."
            if not self._reading.lines
            else f"The log does not say why (exit code {'unknown' if code is None else code}).",
            remedy="Look at the exit code, the OOM flag (`docker inspect`) and the kernel's log "
            "(`dmesg -T`) of that time; start again with VLLM_LOGGING_LEVEL=DEBUG.",
            fingerprint=failure_fingerprint(
                "cause-not-in-log", said or f"exit x{self._known.signal or code}"
            ),
        )


def _evidence(event: Event) -> Evidence:
    return Evidence(event.line.number, event.line.raw.strip()[:_MAX_EVIDENCE_CHARACTERS])


def _with_link(remedy: str, link: str | None) -> str:
    return f"{remedy} See {link}" if link else remedy
