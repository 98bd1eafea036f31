"""`hwval compare`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hwval.compare import compare_runs
from hwval.result import read_run
from hwval.verdict import Outcome
from tests.cli.calling import Call
from tests.fakes.sample_run import HOSTILE
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_verdict
from tests.fakes.two_runs import SERVING
from tests.fakes.two_runs import TASK
from tests.fakes.two_runs import measured
from tests.fakes.two_runs import scored
from tests.fakes.two_runs import write_run

CELL = make_cell(questions=("load/ready", "generate/chat", "generate/stream", SERVING, TASK))
STEADY = (1.0, 1.01, 0.99, 1.0, 1.005)


def two_runs(folder: Path) -> None:
    """Write a run and one that is worse in every way."""
    right = [True] * 30 + [False] * 10
    write_run(
        folder / "base",
        [
            measured(
                folder / "base", CELL, {"": {"output_tokens_per_s": [100 * one for one in STEADY]}}
            ),
            scored(folder / "base", CELL, right),
        ],
        cells=[CELL],
    )
    write_run(
        folder / "new",
        [
            make_verdict(CELL, "generate/chat", Outcome.FAIL, HOSTILE, cause="wrong-answer"),
            make_verdict(CELL, "generate/stream", Outcome.BLOCKED, "x", blocked_by="generate/chat"),
            measured(
                folder / "new", CELL, {"": {"output_tokens_per_s": [80 * one for one in STEADY]}}
            ),
            scored(folder / "new", CELL, [False] * 10 + right[10:]),
        ],
        cells=[CELL],
    )


def test_what_got_worse_is_told_and_is_a_negative_answer(hwval: Call, tmp_path: Path) -> None:
    """Verdicts, speed and accuracy, each with both numbers; exit status 1."""
    two_runs(tmp_path)
    code, out, err = hwval("compare", "base", "new")

    assert (code, err) == (1, "")
    assert "worse generate/chat: PASS -> FAIL: wrong-answer" in out
    assert "worse 1 question behind generate/chat cannot be asked now" in out
    assert "0.800" in out
    assert "0.7500 -> 0.5000 of 40 questions, 10 lost and 0 won" in out
    assert out.splitlines()[-4:] == [
        "1 cell compared",
        "  5 questions: 2 worse, 3 as before",
        "  1 measurement: 1 worse",
        "  1 accuracy task: 1 worse",
    ]
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_other_way_round_everything_is_better(hwval: Call, tmp_path: Path) -> None:
    """Exit status 0."""
    two_runs(tmp_path)
    code, out, _ = hwval("compare", "new", "base")

    assert code == 0
    assert [line.rpartition(": ")[2] for line in out.splitlines()[-3:]] == [
        "2 better, 3 as before",
        "1 better",
        "1 better",
    ]


def test_same_twice_is_one_line_and_all_shows_more(hwval: Call, tmp_path: Path) -> None:
    """What did not change is counted, and shown when asked for."""
    for name in ("base", "new"):
        write_run(tmp_path / name)
    code, out, _ = hwval("compare", "base", "new")
    _, everything, _ = hwval("compare", "base", "new", "--all")

    assert (code, out) == (
        0,
        "base -> new\n\n1 cell compared\n  2 questions: 2 as before\n",
    )
    assert "same load/ready: PASS -> PASS" in everything


def test_what_is_not_compared_is_told_and_counted(hwval: Call, tmp_path: Path) -> None:
    """On a narrow terminal too, and with text of logs in the reason."""
    for name, points in (("base", ("a", "b")), ("new", ("a", "c"))):
        values = {point: {"output_tokens_per_s": STEADY} for point in points}
        answer = measured(tmp_path / name, CELL, values)
        write_run(tmp_path / name, [answer], cells=[CELL])
    code, out, _ = hwval("compare", "base", "new")

    assert code == 0
    assert "not compared performance/serving: c: measured now, not before" in out
    assert "not compared performance/serving: b: measured before, not now" in out
    assert "1 more measurement without a sure change (--all shows it)" in out
    assert out.splitlines()[-2:] == [
        "  1 measurement: 1 without a sure change",
        "  not compared, for the reasons above: 2",
    ]


def test_cells_of_one_run_alone_are_counted(hwval: Call, tmp_path: Path) -> None:
    """Named above, and in the last lines, since what is not asked any more is no good news."""
    cells = [make_cell(f"m{number}", questions=("load/ready",)) for number in range(4)]
    write_run(tmp_path / "base", cells=cells[:3])
    write_run(tmp_path / "new", cells=cells[2:])
    code, out, _ = hwval("compare", "base", "new")

    assert code == 0
    assert f"only the base run asked {cells[0].cell}, {cells[1].cell}\n" in out
    assert "\n1 cell compared, 2 of the base run alone, 1 of the new run alone\n" in out


def test_json_says_the_same(hwval: Call, tmp_path: Path) -> None:
    """For programs, with the same exit status."""
    two_runs(tmp_path)
    code, out, _ = hwval("compare", "base", "new", "--json")
    data = json.loads(out)

    assert (code, data["worse"]) == (1, True)
    assert data["cells"][0]["speed"][0]["change"] == "worse"
    assert data["cells"][0]["accuracy"][0]["lost"] == 10


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("base", "none"), "name the folder of a run"),
        (("base", "base"), "are the same run"),
        (("base", "other"), "not comparable"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    hwval: Call, tmp_path: Path, names: tuple[str, str], problem: str
) -> None:
    """Exit status 2."""
    write_run(tmp_path / "base")
    write_run(tmp_path / "other", cells=[make_cell("synthetic:phi3")])
    code, out, err = hwval("compare", *names)

    assert (code, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1


def test_every_outcome_compares_with_every_other(hwval: Call, tmp_path: Path) -> None:
    """A run with all nine words against a good one."""
    from hwval.result import Journal

    for name in ("a", "b"):
        run = all_outcomes(tmp_path / name, complete=name == "a")
        with Journal(run.folder) as journal:
            journal.append(run.head, *run.cells, *run.engines, *run.verdicts)
    code, out, _ = hwval("compare", "a", "b", "--all")
    found = compare_runs(read_run(tmp_path / "a"), read_run(tmp_path / "b"))

    assert (code, found.got_worse) == (0, False)
    assert len(found.cells) == 6
    assert "cut short" in out


def test_lost_answers_have_a_line_of_their_own(hwval: Call, tmp_path: Path) -> None:
    """Exit status 0 must not be taken for good news of what nobody answered."""
    write_run(tmp_path / "base")
    write_run(tmp_path / "new", [make_verdict(CELL, "generate/chat", Outcome.INCONCLUSIVE, "x")])
    code, out, _ = hwval("compare", "base", "new")

    assert code == 0
    assert out.splitlines()[-1] == (
        "  1 of 2 questions has no answer in the new run: whether they got worse is not known"
    )


def test_folder_of_runs_is_refused_with_the_newest(hwval: Call, tmp_path: Path) -> None:
    """Whoever names the folder above wants one of those in it."""
    for age, name in enumerate(("new", "old", "older", "oldest")):
        write_run(tmp_path / "all" / name)
        os.utime(tmp_path / "all" / name / "records.jsonl", (10**9 - age, 10**9 - age))
    code, out, err = hwval("compare", "all", "all/old")

    assert (code, out) == (2, "")
    assert err == (
        "hwval: all is a folder of runs; name one of them, newest all/new, all/old, all/older\n"
    )
