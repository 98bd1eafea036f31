"""Whose answers may be found again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwval.accuracy.identity import answers_file
from hwval.accuracy.identity import folder_digest

FACTS = {"cell": "abc", "image": "sha256:1", "model": "rev", "server": "0.32.0"}


def test_the_same_making_has_the_same_file(tmp_path: Path) -> None:
    """The order in which facts are told says nothing."""
    again = dict(reversed(FACTS.items()))

    assert answers_file(tmp_path, "t", FACTS) == answers_file(tmp_path, "t", again)


@pytest.mark.parametrize("fact", FACTS)
def test_another_making_has_another_file(tmp_path: Path, fact: str) -> None:
    """Each fact counts, and so does the task."""
    other = answers_file(tmp_path, "t", {**FACTS, fact: "other"})

    assert other != answers_file(tmp_path, "t", FACTS)
    assert answers_file(tmp_path, "u", FACTS) != answers_file(tmp_path, "t", FACTS)


@pytest.mark.parametrize("fact", FACTS)
def test_what_is_not_known_keeps_nothing(tmp_path: Path, fact: str) -> None:
    """A branch of the Hub may be another model tomorrow."""
    assert answers_file(tmp_path, "t", {**FACTS, fact: None}) is None


def test_old_answers_are_forgotten(tmp_path: Path) -> None:
    """Answers of last week say nothing of the machine of today."""
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    for path in (old, new):
        path.write_text("{}")
    os.utime(old, (0, 0))
    answers_file(tmp_path, "t", FACTS)

    assert (old.exists(), new.exists()) == (False, True)


def test_a_lock_stays(tmp_path: Path) -> None:
    """Whoever holds it would else share its answers with the next."""
    lock = tmp_path / "x.jsonl.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    answers_file(tmp_path, "t", FACTS)

    assert lock.exists()


def test_a_folder_with_other_files_has_another_digest(tmp_path: Path) -> None:
    """Names and sizes count."""
    (tmp_path / "a").write_text("1")
    first = folder_digest(tmp_path)
    (tmp_path / "a").write_text("22")
    second = folder_digest(tmp_path)

    assert first != second == folder_digest(tmp_path)
