"""What an answer is worth, without lm-evaluation-harness: stand-ins for its objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.accuracy.grading import Grader
from hwval.accuracy.grading import check_answerable
from hwval.accuracy.grading import question_hash
from hwval.accuracy.job import SetbackError
from tests.accuracy.standins import Instance
from tests.accuracy.standins import LastWord
from tests.accuracy.standins import Task
from tests.accuracy.standins import questions


def test_a_question_is_known_by_all_that_is_asked() -> None:
    """Text, right answer and choices count; columns that nobody reads do not."""
    task, document = Task(), {"text": "a", "target": "x"}
    hashes = [
        question_hash(task, document),
        question_hash(task, document | {"text": "b"}),
        question_hash(task, document | {"target": "y"}),
    ]
    with_choices = Task()
    with_choices.config = SimpleNamespace(doc_to_choice="choices")
    with_choices.doc_to_choice = lambda document: document["choices"]  # type: ignore[attr-defined]
    hashes += [
        question_hash(with_choices, document | {"choices": choices})
        for choices in (["x"], ["x", "y"])
    ]

    assert len(set(hashes)) == len(hashes)
    assert question_hash(task, document | {"source": "a book"}) == hashes[0]


@pytest.mark.parametrize(
    ("document", "choices", "words"),
    [
        ({"target": "x"}, None, ""),
        ({"target": 0}, None, ""),
        ({"target": " "}, None, "question 1 of its data has no right answer: ' '"),
        ({"target": None}, None, "no right answer: 'None'"),
        ({}, None, "question 1 of its data has no column 'target'"),
        ({"target": 1}, ["a", "b"], ""),
        ({"target": "b"}, ["a", "b"], ""),
        ({"target": 2}, ["a", "b"], "no right answer among its 2 choices: '2'"),
        ({"target": -1}, ["a", "b"], "among its 2 choices"),
        ({"target": ["c", "b"]}, ["a", "b"], ""),
        ({"target": np.int64(1)}, ["a", "b"], ""),
    ],
)
def test_questions_without_a_right_answer_are_not_asked(
    document: dict[str, Any], choices: list[str] | None, words: str
) -> None:
    """The harness would count every answer as wrong; a column of another name is enough."""
    task = Task()
    task.config = SimpleNamespace(
        doc_to_target="target", doc_to_choice="x" if choices else None, process_results=None
    )
    # As the harness does where there is no such column.
    task.doc_to_target = lambda document: document.get("target", "target")  # type: ignore[method-assign]
    task.doc_to_choice = lambda _: choices  # type: ignore[attr-defined]
    rows = [{"target": "b"}, document]

    if not words:
        check_answerable(task, rows)
    else:
        with pytest.raises(SetbackError, match=re.escape(words)):
            check_answerable(task, rows)
        task.config.process_results = len
        check_answerable(task, rows)  # scored by code of the task's own


@pytest.mark.parametrize(
    ("constant", "choices"),
    [(0, ["a", "b"]), (["a"], ["a", "b"]), ("yes", ["yes", "no"])],
)
def test_a_right_answer_that_is_the_same_for_all(constant: Any, choices: list[str]) -> None:
    """Of many tasks the first choice is right: their description has a number and no column."""
    task = Task()
    task.config = SimpleNamespace(doc_to_target=constant, doc_to_choice="x", process_results=None)
    task.doc_to_target = lambda document: constant  # type: ignore[method-assign]  # noqa: ARG005
    task.doc_to_choice = lambda _: choices  # type: ignore[attr-defined]

    check_answerable(task, [{"text": "a"}])


def _take_first(probes: list[Any]) -> None:
    for probe in probes:
        probe.filtered_resps["none"] = probe.resps[0]


class Weighing(Task):
    """Compares choices as the harness does."""

    _filters = (SimpleNamespace(name="none", apply=_take_first),)
    _metric_fn_list = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")
    config = SimpleNamespace(doc_to_choice="choices")

    def doc_to_choice(self, document: Mapping[str, Any]) -> list[str]:
        return list(document["choices"])

    def process_results(self, document: Mapping[str, Any], results: list[Any]) -> dict[str, float]:
        choices = document["choices"]
        told = [value for value, _ in results][: len(choices)]
        alone = [value for value, _ in results][len(choices) :] or told
        weighed = {
            "acc": told,
            "acc_norm": [value / len(one) for value, one in zip(told, choices, strict=True)],
            "acc_bytes": [
                value / len(one.encode()) for value, one in zip(told, choices, strict=True)
            ],
            "acc_mutual_info": [one - other for one, other in zip(told, alone, strict=True)],
        }
        return {
            name: float(values.index(max(values)) == document["target"])
            for name, values in weighed.items()
        }

    def higher_is_better(self) -> dict[str, bool]:
        return {}


@given(
    choices=st.lists(st.text("aé世", min_size=1), min_size=2, max_size=5),
    metric=st.sampled_from(Weighing._metric_fn_list),
    data=st.data(),
)
def test_the_choice_that_is_told_is_the_one_that_counts(
    choices: list[str], metric: str, data: st.DataObject
) -> None:
    """By each metric the choice is right exactly where it is the expected one."""
    count = len(choices) * (2 if metric == "acc_mutual_info" else 1)
    values = data.draw(st.lists(st.integers(-99, -1), min_size=count, max_size=count, unique=True))
    target = data.draw(st.integers(0, len(choices) - 1))
    document = {"choices": choices, "target": target}
    instances = [Instance(document, ("", {}), 0) for _ in values]
    grade = Grader(Weighing(), f"{metric},none").grade(
        instances, [(float(value), False) for value in values]
    )

    assert (grade.extracted == str(target)) == (grade.value == 1)


def test_only_right_or_wrong_can_be_judged() -> None:
    """A metric between 0 and 1 has no share of right answers."""
    grader = Grader(Task(right=0.5), None)
    instance = questions(["a"])[0]

    assert grader.grade([instance], ["y"]).value == 0
    with pytest.raises(SetbackError, match=r"match,last-word of one answer is 0.5"):
        grader.grade([instance], ["x"])


def test_a_metric_that_shall_be_small_is_no_share_of_right_answers() -> None:
    """A rise of it would pass for a gain."""
    task = Task()
    task.higher_is_better = lambda: {"match": False}  # type: ignore[method-assign]

    with pytest.raises(SetbackError, match="less of match,last-word is better"):
        Grader(task, None)


@pytest.mark.parametrize(
    ("filters", "tells"),
    [
        ((), False),
        ((SimpleNamespace,), False),
        ((SimpleNamespace, lambda: SimpleNamespace(fallback="[invalid]")), True),
    ],
    ids=["none", "any text", "a form"],
)
def test_unparsed_is_known_where_a_form_is_sought(
    filters: tuple[Any, ...], *, tells: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other filters take any text for an answer."""
    monkeypatch.setattr(LastWord, "filters", filters, raising=False)

    assert Grader(Task(), None).tells_unparsed is tells


def test_an_unknown_metric_names_those_that_are_there() -> None:
    """One line."""
    with pytest.raises(SetbackError, match="no metric 'acc', but match,last-word"):
        Grader(Task(), "acc")
