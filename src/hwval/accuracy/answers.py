"""Answers as they come, on disk before they count: what an interrupted task need not ask again.

One JSON object a line, appended; a line that a kill cut in two is dropped. The caller sees to it
that a file holds the answers of one server's making: same cell, image, model and machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO
from typing import Any
from typing import Self

__all__ = ["Answer", "AnswerFile", "request_key"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered to one request.

    Attributes:
        text: The text that is scored.
        finish_reason: ``stop``, ``length``, as the server says; empty where it does not.
        latency_s: Seconds from the request to the whole answer.
        output_tokens: Its length as the server counts; None where it does not say.
    """

    text: str
    finish_reason: str
    latency_s: float
    output_tokens: int | None = None


def request_key(body: Mapping[str, Any], repeat: int = 0) -> str:
    """Return the identity of a request: its whole body, and which of equal ones it is.

    Texts of questions repeat with other options, so nothing less than the body will do.
    """
    text = json.dumps([body, repeat], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class AnswerFile:
    """Answers by the identity of their request, in a file that only this process appends to.

    Args:
        path: Made if it is not there; None keeps answers in memory alone. So does a file that
            another process holds.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._lock: Any = None
        self._answers: dict[str, Answer] = {}

    def __enter__(self) -> Self:
        if self._path is not None and self._take_lock(self._path):
            self._answers, whole_bytes = _read(self._path)
            with self._path.open("ab") as file:
                file.truncate(whole_bytes)
            self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self._lock is not None:
            self._lock.release()

    def get(self, key: str) -> Answer | None:
        """Return the answer to a request, None if there is none yet."""
        return self._answers.get(key)

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer; it survives the end of this process."""
        self._answers[key] = answer
        if self._file is not None:
            row = {"key": key, **dataclasses.asdict(answer)}
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()

    def forget(self) -> None:
        """Remove the file, if it is this process's; what another one still adds to stays.

        The lock's own file stays too: whoever waits for it must not get another one than the next.
        """
        if self._file is not None and self._path is not None:
            self._path.unlink(missing_ok=True)

    def _take_lock(self, path: Path) -> bool:
        from filelock import FileLock
        from filelock import Timeout

        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{path}.lock")
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            self._lock = None
            return False
        return True


def _read(path: Path) -> tuple[dict[str, Answer], int]:
    """Return the answers of a file, and how many of its bytes are whole lines."""
    if not path.exists():
        return {}, 0
    whole = path.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    answers = {}
    for line in whole.splitlines():
        try:
            row = json.loads(line)
            key = row.pop("key")
            answers[key] = Answer(**row)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # of another version; it is asked again
    return answers, len(whole)
