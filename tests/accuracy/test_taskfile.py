"""Tasks by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hwval.accuracy.job import SetbackError
from hwval.accuracy.taskfile import find_task

FILES = {
    "a/biology.yaml": 'include: x\ntask: "llama_biology"\n',
    "b/biology.yaml": "task: biology # of MMLU-Pro\ntask_alias: bio\n",
    "b/sums.yaml": '"tag": "maths"\n"task": "maths_sums"\n',
    "b/all.yaml": "group: everything\ntask:\n  - biology\n  - maths_sums\n",
    "b/template.yaml": "dataset_path: x\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A few tasks as lm-evaluation-harness writes them."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("biology", "b/biology.yaml"),
        ("llama_biology", "a/biology.yaml"),
        ("maths_sums", "b/sums.yaml"),
    ],
)
def test_a_task_is_known_by_its_name_not_its_file(folder: Path, name: str, file: str) -> None:
    """Another task's file may have the name; keys may stand in quotes."""
    assert find_task(name, folder) == folder / file


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("everything", "it is a group; name its tasks one by one"),
        ("maths_sum", "knows no such task; did you mean 'maths_sums'"),
        ("**", "knows no such task; "),
    ],
)
def test_what_is_no_task_is_told(folder: Path, name: str, problem: str) -> None:
    """Groups, and names that nothing has, with those that are near."""
    with pytest.raises(SetbackError, match=re.escape(problem)):
        find_task(name, folder)
