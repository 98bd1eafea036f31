"""Data on this host."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble
from hwval.accuracy.localdata import local_data


def test_a_folder_stands_in_for_the_hub(tmp_path: Path) -> None:
    """A plain folder has no subsets; a copy of a repository has those of its README."""
    (tmp_path / "test.jsonl").write_text("")
    plain = local_data(str(tmp_path))
    (tmp_path / "README.md").write_text("")
    copy = local_data(str(tmp_path))

    assert plain == {"dataset_path": str(tmp_path), "dataset_kwargs": None, "dataset_name": None}
    assert copy == {"dataset_path": str(tmp_path), "dataset_kwargs": None}


def test_files_are_named_by_split(tmp_path: Path) -> None:
    """The kind of file chooses what reads it."""
    files = {"test": str(tmp_path / "a.jsonl"), "validation": str(tmp_path / "b.json")}
    for path in files.values():
        Path(path).write_text("")

    assert local_data(files) == {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files},
    }


def test_what_is_not_there_or_not_read_is_named(tmp_path: Path) -> None:
    """Folder, file and kind."""
    table, text = tmp_path / "a.csv", tmp_path / "a.txt"
    empty = tmp_path / "empty" / "deeper"
    empty.mkdir(parents=True)
    table.write_text("")
    text.write_text("")
    cases: dict[str, str | dict[str, str]] = {
        "/nowhere, are no folder": "/nowhere",
        "/empty holds no file": str(empty.parent),
        "/nowhere.csv is no file": {"test": "/nowhere.csv"},
        "found .txt, expected one kind of .jsonl": {"test": str(text)},
        "found .csv, .txt, expected": {"test": str(table), "validation": str(text)},
    }
    for problem, place in cases.items():
        with pytest.raises(SetbackError, match=problem) as caught:
            local_data(place)
        assert caught.value.trouble is Trouble.DATASET
