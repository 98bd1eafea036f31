"""Finds the evidence of a log again, with the lines around it.

Numbers count line feeds, as in the diagnosis. A file is read a second time. Standard input and
pipes are read once: on their way to the diagnosis their first and last parts are kept on disk.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO
from typing import BinaryIO
from typing import Final
from typing import Self

from hwval.diagnosis import Evidence
from hwval.diagnosis.scan import utf8_chunks

__all__ = ["PassingLog", "read_excerpt"]

_AROUND_LINES: Final = 3
_MAX_LINE_BYTES: Final = 16 << 10
_PART_BYTES: Final = 64 << 20
# The beginning of a log, and at least one whole part before its end.
_MAX_PARTS: Final = 3
_BLOCK_BYTES: Final = 4 << 20
# Evidence is cut when it is long; its beginning is enough to know its segment.
_TELLING_CHARACTERS: Final = 200
# Colours and titles are taken away; what else is in a line is shown, but inert.
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


@dataclass(slots=True)
class _Part:
    """A stretch of a log.

    Attributes:
        first_line: Number of the line that it begins in.
        file: Its bytes.
        size_bytes: How many they are.
        line_feeds: How many of them are line feeds.
    """

    first_line: int
    file: IO[bytes]
    size_bytes: int = 0
    line_feeds: int = 0

    @property
    def last_line(self) -> int:
        """Number of the line that it ends in."""
        return self.first_line + self.line_feeds

    def append(self, chunk: bytes) -> None:
        self.file.write(chunk)
        self.file.flush()  # a full disk is told here
        self.size_bytes += len(chunk)
        self.line_feeds += chunk.count(b"\n")

    def follows(self, other: _Part) -> bool:
        return self.first_line == other.last_line

    def chunks(self) -> Iterator[bytes]:
        self.file.seek(0)
        while chunk := self.file.read(_BLOCK_BYTES):
            yield chunk


class PassingLog:
    """A log that can be read only once, kept within bounds while it is.

    Args:
        stream: The log, opened for reading bytes.
        part_bytes: Size of a part; at most three are on disk, the middle of a longer log is not.
    """

    def __init__(self, stream: BinaryIO, *, part_bytes: int = _PART_BYTES) -> None:
        self._chunks = utf8_chunks(stream)
        self._part_bytes = part_bytes
        self._parts: list[_Part] = []
        self._keeps = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def read(self, _size: int = -1) -> bytes:
        """Return the next piece as UTF-8, of whatever size; empty at the end."""
        chunk = next(filter(None, self._chunks), b"")
        if self._keeps and chunk:
            try:
                self._keep(chunk)
            except OSError:  # a full disk costs the excerpt, not the diagnosis
                self._keeps = False
                self._drop()
        return chunk

    def excerpt(self, evidence: Evidence) -> dict[int, str]:
        """Return the lines around the evidence by number; those that were not kept are missing."""
        parts = self._parts
        start = sum(part.first_line <= evidence.line for part in parts) - 1
        if start < 0:
            return {}
        while (
            start
            and parts[start].follows(parts[start - 1])
            and (parts[start].first_line >= evidence.line - _AROUND_LINES)
        ):
            start -= 1
        return _excerpt(_joined(parts[start:]), parts[start].first_line, evidence)

    def _keep(self, chunk: bytes) -> None:
        last = self._parts[-1] if self._parts else None
        if last is None or last.size_bytes >= self._part_bytes:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - the log closes it
            last = _Part(last.last_line if last else 1, file)
            self._parts.append(last)
            if len(self._parts) > _MAX_PARTS:
                self._parts.pop(1).file.close()
        last.append(chunk)

    def _drop(self) -> None:
        for part in self._parts:
            with suppress(OSError):
                part.file.close()
        self._parts.clear()


def read_excerpt(stream: BinaryIO, evidence: Evidence) -> dict[int, str]:
    """Return the lines around the evidence by number, as a terminal would show them.

    Colours are removed, other control characters are not. Of a line that carriage returns part,
    the segment with the evidence is returned, of other such lines the last one.

    Args:
        stream: The log that was diagnosed, from its beginning.
        evidence: The evidence in it.
    """
    return _excerpt(utf8_chunks(stream), 1, evidence)


def _joined(parts: Sequence[_Part]) -> Iterator[bytes]:
    """Yield the bytes of parts up to the first gap."""
    for before, part in zip((None, *parts), parts, strict=False):
        if before is not None and not part.follows(before):
            return
        yield from part.chunks()


def _excerpt(chunks: Iterable[bytes], number: int, evidence: Evidence) -> dict[int, str]:
    first, last = max(1, evidence.line - _AROUND_LINES), evidence.line + _AROUND_LINES
    lines = _lines(chunks, number, range(first, last + 1))
    return {
        number: _segment(line, evidence.text if number == evidence.line else None)
        for number, line in lines.items()
    }


def _lines(chunks: Iterable[bytes], number: int, wanted: range) -> dict[int, bytes]:
    """Return the lines of those numbers; the first chunk begins in line ``number``."""
    found: dict[int, bytes] = {}
    for chunk in chunks:
        feeds = chunk.count(b"\n")
        if number + feeds >= wanted.start:
            for n, piece in enumerate(chunk.split(b"\n"), number):
                if n in wanted:
                    found[n] = _clip(found.get(n, b"") + piece)
        number += feeds
        if number >= wanted.stop:
            break
    if not found.get(number, b"-"):  # a line feed ends the last line, and begins none
        del found[number]
    return found


def _clip(line: bytes) -> bytes:
    half = _MAX_LINE_BYTES // 2
    return line if len(line) <= 2 * half else line[:half] + b"\r" + line[-half:]


def _segment(line: bytes, evidence: str | None) -> str:
    text = _ESCAPES.sub("", line.decode("utf-8", "replace"))
    segments = [segment for segment in text.split("\r") if segment.strip()] or [""]
    if evidence:
        telling = evidence[:_TELLING_CHARACTERS]
        return next((segment for segment in segments if telling in segment), segments[-1])
    return segments[-1]
