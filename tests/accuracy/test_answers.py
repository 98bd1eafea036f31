"""Answers that survive an interruption."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.accuracy.answers import Answer
from hwval.accuracy.answers import AnswerFile
from hwval.accuracy.answers import request_key

ANSWER = Answer("the answer is (A)", "stop", 0.5, 7)


def test_answers_are_found_again(tmp_path: Path) -> None:
    """What was put is there for the next process, in a folder that is made."""
    path = tmp_path / "deep" / "x.jsonl"
    with AnswerFile(path) as answers:
        answers.put("one", ANSWER)
        answers.put("two", Answer("\ud800\u2028\n", "", 1.0))
    with AnswerFile(path) as answers:
        assert answers.get("one") == ANSWER
        assert answers.get("two") == Answer("\ud800\u2028\n", "", 1.0)
        assert answers.get("three") is None


@given(cut=st.integers(0, 400))
def test_a_kill_loses_the_last_line_at_most(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    """Wherever the file ends, whole lines are read and new ones stand on their own."""
    path = tmp_path_factory.mktemp("cut") / "x.jsonl"
    with AnswerFile(path) as answers:
        for index in range(4):
            answers.put(str(index), ANSWER)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    lines = whole[:cut].count(b"\n")
    with AnswerFile(path) as answers:
        assert [answers.get(str(index)) is not None for index in range(4)] == [
            index < lines for index in range(4)
        ]
        answers.put("new", ANSWER)
    with AnswerFile(path) as answers:
        assert answers.get("new") == ANSWER


def test_a_line_of_another_version_is_asked_again(tmp_path: Path) -> None:
    """What cannot be read is no answer, and no error."""
    path = tmp_path / "x.jsonl"
    path.write_text('{"key": "one", "colour": "red"}\n[]\n')

    with AnswerFile(path) as answers:
        assert answers.get("one") is None


def test_two_processes_share_no_file(tmp_path: Path) -> None:
    """The second keeps its answers to itself, the first is not disturbed."""
    path = tmp_path / "x.jsonl"
    with AnswerFile(path) as first:
        first.put("one", ANSWER)
        with AnswerFile(path) as second:
            assert second.get("one") is None
            second.put("two", ANSWER)
            assert second.get("two") == ANSWER
    with AnswerFile(path) as later:
        assert later.get("one") == ANSWER
        assert later.get("two") is None


def test_only_the_owner_forgets(tmp_path: Path) -> None:
    """Who came second takes nothing from the first."""
    path = tmp_path / "x.jsonl"
    with AnswerFile(path) as first:
        with AnswerFile(path) as second:
            second.forget()
        first.put("one", ANSWER)
        assert path.exists()
        with AnswerFile(path) as third:
            assert third.get("one") is None
        first.forget()

    assert not path.exists()
    AnswerFile(None).forget()


def test_without_a_file_answers_are_kept_in_memory() -> None:
    """Nothing is written, everything is found."""
    with AnswerFile(None) as answers:
        answers.put("one", ANSWER)

        assert answers.get("one") == ANSWER


def test_a_request_is_known_by_its_whole_body() -> None:
    """Equal texts with other options, other limits or another turn are other requests."""
    body = {"prompt": "Which? A. x", "max_tokens": 5}
    keys = {
        request_key(body),
        request_key(body | {"prompt": "Which? A. y"}),
        request_key(body | {"max_tokens": 6}),
        request_key(body, repeat=1),
    }

    assert len(keys) == 4
    assert request_key({"max_tokens": 5, "prompt": "Which? A. x"}) == request_key(body)
