"""Samples on disk, and two cells' answers beside each other."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
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
        sample(1, correct=False, reused=True),
    ]
    path = tmp_path / "x.jsonl"
    path.write_text(dump_samples(samples).replace('"v": 1', '"v": 1, "colour": "red"'), "utf-8")

    assert read_samples(path) == tuple(samples)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "expected a JSON object"),
        ('{"v": 2}', "format version 2, expected 1"),
        ('{"v": 1}', "missing"),
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


@settings(deadline=None)
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


def test_other_prompts_are_told() -> None:
    """Chat against completions is comparable, with a note."""
    chat = [sample(0, api="chat", prompt_hash="x"), sample(1, api="chat", prompt_hash="y")]

    assert pair_up([sample(0), sample(1)], chat).notes == (
        "the prompts of 2 questions differ",
        "completions against chat",
    )


def test_a_cut_off_answer_is_known_by_its_end() -> None:
    """``length`` is the word of the OpenAI API."""
    assert [sample(0, finish_reason=end).is_cut_off for end in ("length", "stop", "")] == [
        True,
        False,
        False,
    ]
