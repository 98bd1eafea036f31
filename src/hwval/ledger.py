"""The ledger of known issues: what is expected to fail, how, why, who watches it and until when.

An entry forgives one failure, named by its fingerprint; it never hides another, and not for ever.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated
from typing import Final

from pydantic import AfterValidator
from pydantic import BeforeValidator

from hwval.matrix.values import Names
from hwval.matrix.values import NonEmpty
from hwval.verdict import Outcome
from hwval.verdict import Verdict
from hwval.yamlfile import load_yaml
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import validate

__all__ = ["KnownIssue", "Ledger", "load_ledger", "load_ledgers"]

_QUESTION: Final = re.compile(r"[a-z0-9_]+/[a-z0-9_]+")
_FINGERPRINT: Final = re.compile(r"[a-z0-9][a-z0-9-]*(:[A-Za-z0-9_.-]+)?")
_SAYS_TOO_LITTLE: Final = frozenset({"unknown", "cause-not-in-log"})
"""Causes that are no causes: an entry for one of them would forgive every riddle to come."""


@dataclass(frozen=True, slots=True)
class KnownIssue:
    """One entry.

    Attributes:
        cells: Globs over cell ids; one that matches suffices.
        question: The question that fails, ``load/healthy``.
        fingerprint: Id of the root cause (any failure of that cause), or the full fingerprint of
            the failure, ``cause:hash`` (this failure alone: cause, rule and the values that tell
            it from others of its kind).
        reason: Why it fails, for people.
        owner: Who watches it.
        expires: Last day on which it counts.
        link: Where it is tracked, None if nowhere.
        source: ``file:line``.
    """

    cells: tuple[str, ...]
    question: str
    fingerprint: str
    reason: str
    owner: str
    expires: date
    link: str | None
    source: str

    @property
    def told(self) -> str:
        """The reason, with where it stands, who watches it and how long it counts."""
        return f"{self.reason} ({self.source}: {self.owner}, until {self.expires})"

    def names(self, cell_id: str) -> bool:
        """Return whether the entry is about this cell."""
        return any(fnmatchcase(cell_id, pattern) for pattern in self.cells)

    def expects(self, verdict: Verdict) -> bool:
        """Return whether this failure is the expected one."""
        return self.fingerprint in {verdict.cause, verdict.fingerprint}


@dataclass(frozen=True, slots=True)
class Ledger:
    """All known issues of a run."""

    issues: tuple[KnownIssue, ...] = ()

    def matching(self, cell_id: str, question: str) -> tuple[KnownIssue, ...]:
        """Return the entries about this question of this cell, expired ones included."""
        return tuple(
            issue for issue in self.issues if issue.question == question and issue.names(cell_id)
        )

    def settle(self, cell_id: str, question: str, verdict: Verdict, today: date) -> Verdict:
        """Return ``verdict`` as the ledger sees it; a FAIL never becomes a PASS.

        Args:
            cell_id: Id of the cell.
            question: The question that was asked, ``load/healthy``.
            verdict: What it came to.
            today: The day in UTC; an entry counts up to and on the day it expires.
        """
        issues = self.matching(cell_id, question)
        if not issues or verdict.outcome not in {Outcome.PASS, Outcome.FAIL}:
            return verdict
        if verdict.outcome is Outcome.PASS:
            return _fixed(verdict, issues)
        expected = [issue for issue in issues if issue.expects(verdict)]
        if not expected:
            wanted = " or ".join(f"{issue.fingerprint} ({issue.source})" for issue in issues)
            return _adding(verdict, f"ledger expects {wanted}")
        latest = max(expected, key=lambda issue: issue.expires)
        if latest.expires < today:
            told = f"its ledger entry at {latest.source} expired on {latest.expires}"
            return _adding(verdict, f"{told}: fix the issue or renew the entry")
        return dataclasses.replace(
            verdict, outcome=Outcome.KNOWN, reason=latest.told, link=latest.link
        )

    def warnings(self, all_cell_ids: Iterable[str], used: Collection[tuple[str, str]]) -> list[str]:
        """Return what is wrong with the ledger itself, one line an entry.

        Args:
            all_cell_ids: Every cell of the matrices, run or not.
            used: The (cell id, question) pairs that this run has a verdict for.
        """
        cell_ids = list(all_cell_ids)
        ran = {cell_id for cell_id, _ in used}
        warnings = []
        for issue in self.issues:
            about = {cell_id for cell_id in cell_ids if issue.names(cell_id)}
            if not about:
                cells = ", ".join(issue.cells)
                warnings.append(f"{issue.source}: ledger entry names no cell: {cells}")
            elif about & ran and not any((cell_id, issue.question) in used for cell_id in about):
                warnings.append(
                    f"{issue.source}: ledger entry was not used: its cells ran, but nobody asked "
                    f"{issue.question}"
                )
        return warnings


def _fixed(verdict: Verdict, issues: tuple[KnownIssue, ...]) -> Verdict:
    sources = " and ".join(issue.source for issue in issues)
    return dataclasses.replace(
        verdict,
        outcome=Outcome.FIXED,
        reason=f"it works; remove the ledger entry at {sources}",
        link=issues[0].link,
    )


def _adding(verdict: Verdict, note: str) -> Verdict:
    return dataclasses.replace(
        verdict, reason=f"{verdict.reason}; {note}" if verdict.reason else note
    )


def _check_question(text: str) -> str:
    if not _QUESTION.fullmatch(text):
        raise ValueError(f"{text!r} is no question; write SUITE/NAME, as in load/healthy")
    return text


def _check_fingerprint(text: str) -> str:
    if not _FINGERPRINT.fullmatch(text):
        raise ValueError(f"{text!r} is no fingerprint; write a cause id, or CAUSE:HASH")
    if text in _SAYS_TOO_LITTLE:
        raise ValueError(
            f"{text!r} alone would forgive every failure whose cause nobody knows; write the full "
            f"fingerprint of this one, {text}:HASH, as the sign-off shows it"
        )
    return text


def _check_link(text: str) -> str:
    if not re.fullmatch(r"https?://\S+", text):
        raise ValueError(f"{text!r} is no link; write https://...")
    return text


def _check_date(value: object) -> object:
    if not isinstance(value, date):
        raise ValueError(f"{value!r} is no date; write YYYY-MM-DD")  # noqa: TRY004 - pydantic collects ValueError alone
    return value


class _Issue(YamlModel):
    cells: Names
    question: Annotated[str, AfterValidator(_check_question)] = "load/healthy"
    fingerprint: Annotated[str, AfterValidator(_check_fingerprint)]
    reason: NonEmpty
    link: Annotated[str, AfterValidator(_check_link)] | None = None
    owner: NonEmpty
    expires: Annotated[date, BeforeValidator(_check_date)]


class _LedgerFile(YamlModel):
    known_issues: tuple[_Issue, ...]


def load_ledger(path: Path) -> Ledger:
    """Read a ledger.

    Raises:
        MatrixError: Anything is wrong, with file, line and what is allowed.
    """
    file = load_yaml(path)
    issues: list[KnownIssue] = []
    seen: dict[tuple[object, ...], str] = {}
    for index, raw in enumerate(validate(file, _LedgerFile).known_issues):
        place = ("known_issues", index)
        source = f"{file.name}:{file.line(place)}"
        first = seen.setdefault((raw.cells, raw.question, raw.fingerprint), source)
        if first != source:
            raise file.error(f"the same as the entry at {first}; remove one", place)
        issues.append(KnownIssue(**dict(raw), source=source))
    return Ledger(tuple(issues))


def load_ledgers(paths: Iterable[Path]) -> Ledger:
    """Read the ledgers of several matrices, each file once.

    Raises:
        MatrixError: A file is wrong.
    """
    files: dict[Path, Path] = {}
    for path in paths:
        files.setdefault(path.resolve(), path)
    return Ledger(tuple(issue for path in files.values() for issue in load_ledger(path).issues))
