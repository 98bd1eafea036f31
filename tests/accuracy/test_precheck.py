"""What is known of a task before an engine is started for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hwval.accuracy import precheck
from hwval.accuracy.precheck import data_problems
from hwval.accuracy.precheck import known_problem
from hwval.accuracy.precheck import task_problem
from hwval.accuracy.promise import TaskSection
from hwval.accuracy.questions import questions_folder
from tests.fakes.replay import read_rows


def test_a_task_that_is_there_has_no_problem() -> None:
    """With its own data, and with those that come with hwval."""
    assert known_problem("mmlu_pro_biology", TaskSection()) is None
    assert known_problem("x", TaskSection(task="arc_easy", dataset="shipped:biology")) is None


def test_missing_data_and_unknown_tasks_are_named(tmp_path: Path) -> None:
    """One line with the task, the path or the name that was meant."""
    gone = tmp_path / "gone"
    cases = {
        f"task gsm8k: its data, {gone}, are no folder": {"task": "gsm8k", "dataset": str(gone)},
        f"task own: its data: {gone}/q.jsonl is no file": {"dataset": {"test": f"{gone}/q.jsonl"}},
        "task mmlu_pro: it is a group; name its tasks one by one": {"task": "mmlu_pro"},
    }
    found = [known_problem("own", TaskSection(**fields)) for fields in cases.values()]  # type: ignore[arg-type]

    assert found == list(cases)


def test_what_a_description_rules_out_is_known_at_once(tmp_path: Path) -> None:
    """Data for tasks made by code, which ask the Hub all the same; metrics, interfaces, kinds."""
    rolling = "loglikelihood_rolling"
    own_code = "task squad_completion: it is made by code of its own, which takes no "
    cases: list[tuple[str, dict[str, Any], str | None]] = [
        ("squad_completion", {}, None),
        ("squad_completion", {"dataset": str(tmp_path)}, f"{own_code}'dataset'; leave it out"),
        ("squad_completion", {"revision": "0" * 40}, f"{own_code}'revision'; leave it out"),
        ("arc_easy", {"metric": "acc_norm,none"}, None),
        (
            "arc_easy",
            {"metric": "acc_nrm,none"},
            "task arc_easy: it has no metric 'acc_nrm,none', but acc,none, acc_norm,none",
        ),
        (
            "arc_easy",
            {"api": "chat"},
            "task arc_easy: it compares log-likelihoods, which chat does not give; use completions",
        ),
        ("mmlu_pro_biology", {"api": "chat", "metric": "exact_match,custom-extract"}, None),
        (
            "wikitext",
            {},
            f"task wikitext: it asks for {rolling}, which has no right and wrong answers",
        ),
    ]

    assert [task_problem(name, TaskSection(**fields)) for name, fields, _ in cases] == [
        problem for _, _, problem in cases
    ]


def test_data_that_cannot_be_asked_are_known_before_an_engine_is(tmp_path: Path) -> None:
    """Other data than pinned, empty ones, other columns, positions and examples not there."""
    rows = read_rows(questions_folder("biology") / "test.jsonl")
    shots = read_rows(questions_folder("biology") / "validation.jsonl")
    good = _write(tmp_path / "good", rows, shots)
    nameless = [{**row, "answer": None} for row in rows]
    cases: dict[str, tuple[dict[str, object], str]] = {
        "good": ({"dataset": good, "limit": 3}, ""),
        "pin": ({"dataset": good, "samples_sha256": "0" * 64}, "not those that were meant"),
        "subset": (
            {"dataset": "shipped:biology", "subset": (3, 12)},
            "12 questions are at 0 to 11",
        ),
        "shots": ({"dataset": "shipped:biology", "shots": 9}, "exceeds the 5 that are available"),
        "few": ({"dataset": _write(tmp_path / "few", rows, shots[:1])}, "exceeds the 1 that"),
        "empty": ({"dataset": _write(tmp_path / "empty", [], shots)}, "cannot be had"),
        "column": ({"dataset": _write(tmp_path / "column", nameless, shots)}, "no right answer"),
        # Not on this host, and nobody asks the Hub.
        "hub": ({"revision": "0" * 40, "samples_sha256": "0" * 64}, ""),
    }
    tasks = {
        name: TaskSection(task="mmlu_pro_biology", **fields)  # type: ignore[arg-type]
        for name, (fields, _) in cases.items()
    }
    found = data_problems(tasks)

    assert found.keys() == {name for name, (_, words) in cases.items() if words}
    assert all(cases[name][1] in problem for name, problem in found.items()), found


def test_nothing_to_look_at_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of the Hub without a pin, and those that come with hwval, are left to the run."""
    monkeypatch.setattr(precheck, "look_at_data", None)
    tasks = {
        "hub": TaskSection(task="arc_easy", samples_sha256="0" * 64),
        "own": TaskSection(task="mmlu_pro_biology", dataset="shipped:biology"),
    }

    assert data_problems(tasks) == {}


def _write(folder: Path, rows: list[dict[str, Any]], shots: list[dict[str, Any]]) -> str:
    folder.mkdir()
    for name, these in (("test", rows), ("validation", shots)):
        text = "".join(json.dumps(row) + "\n" for row in these)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")
    return str(folder)
