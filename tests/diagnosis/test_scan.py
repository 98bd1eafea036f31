"""Which lines of a log are read, and that their numbers are those of the file."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.diagnosis import scan
from hwval.diagnosis.scan import HotLine
from hwval.diagnosis.scan import LogScan

QUIET = "INFO 11-20 10:00:00 [a.py:1] hello"
ERROR = "ValueError: no"


def read(data: bytes) -> tuple[list[HotLine], LogScan]:
    log = LogScan(io.BytesIO(data))
    return list(log), log


def test_error_is_found_with_its_number_and_what_follows_it() -> None:
    """Numbers count line feeds from 1; the message may go on in the next lines."""
    lines, log = read("\n".join([QUIET, QUIET, ERROR, "  more", *[QUIET] * 20]).encode())

    assert lines[0] == HotLine(3, ERROR)
    assert lines[1] == HotLine(4, "  more")
    assert len(lines) < 10
    assert log.lines == 24


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_do_not_matter(end: bytes) -> None:
    """Windows' carriage return is not part of the text and does not count."""
    lines, log = read(end.join([QUIET.encode(), ERROR.encode()]) + end)

    assert lines == [HotLine(2, ERROR)]
    assert log.lines == 2


def test_progress_bar_is_one_line_of_many_segments() -> None:
    """What a carriage return redraws stays on its line; a message behind it is seen."""
    bar = "\r".join(f"Loading: {n}%" for n in range(50))
    lines, _ = read(f"{QUIET}\n{bar}\r{ERROR}\n{QUIET}".encode())

    assert HotLine(2, ERROR) in lines


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1"])
def test_encodings(encoding: str) -> None:
    """PowerShell writes UTF-16, with or without its mark; no byte of any other stops the scan."""
    lines, log = read(f"{QUIET} \xe9\n{ERROR} \xe9\n{QUIET}\n".encode(encoding))

    assert [line.number for line in lines if ERROR in line.text] == [2]
    assert log.lines == 3


def test_life_is_seen_at_its_last_sign() -> None:
    """A server came up, an engine worked."""
    ready = "INFO:     Application startup complete."
    work = "Avg prompt throughput: 108.5 tokens/s"
    _, log = read(f"{QUIET}\n{ready}\n{QUIET}\n{work}\n{work}".encode())

    assert (log.start_line, log.work_line) == (2, 5)
    _, quiet = read(QUIET.encode())
    assert (quiet.start_line, quiet.work_line) == (0, 0)


def test_numbers_go_on_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block ends anywhere; a line is never split and never counted twice."""
    monkeypatch.setattr(scan, "_BLOCK_BYTES", 64)
    data = "\n".join(f"{QUIET} {n}" if n % 7 else f"{ERROR} {n}" for n in range(1, 101))

    lines, log = read(data.encode())

    assert [line.number for line in lines if ERROR in line.text] == list(range(7, 101, 7))
    assert log.lines == 100


def test_crowded_log_is_read_at_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a flood of errors some are read, and what ended it is read whole."""
    monkeypatch.setattr(scan, "_BLOCK_BYTES", 20_000)
    monkeypatch.setattr(scan, "_END_BYTES", 2_000)
    monkeypatch.setattr(scan, "_FREE_HOT_LINES", 100)
    monkeypatch.setattr(scan, "_CROWDED_ZONES", 3)
    flood = [f"RuntimeError: flood {n}" for n in range(1, 20_001)]

    lines, log = read("\n".join([*flood, "out of memory"]).encode())

    assert lines[0].number == 1
    assert lines[-1] == HotLine(20_001, "out of memory")
    assert len(lines) < 2_500
    assert log.lines == 20_001


def test_one_line_of_50_mb_takes_bounded_memory() -> None:
    """Its beginning and its end are read; what follows it has the right number."""

    class Stream(io.RawIOBase):
        left = 50 << 20

        def read(self, size: int = -1) -> bytes:
            if self.left < 0:
                return b""
            chunk = min(size, self.left)
            self.left -= chunk or 1
            return b"ab" * (chunk // 2) if chunk else b" end\nValueError: after it\n"

    tracemalloc.start()
    lines, log = read_stream(Stream())
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert HotLine(2, "ValueError: after it") in lines
    assert log.lines == 2
    assert peak_bytes < 40 << 20


def read_stream(stream: io.RawIOBase) -> tuple[list[HotLine], LogScan]:
    log = LogScan(stream)  # type: ignore[arg-type] # a pipe reads like this
    return list(log), log


@given(st.binary(max_size=2000))
def test_any_bytes_are_read(data: bytes) -> None:
    """Numbers stay within the file and never go back."""
    lines, log = read(data)
    numbers = [line.number for line in lines]

    assert numbers == sorted(numbers)
    assert all(1 <= number <= log.lines for number in numbers)
