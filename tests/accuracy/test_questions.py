"""The questions that come with hwval."""

from __future__ import annotations

import pytest

from hwval.accuracy.questions import questions_folder
from hwval.errors import UsageError
from tests.fakes.replay import LETTERS
from tests.fakes.replay import completions_prompt
from tests.fakes.replay import read_rows


def test_shipped_questions_have_the_form_of_mmlu_pro() -> None:
    """Every answer is one of the options, and every example is solved."""
    folder = questions_folder("biology")
    questions, examples = read_rows(folder / "test.jsonl"), read_rows(folder / "validation.jsonl")

    assert (len(questions), len(examples)) == (12, 5)
    for row in questions + examples:
        assert row["category"] == "biology"
        assert row["answer"] == LETTERS[row["answer_index"]]
        assert row["answer_index"] < len(row["options"]) <= len(LETTERS)
    assert all(f"answer is ({row['answer']})" in row["cot_content"] for row in examples)


def test_texts_repeat_and_prompts_do_not() -> None:
    """As in MMLU-Pro: whoever knows a question by its text alone mixes answers up."""
    questions = read_rows(questions_folder("biology") / "test.jsonl")

    assert len({row["question"] for row in questions}) == 11
    assert len({completions_prompt(row, []) for row in questions}) == 12


def test_an_unknown_name_is_told_what_there_is() -> None:
    """One line with the names."""
    with pytest.raises(UsageError, match="shipped:maths: no such questions; shipped are biology"):
        questions_folder("maths")
