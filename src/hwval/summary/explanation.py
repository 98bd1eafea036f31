"""Why an engine died, as its start's record tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwval.inert import web_link
from hwval.result import EngineRecord

__all__ = ["Explanation", "explanation_of"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Root cause of one dead engine, as far as its log and its end gave it away.

    Attributes:
        cause: Id of the cause.
        family: Family of the cause; empty in old records.
        title: The cause in a few words; empty in old records.
        summary: What it means, one sentence; may be empty.
        evidence: The causal line of the log; empty if there is none.
        line: Its number in the log, from 1; None if it is not known.
        log: Log file, relative to the run's folder; None if there is none.
        remedy: What to do; may be empty.
        fingerprint: Identity of the failure, as a ledger names it; empty in old records.
        secondary: Ids of causes that are seen too.
    """

    cause: str
    family: str
    title: str
    summary: str
    evidence: str
    line: int | None
    log: str | None
    remedy: str
    fingerprint: str
    secondary: tuple[str, ...]

    @property
    def where(self) -> str:
        """``file:line`` of the evidence, as much of it as is known."""
        if self.log is None:
            return "" if self.line is None else f"line {self.line} of a log that is not here"
        return self.log if self.line is None else f"{self.log}:{self.line}"

    @property
    def link(self) -> str | None:
        """The documentation that the remedy ends with, None if it names none."""
        return web_link(self.remedy.rpartition(" See ")[2])


def explanation_of(engine: EngineRecord) -> Explanation | None:
    """Return the root cause of a failed start or of a death; None where none was found."""
    diagnosis = engine.diagnosis or {}
    if not diagnosis.get("cause"):
        return None
    evidence = diagnosis.get("evidence")
    evidence = evidence if isinstance(evidence, Mapping) else {}
    return Explanation(
        cause=str(diagnosis["cause"]),
        family=str(diagnosis.get("family") or ""),
        title=str(diagnosis.get("title") or ""),
        summary=str(diagnosis.get("summary") or ""),
        evidence=str(evidence.get("text") or ""),
        line=evidence.get("line"),
        log=engine.log,
        remedy=str(diagnosis.get("remedy") or ""),
        fingerprint=str(diagnosis.get("fingerprint") or ""),
        secondary=tuple(str(each) for each in diagnosis.get("secondary") or ()),
    )
