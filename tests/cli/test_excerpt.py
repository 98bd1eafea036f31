"""The lines around the evidence, from files and from streams that are read once."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import BinaryIO
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.cli.excerpt import PassingLog
from hwval.cli.excerpt import read_excerpt
from hwval.diagnosis import Evidence


class Slow(io.BytesIO):
    """A stream that gives a few bytes at a time, as pipes do."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(7, size) if size and size > 0 else 7)


def passed(content: bytes, part_bytes: int) -> PassingLog:
    log = PassingLog(Slow(content), part_bytes=part_bytes)
    while log.read():
        pass
    return log


def excerpt(content: bytes, line: int, text: str = "") -> dict[int, str]:
    return read_excerpt(io.BytesIO(content), Evidence(line, text))


def test_three_lines_before_and_after() -> None:
    """By their numbers in the file."""
    content = "".join(f"line {n}\n" for n in range(1, 21)).encode()

    assert excerpt(content, 10) == {n: f"line {n}" for n in range(7, 14)}
    assert list(excerpt(content, 1)) == [1, 2, 3, 4]
    assert list(excerpt(content, 20)) == [17, 18, 19, 20]
    assert excerpt(content, 99) == {}
    assert excerpt(b"", 1) == {}


def test_segment_of_a_progress_bar() -> None:
    """Of the evidence its segment, of neighbours what a terminal would show; CRLF is a line end."""
    content = b"bar 1%\rbar 2%\r\nbar 1%\r\x1b[1mError:\x1b[0m odd\rbar 3%\nlast\r\n\r\n"

    assert excerpt(content, 2, "Error: odd") == {1: "bar 2%", 2: "Error: odd", 3: "last", 4: ""}
    assert excerpt(content, 2, "not in it")[2] == "bar 3%"


def test_long_line_is_cut_in_its_middle() -> None:
    """Beginning and end stay, since either may be the evidence."""
    content = b"Error: begin " + b"x" * 10_000_000 + b" Error: end\n"

    assert excerpt(content, 1, "Error: begin xxx")[1].startswith("Error: begin xxx")
    assert excerpt(content, 1, "Error: end")[1].endswith("x Error: end")
    assert len(excerpt(content, 1)[1]) < 20_000


@given(
    lines=st.lists(st.text("ab\u00e9", max_size=12), max_size=30),
    line=st.integers(1, 35),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
def test_stream_gives_what_the_file_gives(lines: list[str], line: int, encoding: str) -> None:
    """As long as everything is kept, whatever the size of the parts."""
    content = "\n".join(["begin", *lines]).encode(encoding)
    with passed(content, part_bytes=1 << 20) as log:
        assert log.excerpt(Evidence(line, "")) == read_excerpt(
            io.BytesIO(content), Evidence(line, "")
        )


@given(st.integers(1, 400), st.integers(20, 2000))
def test_middle_of_a_long_stream_is_let_go(line: int, part_bytes: int) -> None:
    """What is shown is what stands on that line; the first and the last lines are there."""
    content = "".join(f"line {n}\n" for n in range(1, 401)).encode()
    with passed(content, part_bytes) as log:
        found = log.excerpt(Evidence(line, f"line {line}"))
        assert log.excerpt(Evidence(400, ""))[400] == "line 400"
        assert log.excerpt(Evidence(1, ""))[1] == "line 1"

    whole = excerpt(content, line, f"line {line}")
    assert all(
        whole[number].startswith(text) or whole[number].endswith(text)
        for number, text in found.items()
    )


def test_full_disk_costs_the_excerpt_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log passes on."""
    monkeypatch.setattr("tempfile.TemporaryFile", partial(Path("/dev/full").open, "w+b", 0))
    with PassingLog(io.BytesIO(b"all of it")) as log:
        assert cast("BinaryIO", log).read() == b"all of it"
        assert log.excerpt(Evidence(1, "")) == {}
