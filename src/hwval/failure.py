"""Why a cell could not be asked: the root cause of its engine's failure, for people and records."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hwval.diagnosis import Circumstances
from hwval.diagnosis import Diagnosis
from hwval.diagnosis import diagnose
from hwval.diagnosis.finding import LAB_FAMILY
from hwval.diagnosis.finding import failure_fingerprint
from hwval.engine.base import Autopsy
from hwval.engine.base import EngineState
from hwval.engine.startup import split_lines
from hwval.errors import EngineStartTimeout
from hwval.errors import HwvalError
from hwval.errors import LabError

__all__ = ["Failure", "StartFailed", "explain"]

_LAB_CAUSES: Final = {
    "DaemonError": "engine-daemon-failure",
    "ImageError": "image-unavailable",
    "ModelSourceError": "gated-or-missing-model",
    "HostError": "host-resource-limit",
}


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
    """

    question: str
    error: Exception
    diagnosis: Diagnosis
    log_path: Path | None = None
    autopsy: Autopsy | None = None

    def text(self) -> str:
        """Return the failure for people: the cause first, then its evidence and the remedy."""
        found = self.diagnosis
        lines = [f"{found.cause}: {found.summary}"]
        if found.evidence is not None:
            lines.append(f"evidence, line {found.evidence.line}: {found.evidence.text}")
        lines.append(f"remedy: {found.remedy}")
        if not isinstance(self.error, LabError):  # whose words the summary and the remedy are
            lines.append(f"seen: {self.error}")
        lines += [str(note) for note in getattr(self.error, "__notes__", ())]
        if self.autopsy is not None:
            lines += [f"no {probe}: {why}" for probe, why in self.autopsy.notes.items()]
        if self.log_path is not None:
            lines.append(f"log: {self.log_path}")
        return "\n".join(lines)


def explain(error: Exception, autopsy: Autopsy | None) -> Diagnosis:
    """Return the root cause of a failed engine.

    Args:
        error: What ended it; an error that is not hwval's own is hwval's own fault.
        autopsy: What it left, None where it never lived.
    """
    if not isinstance(error, HwvalError):
        error.add_note("".join(traceback.format_exception(error)))
        return Diagnosis(
            cause="harness-error",
            family=LAB_FAMILY,
            evidence=None,
            summary=f"hwval itself failed: {type(error).__name__}: {error}",
            remedy="Report it with the traceback below; the product was not tested.",
            fingerprint=failure_fingerprint("harness-error", type(error).__name__),
        )
    if isinstance(error, LabError):
        summary, _, remedy = str(error).partition(". ")
        return Diagnosis(
            cause=_LAB_CAUSES.get(type(error).__name__, "host-resource-limit"),
            family=LAB_FAMILY,
            evidence=None,
            summary=summary,
            remedy=remedy or "Mend the lab as the message says; the product was not tested.",
            fingerprint=failure_fingerprint(type(error).__name__, summary),
        )
    state = autopsy.state if autopsy is not None else EngineState(running=False)
    log_path = autopsy.log_path if autopsy is not None else None
    text = log_path.read_text("utf-8", "replace") if log_path and log_path.is_file() else ""
    lines = split_lines(text)
    return diagnose(
        lines,
        Circumstances(
            exit_code=state.exit_code,
            oom_killed=state.oom_killed,
            timed_out=isinstance(error, EngineStartTimeout),
        ),
    )
