"""What is known of a task before an engine is started for it."""

from __future__ import annotations

from pathlib import Path

from hwval.accuracy.precheck import known_problem
from hwval.accuracy.promise import TaskSection


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
