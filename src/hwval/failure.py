"""Why a cell could not be asked: the root cause of its engine's failure, for people and records."""

from __future__ import annotations

import dataclasses
import re
import traceback
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from typing import Final

from hwval.diagnosis import Circumstances
from hwval.diagnosis import Diagnosis
from hwval.diagnosis import Evidence
from hwval.diagnosis import diagnose
from hwval.diagnosis import diagnose_file
from hwval.diagnosis.finding import LAB_FAMILY
from hwval.diagnosis.finding import failure_fingerprint
from hwval.diagnosis.lines import read_line
from hwval.diagnosis.rules import load_rules
from hwval.diagnosis.scan import HotLine
from hwval.engine.base import Autopsy
from hwval.errors import EngineExited
from hwval.errors import EngineStartTimeout
from hwval.errors import HwvalError
from hwval.errors import LabError
from hwval.inert import visible

__all__ = ["Failure", "StartFailed", "explain"]

# What it is if the daemon's words are new to the rules.
_LAB_CAUSES: Final = {
    "DaemonError": "engine-daemon-failure",
    "ImageError": "image-unavailable",
    "ModelSourceError": "gated-or-missing-model",
    "HostError": "host-resource-limit",
}
_HARNESS_CAUSE: Final = "harness-error"
_NOT_IN_LOG: Final = "cause-not-in-log"
# Source: mm/oom_kill.c and mm/memcontrol.c of Linux 4.18 to 6.12.
_KILLED_FOR_MEMORY: Final = re.compile(
    "oom[-_]kill|oom_reaper|out of memory|Killed process", re.IGNORECASE
)
_LOG_END_NOTE: Final = "end of the log"  # as `hwval.engine.wait` notes it
_AROUND_LINES: Final = 3
_SHOWN_CHARACTERS: Final = 400


class StartFailed(Exception):  # noqa: N818 - an event that a session tells, as StopIteration is
    """The engine of a cell did not come up, or died; carries what was found."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.diagnosis.summary)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a cell can no longer be asked.

    Attributes:
        question: The question under which it failed; all others are blocked by it.
        error: The error in full.
        diagnosis: Its root cause.
        log_path: The engine's log, None where there is none.
        autopsy: What the dead engine left, None where it never lived.
        seen: How the question ended under which it died, in one line; empty of a start.
    """

    question: str
    error: Exception
    diagnosis: Diagnosis
    log_path: Path | None = None
    autopsy: Autopsy | None = None
    seen: str = ""

    @property
    def reason(self) -> str:
        """Why, in one line: what the question met first, then what the engine died of."""
        summary = self.diagnosis.summary
        return f"{self.seen.rstrip('.')}. The engine failed: {summary}" if self.seen else summary

    @property
    def title(self) -> str:
        """The cause for people, a few words."""
        if self.diagnosis.cause in {None, _HARNESS_CAUSE}:
            return "hwval itself failed"
        if self.diagnosis.cause == _NOT_IN_LOG and _is_foreign(self.autopsy):
            return "a server that is not ours does not answer"
        return load_rules().causes[str(self.diagnosis.cause)].title

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as records keep it: with the cause's title and the rule's id."""
        return {**self.diagnosis.to_json(), "title": self.title, "rule": self.diagnosis.rule}

    def text(self) -> str:
        """Return the failure for people: the cause, evidence and remedy first, the rest behind."""
        return "\n".join(visible(line) for line in self._lines())

    def _lines(self) -> Iterator[str]:
        found = self.diagnosis
        yield f"{found.cause}: {self.title}"
        yield f"why: {self.reason}"
        if found.evidence is not None:
            yield f"evidence, line {found.evidence.line}: {found.evidence.text}"
        yield f"remedy: {found.remedy}"
        if found.secondary:
            yield f"also seen: {', '.join(found.secondary)}"
        yield f"fingerprint: {found.fingerprint}"
        if not isinstance(self.error, LabError):  # whose words the summary and the remedy are
            yield f"seen: {self.error}"
        yield from self._notes()
        if self.autopsy is not None:
            yield from (f"no {probe}: {why}" for probe, why in self.autopsy.notes.items())
        if self.log_path is not None:
            yield f"log: {self.log_path}"
            if found.evidence is not None:
                yield from _in_context(self.log_path, found.evidence)

    def _notes(self) -> Iterator[str]:
        for note in getattr(self.error, "__notes__", ()):
            # Where there is evidence, the log is quoted around it.
            if self.diagnosis.evidence is None or not note.startswith(_LOG_END_NOTE):
                yield str(note)


def explain(error: Exception, autopsy: Autopsy | None) -> Diagnosis:
    """Return the root cause of a failed engine.

    Args:
        error: What ended it; an error that hwval does not raise is its own fault, and so is one
            of the diagnosis itself.
        autopsy: What it left, None where it never lived.
    """
    try:
        if isinstance(error, LabError):
            return _explain_lab(error)
        if isinstance(error, HwvalError):
            return _explain_engine(error, autopsy)
        trouble = error
    except Exception as own:  # noqa: BLE001 - what went wrong first must be told all the same
        trouble = own
    error.add_note("".join(traceback.format_exception(trouble)))
    return Diagnosis(
        cause=_HARNESS_CAUSE,
        family=LAB_FAMILY,
        evidence=None,
        summary=f"hwval itself failed: {type(trouble).__name__}: {trouble}",
        remedy="Report it with the traceback below; nothing was learned of the product.",
        fingerprint=failure_fingerprint(_HARNESS_CAUSE, type(trouble).__name__),
    )


def _explain_engine(error: HwvalError, autopsy: Autopsy | None) -> Diagnosis:
    known = _circumstances(error, autopsy)
    if _is_foreign(autopsy):
        return _without_log(diagnose((), known), known.runtime_error)
    log_path = autopsy.log_path if autopsy is not None else None
    try:
        return diagnose_file(log_path, known) if log_path is not None else diagnose((), known)
    except OSError as trouble:
        if not isinstance(trouble, FileNotFoundError):
            error.add_note(f"the log cannot be read: {trouble}")
        return diagnose((), known)


def _is_foreign(autopsy: Autopsy | None) -> bool:
    """Tell whether an engine was started by somebody else, who has its log."""
    return autopsy is not None and autopsy.log_path is None


def _without_log(found: Diagnosis, said: str) -> Diagnosis:
    """Return what can be said of a server whose log nobody here can read."""
    if found.cause != _NOT_IN_LOG:
        return found
    return dataclasses.replace(
        found,
        summary="The server does not answer. It was not started by hwval, which has no log of it."
        + (f" The runtime said: {said}" if said else ""),
        remedy="Read its log of that time where it was started, and start it again.",
    )


def _explain_lab(error: LabError) -> Diagnosis:
    """Return what the rules say of the daemon's words, or else what the error itself says.

    The log is not asked: of an engine that could not be started it proves nothing.
    """
    told, _, remedy = str(error).partition(". ")
    words = "\n".join(filter(None, (told, _words_of_cause(error))))
    found = diagnose((), Circumstances(failed=True, runtime_error=words))
    if found.rule is not None:
        # The rule knows the kind of trouble, the error knows what was attempted, and on what.
        return dataclasses.replace(found, summary=f"{found.summary} ({told})")
    return Diagnosis(
        cause=_LAB_CAUSES.get(type(error).__name__, "host-resource-limit"),
        family=LAB_FAMILY,
        evidence=None,
        summary=told,
        remedy=remedy or "Mend the lab as the message says; the product was not tested.",
        fingerprint=failure_fingerprint(type(error).__name__, told),
    )


def _circumstances(error: HwvalError, autopsy: Autopsy | None) -> Circumstances:
    """Return what is known of a dead engine besides its log."""
    timed_out = isinstance(error, EngineStartTimeout)
    exited = error if isinstance(error, EngineExited) else None
    said = _words_of_cause(error)
    if autopsy is None:
        return Circumstances(
            exit_code=exited.exit_code if exited else None,
            oom_killed=exited.oom_killed or None if exited else None,
            timed_out=timed_out,
            failed=True,
            runtime_error=said,
        )
    # Where the state could not be read, nobody said that memory was not the reason.
    state, was_seen = autopsy.state, "state" not in autopsy.notes
    code = state.exit_code
    return Circumstances(
        exit_code=exited.exit_code if code is None and exited else code,
        oom_killed=state.oom_killed if was_seen else None,
        timed_out=timed_out,
        failed=True,
        runtime_error=_error_of_state(autopsy.inspect) or said,
        kernel_log=_kernel_lines(autopsy) if was_seen else autopsy.kernel_log,
    )


def _kernel_lines(autopsy: Autopsy) -> tuple[str, ...]:
    """Return the kernel's lines that can be about this engine.

    The kernel tells of every process of the host, the engine of the last cell among them. Of a
    container the daemon knows whether anything in it was killed for memory; if not, such lines
    are about somebody else.
    """
    if not autopsy.inspect or autopsy.state.oom_killed:
        return autopsy.kernel_log
    return tuple(line for line in autopsy.kernel_log if not _KILLED_FOR_MEMORY.search(line))


def _error_of_state(inspect: Mapping[str, object]) -> str:
    state = inspect.get("State")
    return str(state.get("Error") or "") if isinstance(state, Mapping) else ""


def _words_of_cause(error: HwvalError) -> str:
    """Return what the layer below hwval said, on one line; empty if it was not asked."""
    return " ".join(str(error.__cause__ or "").split())


def _in_context(path: Path, evidence: Evidence) -> Iterator[str]:
    """Yield the lines of a log around its evidence; nothing if it can no longer be read."""
    first = max(1, evidence.line - _AROUND_LINES)
    try:
        with path.open("rb") as stream:
            lines = list(islice(stream, first - 1, evidence.line + _AROUND_LINES))
    except OSError:
        return
    digits = len(str(first + len(lines)))
    for number, line in enumerate(lines, first):
        text = line.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2]
        shown = read_line(HotLine(number, text[: 2 * _SHOWN_CHARACTERS])).raw
        is_evidence = number == evidence.line
        shown = (evidence.text if is_evidence else shown)[:_SHOWN_CHARACTERS]
        yield f"{'>' if is_evidence else ' '} {number:>{digits}} | {shown}".rstrip()
