"""Why a request has no answer that counts, by kind."""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from typing import NamedTuple

__all__ = ["Failure", "FailureKind"]


class FailureKind(StrEnum):
    """What went wrong; each kind is counted by itself."""

    CONNECT = "no connection"
    CLOSED = "connection closed"
    TIMEOUT = "timed out"
    STALLED = "stalled"
    DEADLINE = "cut by the deadline"
    INTERRUPT = "cut by an interrupt"
    UNSENT = "not sent"
    MEMORY = "cut by the memory limit"
    TOO_LONG = "answer too long"
    STATUS = "status"
    ERROR_EVENT = "error in the stream"
    MALFORMED = "malformed answer"
    NOT_STREAMED = "not streamed"
    WRONG_COUNT = "wrong token count"
    EMPTY = "empty text"


_CUT: Final = frozenset({FailureKind.DEADLINE, FailureKind.INTERRUPT, FailureKind.UNSENT})


class Failure(NamedTuple):
    """One request's failure.

    Attributes:
        kind: What it is counted as.
        detail: What was seen, for people; made of what the server said, so not to be trusted.
        status: HTTP status, where that is the failure.
    """

    kind: FailureKind
    detail: str
    status: int | None = None

    @property
    def name(self) -> str:
        """Kind, with the HTTP status where that is the failure."""
        return f"status {self.status}" if self.kind is FailureKind.STATUS else str(self.kind)

    @property
    def is_cut(self) -> bool:
        """Whether the run's own end came first, so that it says nothing of the server."""
        return self.kind in _CUT
