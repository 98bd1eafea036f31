"""The journal: what is written comes back, and what cannot be read is an error with a place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.errors import UsageError
from hwval.result import FORMAT_VERSION
from hwval.result import Journal
from hwval.result import Run
from hwval.result import VerdictRecord
from hwval.result import from_json
from hwval.result import read_run
from hwval.result import to_json
from hwval.verdict import Outcome
from tests.fakes.sample_run import HOSTILE
from tests.fakes.sample_run import all_outcomes


def write(run: Run) -> Path:
    """Write ``run`` as a journal; return the file."""
    with Journal(run.folder) as journal:
        journal.append(run.head, *run.cells, *run.engines)
        for verdict in run.verdicts:
            journal.append(verdict)
        if run.end is not None:
            journal.append(run.end)
    return run.folder / "records.jsonl"


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every record is read as it was written, hostile text and lone surrogates included."""
    run = all_outcomes(tmp_path)

    write(run)

    assert read_run(tmp_path) == run


@given(st.text(st.characters(), max_size=30), st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_and_number_survives(text: str, number: float) -> None:
    """A record is the same after a trip through JSON, whatever stands in it."""
    record = VerdictRecord("c", "q", text, Outcome.NOT_RUN, numbers={"x_s": number}, details=text)

    assert from_json(json.loads(json.dumps(to_json(record)))) == record


def test_a_last_line_without_its_end_is_left_out(tmp_path: Path) -> None:
    """A kill in the middle of a write costs that record and no other."""
    run = all_outcomes(tmp_path)
    path = write(run)
    whole = path.read_bytes()

    path.write_bytes(whole[:-20])

    assert read_run(tmp_path) == Run(
        run.folder, run.head, run.cells, run.engines, run.verdicts, None
    )


def test_each_appended_record_is_a_line_with_the_format_version(tmp_path: Path) -> None:
    """The file is JSON lines, one record each."""
    run = all_outcomes(tmp_path)
    lines = write(run).read_text("utf-8").splitlines()

    assert len(lines) == 2 + len(run.cells) + len(run.engines) + len(run.verdicts)
    assert {json.loads(line)["v"] for line in lines} == {FORMAT_VERSION}


def test_a_journal_of_the_first_format_is_read(tmp_path: Path) -> None:
    """Verdicts of that time have neither checks nor files."""
    run = all_outcomes(tmp_path)
    path = write(run)
    old = [json.loads(line) | {"v": 1} for line in path.read_text("utf-8").splitlines()]
    for record in old:
        record.pop("checks", None)
        record.pop("files", None)
    path.write_text("".join(json.dumps(record) + "\n" for record in old), "utf-8")

    assert [replace(verdict, checks=(), files={}) for verdict in run.verdicts] == list(
        read_run(tmp_path).verdicts
    )


def test_a_file_is_found_inside_the_run_alone(tmp_path: Path) -> None:
    """Names that lead out, links that lead out, and names that no file can have are none."""
    folder = tmp_path / "run"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "a.log").touch()
    (folder / "way-out").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    run = replace(all_outcomes(tmp_path), folder=folder)

    assert run.path("logs/a.log") == (folder / "logs" / "a.log").resolve()
    for name in ("../run2/a", "/etc/hostname", "way-out/secret", "a\0b", "\ud800", "../run-2/a"):
        assert run.path(name) is None, name
    assert run.path("loop") in {None, folder.resolve() / "loop"}  # as Python tells loops


def test_host_of_a_cell_is_that_of_the_run_that_asked_it(tmp_path: Path) -> None:
    """Also where runs were merged more than once; odd facts are none."""
    run = all_outcomes(tmp_path)
    inner = {"hostname": "a, b", "run a": {"hostname": "lab-a"}}
    merged = replace(run, head=replace(run.head, host={"hostname": "all", "run in": inner}))

    def host(made: Run, name: str) -> str:
        return made.host_of(replace(run.cells[0], run=name))

    assert host(run, "") == "lab-7"
    assert [host(merged, name) for name in ("in", "in/a", "in/b")] == ["a, b", "lab-a", ""]
    assert host(replace(run, head=replace(run.head, host={"run in": 5})), "in") == ""


def test_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    """NaN and infinity never reach the journal."""
    record = VerdictRecord("c", "q", "t", Outcome.PASS, numbers={"ttft_s": float("nan")})

    with Journal(tmp_path) as journal, pytest.raises(ValueError, match="not JSON compliant"):
        journal.append(record)

    assert (tmp_path / "records.jsonl").read_bytes() == b""


def test_a_closed_journal_refuses_records(tmp_path: Path) -> None:
    """Closing twice is harmless, writing afterwards is not silent."""
    journal = Journal(tmp_path)
    journal.close()
    journal.close()

    with pytest.raises(ValueError, match="is closed"):
        journal.append(VerdictRecord("c", "q", "t", Outcome.PASS))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"v": 4, "kind": "end"}, r":2: format version 4, expected at most 3"),
        ({"v": [1], "kind": "end"}, r":2: "),
        ({"v": 1, "kind": "star"}, r":2: record kind 'star', expected one of run, cell"),
        ({"v": 1, "kind": "end", "exit_code": 0}, r":2: record of kind 'end' does not fit"),
        ({"v": 1, "kind": "end", "colour": 0}, r":2: record of kind 'end' does not fit"),
        ({"v": 1, "kind": "verdict", "outcome": "GREEN"}, r":2: .*'GREEN' is not a valid Outcome"),
        ([1], r":2: not a JSON object"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: Any, message: str) -> None:
    """The error says file, line and what was expected."""
    run = all_outcomes(tmp_path)
    with Journal(tmp_path) as journal:
        journal.append(run.head)
    path = tmp_path / "records.jsonl"
    path.write_text(path.read_text("utf-8") + json.dumps(line) + "\n", "utf-8")

    with pytest.raises(UsageError, match=message):
        read_run(tmp_path)


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    """Only the end may be cut off; elsewhere a verdict might be missing."""
    path = write(all_outcomes(tmp_path))
    lines = path.read_text("utf-8").split("\n")
    lines[3] = lines[3][:10]
    path.write_text("\n".join(lines), "utf-8")

    with pytest.raises(UsageError, match=r"records\.jsonl:4: "):
        read_run(tmp_path)


def test_a_folder_without_a_journal_is_an_error(tmp_path: Path) -> None:
    """A wrong folder is told at once."""
    with pytest.raises(
        UsageError, match="cannot be read: No such file or directory; name the folder of a run"
    ):
        read_run(tmp_path)


def test_a_journal_without_its_head_is_an_error(tmp_path: Path) -> None:
    """An empty journal says that nothing was recorded."""
    Journal(tmp_path).close()

    with pytest.raises(UsageError, match=r"records\.jsonl:1: the head of the run is missing"):
        read_run(tmp_path)


def test_hostile_text_stays_on_its_line(tmp_path: Path) -> None:
    """Line ends inside a text do not end the record."""
    with Journal(tmp_path) as journal:
        journal.append(VerdictRecord("c", "q", HOSTILE + "\u2028\x85", Outcome.PASS))

    assert (tmp_path / "records.jsonl").read_bytes().count(b"\n") == 1


def test_a_last_line_cut_inside_a_character_is_left_out(tmp_path: Path) -> None:
    """A kill may end the file in the middle of a multi-byte character."""
    run = all_outcomes(tmp_path)
    with Journal(tmp_path) as journal:
        journal.append(run.head, VerdictRecord("c", "q", "t", Outcome.PASS, details="€"))
    path = tmp_path / "records.jsonl"
    whole = path.read_bytes()

    path.write_bytes(whole[: whole.rindex("€".encode()) + 1])

    assert read_run(tmp_path).verdicts == ()


@pytest.mark.parametrize(
    "data",
    [
        {"v": 1, "kind": "cell", "questions": None},
        {"v": 1, "kind": "verdict", "outcome": "GREEN"},
        {"v": 1, "kind": "verdict", "cell": "c", "question": "q", "title": "t", "outcome": None},
        {"v": 1, "kind": "verdict", "cell": "c", "question": "q", "title": "t"},
    ],
)
def test_a_record_that_does_not_fit_is_a_usage_error(data: dict[str, Any]) -> None:
    """No other error leaves, and no verdict is without its word."""
    with pytest.raises(UsageError, match="does not fit"):
        from_json(data)
