"""The answer for people, in terminals of any width, with and without colour."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from hwval.cli.answer import print_answer
from hwval.cli.answer import print_overview
from hwval.diagnosis import Diagnosis
from hwval.diagnosis import Evidence
from hwval.redaction import Redactor

FOUND = Diagnosis(
    cause="host-oom-killed",
    family="memory",
    evidence=Evidence(1234, "text of the evidence"),
    summary="It needs 3.81 GiB and 1.0 GiB is there.",
    remedy="Give it more: --memory 8g. See https://docs.vllm.ai/en/latest/usage/troubleshooting/",
    fingerprint="host-oom-killed:0123456789",
    secondary=("port-in-use", "disk-full"),
)
HEALTHY = Diagnosis(None, None, None, "The engine is healthy.", "", None)
LINES = {1233: "before", 1234: "漢字" * 600, 1235: "\tafter " + "x" * 600}


def shown(
    diagnosis: Diagnosis = FOUND, lines: dict[int, str] | None = None, *, width: int = 4000
) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    print_answer(console, "a.log", diagnosis, lines or {}, Redactor([]))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_rows_fit_the_terminal(width: int) -> None:
    """Nothing is wider than the terminal, and no row has spaces at its end."""
    rows = shown(lines=LINES, width=width).splitlines()

    assert max(map(cell_len, rows)) <= width
    assert [row for row in rows if row.endswith(" ") and not row.endswith("| ")] == []


def test_evidence_is_folded_and_neighbours_are_cut() -> None:
    """Eight rows for what matters, two for each neighbour; what is left out is marked."""
    rows = shown(lines=LINES, width=60).partition("\n\n")[2].splitlines()

    assert [row[:9] for row in rows[:2]] == ["  1233 | ", "> 1234 | "]
    assert len(rows) == 1 + 8 + 2
    assert rows[8].rstrip().endswith(" ...")
    assert rows[10].endswith(" ...")
    assert rows[9].startswith("  1235 |         after xxx")


def test_five_lines_say_everything() -> None:
    """File, title, id, family; why; where; remedy; what else."""
    head, why, where, remedy, also = shown().partition("\n\n")[0].splitlines()

    assert head == "a.log: killed by the kernel for memory [host-oom-killed, family memory]"
    assert why == "  why        It needs 3.81 GiB and 1.0 GiB is there."
    assert where == "  evidence   line 1234"
    assert remedy.startswith("  remedy     Give it more: --memory 8g. See https://docs.vllm.ai")
    assert also == ("  also seen  port-in-use, disk-full; fingerprint host-oom-killed:0123456789")


def test_evidence_is_shown_without_its_neighbours_too() -> None:
    """Where the lines were not kept, the diagnosis still has the text."""
    assert shown().endswith("\n> 1234 | text of the evidence\n")


@pytest.mark.parametrize("no_color", [True, False])
def test_mark_needs_no_colour(monkeypatch: pytest.MonkeyPatch, *, no_color: bool) -> None:
    """Colour only adds to it, and NO_COLOR is respected."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    print_answer(console, "a.log", FOUND, {1234: "evidence"}, Redactor([]))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()

    assert "> 1234 | " in text
    assert ("\x1b[1;31m" in text) is not no_color


def test_overview_has_a_row_for_each_log() -> None:
    """Also for those that could not be read."""
    console = Console(file=io.StringIO(), width=80)
    print_overview(console, [("a\x1b.log", FOUND), ("b", None), ("c", HEALTHY)])
    assert isinstance(console.file, io.StringIO)
    rows = [row.split() for row in console.file.getvalue().splitlines()[3:]]

    assert rows == [
        ["a\\x1b.log", "1234", "host-oom-killed", "memory"],
        ["b", "could", "not", "be", "read"],
        ["c", "healthy"],
    ]
