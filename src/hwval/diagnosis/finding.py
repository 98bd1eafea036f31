"""What a diagnosis says, and the identity of a failure over runs and hosts."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from dataclasses import dataclass
from typing import Any
from typing import Final

__all__ = ["LAB_FAMILY", "Diagnosis", "Evidence", "failure_fingerprint", "normalise"]

LAB_FAMILY: Final = "lab"
"""Causes of this family make the verdict INFRA: the lab failed, not the product."""

# What differs between two runs of the same failure, replaced from the most to the least specific.
_VARYING: Final = (
    (re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]"), ""),
    (re.compile(r"^\([A-Za-z_]+\w*(?:[ =\w]*pid=\d+)?[^)]*\)\s*"), ""),
    (re.compile(r"^[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d (?:\[[^\]]*\] )?"), ""),
    (re.compile(r"(?:/[\w.@+-]+){2,}/?"), "/…"),
    (re.compile(r"0x[0-9a-fA-F]+"), "0x…"),
    (re.compile(r"\b\d+(?:[.,:]\d+)*"), "0"),
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The line that shows the cause.

    Attributes:
        line: Its number in the log as given, from 1.
        text: The line, terminal escapes removed, cut at 1000 characters.
    """

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer to "why did it fail?".

    Attributes:
        cause: Id of the root cause; ``unknown`` if an error is there that no rule knows,
            ``cause-not-in-log`` if the log does not say; None for a healthy log.
        family: Family of the cause, which decides between FAIL and INFRA; None without a cause.
        evidence: The line that shows it; None where the circumstances alone decide.
        summary: One sentence with the numbers of this case.
        remedy: What to do, as concretely as the numbers allow.
        fingerprint: ``cause:hash``, the same for the same failure in another run or on another
            host; None for a healthy log.
        secondary: Ids of causes that are seen too and follow from the first.
        rule: Id of the rule that decided, None where no rule did.
    """

    cause: str | None
    family: str | None
    evidence: Evidence | None
    summary: str
    remedy: str
    fingerprint: str | None
    secondary: tuple[str, ...] = ()
    rule: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``hwval diagnose --json`` prints, without the file's name."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "rule"}


def normalise(text: str) -> str:
    """Return ``text`` without what differs between two runs of the same failure.

    Example:
        >>> normalise("(EngineCore pid=12) ERROR 01-02 03:04:05 [core.py:7] no 3.81 GiB at 0x7f")
        'no 0 GiB at 0x…'
    """
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    return text.strip()


def failure_fingerprint(cause: str, text: str) -> str:
    """Return the identity of a failure: its cause and a short hash of the normalised text."""
    return f"{cause}:{hashlib.sha256(normalise(text).encode()).hexdigest()[:10]}"
