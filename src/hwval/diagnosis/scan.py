"""Finds the lines of a log that may say why, at the speed of the disk and with bounded memory.

Nearly all of a long log is of no interest. Blocks of it are searched with one linear-time
automaton for words that errors are made of; only the lines around a hit become Python objects. A
log is bytes in somebody's encoding: line numbers count line feeds of the file as it was given,
and a carriage return (a progress bar redrawn) begins another segment of the same line.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from typing import BinaryIO
from typing import Final

import re2

__all__ = ["HotLine", "LogScan", "utf8_chunks"]

_BLOCK_BYTES: Final = 4 << 20
_MAX_LINE_BYTES: Final = 16 << 10
# A line is of interest together with the lines that continue it.
_TAIL_LINES: Final = 6
_HEAD_BYTES: Final = 120
# A log that is not short is crowded: of each block in its middle only lines with words of crashes
# are read, the first and the last of them. What began it and what ended it is read whole.
_MAX_ZONES: Final = 1500
_CROWDED_ZONES: Final = 60
_END_BYTES: Final = 256 << 10
_FREE_HOT_LINES: Final = 20_000

# Words of exceptions and crashes; the lines after them go on with the message.
_LOUD: Final = (
    'rror|ERR|xception|Traceback|File (?:"|\u201c)|[Ff]atal|FATAL|[Ff]ault|FAULT|[Aa]bort|'
    "erminate|panic|[Kk]illed|HSA_|HIP|CUDA|hip[A-Z]|NCCL|RCCL|amdgpu|NVRM|Interrupt|Exit|"
    "[Cc]ore dumped"
)
# Words of lines that say why in a sentence of their own.
_TELLING: Final = (
    "ssert|annot |an't |n't |ould not|[Nn]ot |NOT |[Nn]o |NVML|[Dd]river|[Rr]efuse|[Dd]enied|"
    "[Uu]nable|upported|[Ss]ignal|SIG[A-Z]|[Oo]ut of |OOM|oom|[Mm]emory|xceed|nvalid|equire|"
    "ismatch|[Ff]ail|ime-?d? ?out|TIMEOUT|[Ll]imit|[Mm]issing|nexpected|ndefined|nrecogni|nknown|"
    "navailable|nsufficient|xited |low on |robe |CANCEL|[Mm]ust |hould |greater|larger|smaller|"
    "in use|is used|orrupt|quota|[Ss]hutting|died|dead|stuck|[Ww]aiting|[Bb]us |version|_len|_size|"
    "KV cache|GiB|/dev/"
)
# Signs that a server begins to come up, that it did, and that an engine works, in any version.
_BOOT_SIGNS: Final = (b"Started server process", b"vLLM API server version")
_START_SIGNS: Final = (b"Application startup complete", b"Uvicorn running on")
_WORK_SIGNS: Final = (
    b'"GET /health HTTP/1.1" 200',
    b'"GET /v1/models HTTP/1.1" 200',
    b'completions HTTP/1.1" 200',
    b'completions HTTP/1.1" 400',
    b'embeddings HTTP/1.1" 200',
    b"Graph capturing finish",
    b"Processed prompts: 100%",
    b"okens/s",
    b"tok/s",
    b"tok_s",
)


@dataclass(frozen=True, slots=True)
class HotLine:
    """A line that may matter.

    Attributes:
        number: Its number in the file as given, from 1.
        text: The line, or what stands between two carriage returns of it; cut at 16 KiB.
    """

    number: int
    text: str


def _latin1_options() -> re2.Options:
    # Whatever the encoding, every byte has to match "anything but a line feed".
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    return options


_HOT_LINE: Final = re2.compile(rf"[^\n]*(?:{_LOUD}|{_TELLING})[^\n]*".encode(), _latin1_options())
_LOUD_LINE: Final = re2.compile(rf"[^\n]*(?:{_LOUD})[^\n]*".encode(), _latin1_options())
_HAS_LOUD: Final = re2.compile(_LOUD.encode(), _latin1_options())


class LogScan:
    """One pass over a log; what it tells besides the lines is complete when they are read.

    Args:
        stream: The log, opened for reading bytes. UTF-16, as PowerShell writes it, is recognised.

    Attributes:
        lines: Lines read so far.
        boot_line: The last line that shows a server that begins to come up, 0 where none does.
        start_line: The last line that shows a server that came up, 0 where none does.
        work_line: The last line that shows an engine at work, 0 where none does.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._blocks = _blocks(stream)
        self._emitted = 0
        self.lines = 0
        self.boot_line = 0
        self.start_line = 0
        self.work_line = 0

    def __iter__(self) -> Iterator[HotLine]:
        waiting: bytes | None = None
        for block in self._blocks:
            if waiting is not None:
                yield from self._read(waiting, crowded=self._emitted > _FREE_HOT_LINES)
            waiting = block
        if waiting is not None:
            yield from self._read(waiting, crowded=False)

    def _read(self, block: bytes, *, crowded: bool) -> Iterator[HotLine]:
        yield from self._hot_lines(block, crowded=crowded)
        self.boot_line = self._last_of(_BOOT_SIGNS, block) or self.boot_line
        self.start_line = self._last_of(_START_SIGNS, block) or self.start_line
        self.work_line = self._last_of(_WORK_SIGNS, block) or self.work_line
        self.lines += block.count(b"\n") + (not block.endswith(b"\n"))

    def _last_of(self, signs: Iterable[bytes], block: bytes) -> int:
        last = max(block.rfind(sign) for sign in signs)
        return self.lines + block.count(b"\n", 0, last) + 1 if last >= 0 else 0

    def _hot_lines(self, block: bytes, *, crowded: bool) -> Iterator[HotLine]:
        zones = (
            _zones_of(block, _LOUD_LINE, _CROWDED_ZONES)
            if crowded
            else _zones_of(block, _HOT_LINE, _MAX_ZONES)
        )
        number, counted = self.lines + 1, 0
        for start, end in zones:
            number += block.count(b"\n", counted, start)
            counted = start
            for offset, line in enumerate(block[start:end].split(b"\n")):
                if not (crowded and b"INFO" in line[:_HEAD_BYTES]):
                    self._emitted += 1
                    yield from _segments(number + offset, line)


def _zones_of(block: bytes, pattern: Any, limit: int) -> list[tuple[int, int]]:
    """Return the zones of a block; of a block full of them only some of both its ends."""
    zones = list(islice(_zones(block, pattern), limit))
    if len(zones) < limit:
        return zones
    near_the_end = block.rfind(b"\n", 0, max(0, len(block) - _END_BYTES)) + 1
    begin = max(zones[-1][1] + 1, near_the_end)
    return zones + list(islice(_zones(block, pattern, begin), limit))


def _zones(block: bytes, pattern: Any, begin: int = 0) -> Iterator[tuple[int, int]]:
    """Yield where the lines of interest and their tails stand, without overlap."""
    done = begin
    for match in pattern.finditer(block, begin):
        start, end = match.span()
        if end <= done:
            continue
        start = max(start, done)
        if _HAS_LOUD.search(block, start, end):
            end = _tail_end(block, end)
        yield start, end
        done = end + 1


def _tail_end(block: bytes, end: int) -> int:
    for _ in range(_TAIL_LINES):
        end = block.find(b"\n", end + 1)
        if end < 0:
            return len(block)
    return end


def _segments(number: int, line: bytes) -> Iterator[HotLine]:
    text = _clip(line).decode("utf-8", "replace")
    for segment in text.split("\r"):
        if segment.strip():
            yield HotLine(number, segment)


def _clip(line: bytes) -> bytes:
    if len(line) <= _MAX_LINE_BYTES:
        return line
    # What a progress bar drew last is at the end.
    half = _MAX_LINE_BYTES // 2
    return line[:half] + b"\r" + line[-half:]


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield blocks of whole lines; of a line longer than a block, its beginning and its end."""
    rest = b""
    for chunk in utf8_chunks(stream):
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            rest = _clip(rest) + chunk if len(rest) > _BLOCK_BYTES else rest + chunk
            continue
        yield rest + chunk[:cut]
        rest = chunk[cut:]
    if rest:
        yield rest


def utf8_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield a stream in chunks, two-byte text turned into UTF-8; other bytes as they are."""
    first = stream.read(_BLOCK_BYTES)
    encoding = _wide_encoding(first)
    chunks = _chunks(first, stream)
    if encoding is None:
        yield from chunks
    else:
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8", "replace")


def _chunks(first: bytes, stream: BinaryIO) -> Iterable[bytes]:
    chunk = first
    while chunk:
        yield chunk
        chunk = stream.read(_BLOCK_BYTES)


def _wide_encoding(head: bytes) -> str | None:
    """Return the encoding of two-byte text, by its mark or by its zero bytes; None for others."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = head[:4096]
    if len(sample) < 4:
        return None
    if sample[1::2].count(0) > 0.7 * len(sample[1::2]):
        return "utf-16-le"
    if sample[0::2].count(0) > 0.7 * len(sample[0::2]):
        return "utf-16-be"
    return None
