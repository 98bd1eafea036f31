"""What became of a question: from one word to another."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Final

from hwval.compare.change import Change
from hwval.compare.change import VerdictChange
from hwval.result import VerdictRecord
from hwval.verdict import Outcome

__all__ = ["change_of", "compare_verdicts"]

_UNSURE: Final = frozenset({Outcome.INCONCLUSIVE, Outcome.INFRA, Outcome.NOT_RUN})
# Behind a failure, a question was not asked either.
_SILENT: Final = _UNSURE | {Outcome.BLOCKED}


def compare_verdicts(
    olds: Mapping[str, VerdictRecord], news: Mapping[str, VerdictRecord]
) -> Iterator[VerdictChange]:
    """Yield what became of every question of either run, in the order of the new one.

    Args:
        olds: Answers of a cell before, by question.
        news: Its answers now.
    """
    for question in [*news, *(name for name in olds if name not in news)]:
        old, now = olds.get(question), news.get(question)
        before = old.outcome if old else Outcome.NOT_RUN
        after = now.outcome if now else Outcome.NOT_RUN
        parts = (now.cause, now.reason) if now else ("", "not asked")
        yield VerdictChange(
            question,
            change_of(before, after, is_same=_failure(old) == _failure(now)),
            before,
            after,
            ": ".join(part for part in parts if part),
            now.blocked_by if now else None,
        )


def _failure(answer: VerdictRecord | None) -> str | None:
    return (answer.fingerprint or answer.cause) if answer else None


def change_of(before: Outcome, after: Outcome, *, is_same: bool) -> Change:
    """Return what became of a question.

    Args:
        before: Its outcome before.
        after: Its outcome now.
        is_same: Whether it failed in the same way, if it failed both times.
    """
    if (before.is_good and after.is_good) or {before, after} <= _SILENT:
        return Change.SAME
    if after in _UNSURE:
        return Change.LOST
    if before in _UNSURE:
        return Change.NEW
    if after.is_good:
        return Change.BETTER
    if before.is_good:
        return Change.WORSE
    return Change.SAME if is_same or Outcome.BLOCKED in {before, after} else Change.CHANGED
