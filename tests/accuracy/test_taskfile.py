"""Tasks by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hwval.accuracy.job import SetbackError
from hwval.accuracy.taskfile import find_task
from hwval.accuracy.taskfile import read_task
from hwval.accuracy.taskfile import refuse_own_data

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


def test_a_description_is_read_with_what_it_includes(tmp_path: Path) -> None:
    """Own keys stand over included ones, and code that is named is not loaded."""
    (tmp_path / "_base").write_text("output_type: multiple_choice\nfew: 1\n")
    (tmp_path / "more").write_text("few: 2\nfunction: !function nowhere.to_be_found\n")
    (tmp_path / "t.yaml").write_text("include: [_base, more]\ntask: t\nown: [{a: 1}]\n")

    assert read_task(tmp_path / "t.yaml") == {
        "output_type": "multiple_choice",
        "few": 2,
        "function": None,
        "task": "t",
        "own": [{"a": 1}],
    }


@pytest.mark.parametrize("text", ["include: t.yaml\n", "- a list\n", "a: [\n"])
def test_what_is_no_description_is_told(tmp_path: Path, text: str) -> None:
    """With its file."""
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"t\.yaml"):
        read_task(tmp_path / "t.yaml")


def test_code_of_its_own_takes_no_data() -> None:
    """Both keys are named; where nothing is said of data, any task will do."""
    refuse_own_data({"class": None}, {"dataset": None, "revision": None})
    refuse_own_data({}, {"dataset": "/data", "revision": None})
    with pytest.raises(SetbackError, match="takes no 'dataset' and no 'revision'"):
        refuse_own_data({"class": None}, {"dataset": "/data", "revision": "0" * 40})
