"""Samples on disk, and two cells' answers beside each other."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.accuracy.samples import Sample
from hwval.accuracy.samples import dump_samples
from hwval.accuracy.samples import pair_up
from hwval.accuracy.samples import read_samples
from hwval.errors import UsageError


def sample(index: int, *, correct: bool = True, **fields: Any) -> Sample:
    known: dict[str, Any] = {
        "task": "t",
        "task_version": "3.1",
        "api": "completions",
        "metric": "exact_match,custom-extract",
        "question_id": str(index),
        "question_hash": f"q{index}",
        "prompt_hash": f"p{index}",
        "expected": "A",
        "extracted": "A" if correct else "B",
        "unparsed": False,
        "finish_reason": "stop",
        "answer": "The answer is (A).",
    }
    return Sample(index=index, correct=correct, **known | fields)


def test_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Every field survives, in any script; a key of a later version is left out."""
    samples = [
        sample(0, answer="Ответ (A).\n\u2028\ud800", latency_s=0.5, output_tokens=3),
        sample(1, correct=False, reused=True, settings={"max_tokens": 7, "stop": ["Q"]}),
    ]
    path = tmp_path / "x.jsonl"
    path.write_text(dump_samples(samples).replace('"v": 1', '"v": 1, "colour": "red"'), "utf-8")

    assert read_samples(path) == tuple(samples)


@pytest.mark.parametrize(
    ("answer", "has_thoughts"),
    [
        ("<think>Maybe (B)? no.</think> The answer is (C).", True),
        ("Maybe (B)? no.</think> The answer is (C).", True),
        ("I think the answer is (C).", False),
    ],
    ids=["whole", "begun-by-the-template", "a-word"],
)
def test_thoughts_of_a_reasoning_model_are_seen(answer: str, *, has_thoughts: bool) -> None:
    """By what stands around them."""
    assert sample(0, answer=answer).has_thoughts is has_thoughts


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "expected a JSON object"),
        ('{"v": 2}', "format version 2, expected 1"),
        ('{"v": 1}', "missing"),
        ('{"v": 1, "settings": 5}', "settings 5, expected an object"),
        ("[1]", "expected 1"),
    ],
)
def test_a_line_that_is_no_sample_is_named(tmp_path: Path, line: str, problem: str) -> None:
    """The error tells file and line."""
    path = tmp_path / "x.jsonl"
    path.write_text(dump_samples([sample(0)]) + line + "\n")

    with pytest.raises(UsageError, match=f"x.jsonl:2: .*{problem}"):
        read_samples(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """So is a file that cannot be read."""
    with pytest.raises(UsageError, match=r"read samples: .*nowhere"):
        read_samples(tmp_path / "nowhere.jsonl")


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_pairs_are_counted_whatever_their_order(pairs: list[tuple[bool, bool]]) -> None:
    """Only questions that one alone answered right count, and the order of lines does not."""
    first = [sample(i, correct=ours) for i, (ours, _) in enumerate(pairs)]
    second = [sample(i, correct=theirs) for i, (_, theirs) in enumerate(pairs)]
    found = pair_up(first, second[::-1])

    assert found.n == len(pairs)
    assert found.only_first == pairs.count((True, False))
    assert found.only_second == pairs.count((False, True))
    shares = [sum(one.correct for one in side) / len(pairs) for side in (first, second)]
    assert found.difference == pytest.approx(shares[0] - shares[1])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"task_version": "0.0"}, "task version 3.1 against task version 0.0"),
        ({"task": "u"}, "task t against task u"),
        ({"metric": "acc,none"}, "metric exact_match,custom-extract against metric acc,none"),
        ({"question_hash": "other"}, "2 questions against 2, of which 1 are the same"),
    ],
)
def test_what_is_not_comparable_says_so(change: dict[str, Any], problem: str) -> None:
    """Task, version, metric and questions must be the same."""
    changed = [sample(0), dataclasses.replace(sample(1), **change)]
    if "question_hash" not in change:
        changed[0] = dataclasses.replace(sample(0), **change)

    with pytest.raises(UsageError, match=f"not comparable: {problem}"):
        pair_up([sample(0), sample(1)], changed)


GREEDY: dict[str, Any] = {"max_tokens": 256, "temperature": 0.0, "stop": ["Question:"], "seed": 1}


def asked(**changes: Any) -> list[Sample]:
    """Return two answers, made under settings with ``changes``."""
    return [sample(index, settings={**GREEDY, **changes}) for index in (0, 1)]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"temperature": 0.7}, "temperature 0.0 against 0.7"),
        ({"stop": ["Q:"], "seed": 2}, r'seed 1 against 2, stop \["Question:"\] against \["Q:"\]'),
        ({"top_k": 5}, "top_k null against 5"),
    ],
)
def test_answers_under_other_settings_are_not_comparable(
    changes: dict[str, Any], problem: str
) -> None:
    """Each setting that differs is named, with both values."""
    with pytest.raises(UsageError, match=f"not comparable: answered with {problem}"):
        pair_up(asked(), asked(**changes))


def test_another_longest_answer_counts_where_one_was_cut_off() -> None:
    """Answers that all ended by themselves would be the same with any longer length."""
    longer = asked(max_tokens=2048)
    assert pair_up(asked(), asked()).notes == ()
    assert pair_up(asked(), longer).notes == (
        "longest answer 256 against 2048 tokens, which no answer reached",
    )

    for end in ("length", ""):
        cut = [dataclasses.replace(longer[0], finish_reason=end), longer[1]]
        with pytest.raises(UsageError, match="256 against 2048 tokens, and 1 answers were cut off"):
            pair_up(asked(), cut)


def test_settings_that_nobody_noted_are_told() -> None:
    """Files of earlier versions are compared, with a note."""
    old = [sample(0), sample(1)]

    note = ("under which settings they were answered is not known",)
    assert pair_up(asked(), old).notes == pair_up(old, old).notes == note


def test_another_interface_or_other_prompts_are_not_comparable() -> None:
    """Chat against completions, or other solved examples before the question."""
    chat = [sample(index, api="chat", prompt_hash=f"c{index}") for index in (0, 1)]
    shots = [sample(index, prompt_hash="x") for index in (0, 1)]

    with pytest.raises(UsageError, match="not comparable: api completions against api chat"):
        pair_up([sample(0), sample(1)], chat)
    with pytest.raises(UsageError, match="not comparable: the prompts of 2 questions differ"):
        pair_up([sample(0), sample(1)], shots)


def test_lines_end_where_json_lines_end(tmp_path: Path) -> None:
    """Other programs write characters that Python takes for the end of a line."""
    row = dump_samples([sample(0)]).replace("The answer", "A\u2028B\x85 the answer")
    path = tmp_path / "x.jsonl"
    path.write_text(row, "utf-8")

    assert read_samples(path)[0].answer == "A\u2028B\x85 the answer is (A)."
    path.write_text("")
    assert read_samples(path) == ()


def test_a_cut_off_answer_is_known_by_its_end() -> None:
    """``length`` is the word of the OpenAI API."""
    assert [sample(0, finish_reason=end).is_cut_off for end in ("length", "stop", "")] == [
        True,
        False,
        False,
    ]
