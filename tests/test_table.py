"""The table at the end of a run, in a terminal and in a log file."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hwval.result import Run
from hwval.summary import summarise
from hwval.table import print_table
from hwval.verdict import Outcome
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import large_run
from tests.fakes.sample_run import measured_run


def show(run: Run, *, width: int = 80, terminal: bool = False) -> str:
    """Return what is printed for ``run``."""
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=terminal,
        color_system="truecolor" if terminal else None,
    )
    print_table(summarise(run), console)
    return stream.getvalue()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_fits(tmp_path: Path, width: int) -> None:
    """No line is longer than the terminal is wide, and no verdict is cut."""
    text = show(all_outcomes(tmp_path), width=width)

    assert max(len(line) for line in text.splitlines()) <= width
    for word in ("PASS", "FAIL", "KNOWN", "INCONCLUSIVE", "INFRA", "NOT RUN", "IMPOSSIBLE"):
        assert word in text


def test_names_break_behind_hyphens(tmp_path: Path) -> None:
    """A cause is not cut within a word while it has hyphens."""
    lines = [line.split() for line in show(all_outcomes(tmp_path), width=80).splitlines()]
    place = next(number for number, line in enumerate(lines) if line[:1] == ["KNOWN"])

    assert lines[place][-1] == "context-length-exceeds-"
    assert lines[place + 1] == ["context-too-long", "model"]


def test_a_log_file_gets_plain_ascii(tmp_path: Path) -> None:
    """Without a terminal there are no colours and no rules that a pager cannot show."""
    text = show(all_outcomes(tmp_path))

    assert text.isascii()
    assert "\x1b" not in text


def test_a_terminal_gets_colours_but_no_foreign_escapes(tmp_path: Path) -> None:
    """Escapes of the table are its own; those of a model are shown as text."""
    text = show(all_outcomes(tmp_path), terminal=True)

    assert "\x1b[1;31mFAIL" in text
    assert "\\x1b[31m\\x00" in text
    assert "\x00" not in text


def test_causes_come_with_evidence_and_remedy(tmp_path: Path) -> None:
    """What failed is explained below the table; the blocked share one line."""
    run = all_outcomes(tmp_path)
    failed = tuple(
        replace(verdict, outcome=Outcome.FAIL) if verdict.outcome is Outcome.KNOWN else verdict
        for verdict in run.verdicts
    )
    text = " ".join(show(replace(run, verdicts=failed), width=200).split())

    assert "FAIL load/ready: context-length-exceeds-model" in text
    assert "BLOCKED load/identity and 11 more: blocked by load/ready" in text
    assert ".log:118: ValueError: User-specified max_model_len" in text
    assert "remedy: Lower max-model-len to 2048" in text
    assert "NOT RUN 1 cell not asked: no gfx942-mi300x on this host" in text


def test_what_is_known_needs_no_evidence(tmp_path: Path) -> None:
    """A failure that the ledger knows takes one line for its reason."""
    text = " ".join(show(all_outcomes(tmp_path), width=200).split())

    assert "KNOWN load/ready: context-length-exceeds-model" in text
    assert "remedy: Lower max-model-len to 2048" not in text


def test_wide_terminals_show_hardware_and_image_in_each_row(tmp_path: Path) -> None:
    """Where there is room the five axes are columns."""
    header = show(all_outcomes(tmp_path), width=200).splitlines()[0].split()

    assert header == [
        "verdict", "hardware", "image", "model", "dtype", "variant", "start", "passed", "cause",
    ]  # fmt: skip


def test_a_large_run_says_what_it_leaves_out(tmp_path: Path) -> None:
    """Explanations are limited, and the limit is told."""
    text = show(large_run(tmp_path, 1700))

    assert "12 more cells that did not pass: see the sign-off page" in text


def test_a_run_without_cells_says_that_there_is_no_evidence(tmp_path: Path) -> None:
    """The last line is the headline."""
    run = large_run(tmp_path, 0)

    assert "No cell was asked anything" in show(run)


def test_impossible_cells_are_named_with_their_reason(tmp_path: Path) -> None:
    """Behind the table, so that nobody looks for them in it."""
    lines = show(all_outcomes(tmp_path), width=200).splitlines()
    [told] = [line for line in lines if line.startswith("IMPOSSIBLE ")]

    assert told == "IMPOSSIBLE 1 cell not asked: 141 GB do not fit in 16 GB"
    assert "__llama-70b__" in lines[lines.index(told) + 1]


def test_measurements_stay_short(tmp_path: Path) -> None:
    """A line for each that did not pass; what it was and what is left open; the rest is cut."""
    run = measured_run(tmp_path)
    long = tuple(
        replace(one, reason="x" * 2000) if one.question == "accuracy/score" else one
        for one in run.verdicts
    )
    text = " ".join(show(replace(run, verdicts=long), width=100).split())

    assert "FAIL performance/single_stream: promise-broken: decode_tokens_per_s is 1.13" in text
    assert "floor 42 tokens/s is not decided; a difference of 1.974 tokens/s would be" in text
    assert "x" * 321 not in text.replace(" ", "")
    assert "x ..." in text
