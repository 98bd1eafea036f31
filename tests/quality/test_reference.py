"""Recorded answers: kept as a file, read again, held against another cell's."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwval.errors import UsageError
from hwval.generate import Answer
from hwval.quality.reference import Reference
from hwval.quality.reference import load_reference

ANSWER = Answer(
    text="a é",
    finish_reason="length",
    output_tokens=2,
    tokens=("a", " é"),
    logprobs=(-0.1, -0.2),
    alternatives=({"a": -0.1, "b": -0.3}, {" é": -0.2, " e": -2.0}),
)
REFERENCE = Reference(
    cell="cpu__one",
    model="m",
    vllm="0.32.0",
    recorded_at="2026-01-01T00:00:00+00:00",
    prompts=("say",),
    answers=(ANSWER,),
    passage_logprobs=(-1.0, -2.0, -3.0),
)


def test_reference_survives_its_file(tmp_path: Path) -> None:
    """What is read is what was written."""
    file = tmp_path / "reference.json"
    file.write_text(REFERENCE.to_json(), "utf-8")

    assert load_reference(file) == REFERENCE


def test_same_cell_is_close() -> None:
    """Everything agrees."""
    close = REFERENCE.held_against(REFERENCE)

    assert (close.common_share, close.known_share, close.drift_nats) == (1.0, 1.0, 0.0)
    assert str(close) == ("log probabilities of the fixed text drift by 0 nats; no answer differs")


def test_unsound_numbers_are_told() -> None:
    """Of an answer or of the passage; a file holds none of them."""
    assert REFERENCE.trouble == ""
    of_answer = replace(REFERENCE, answers=(replace(ANSWER, logprobs=(-0.1, math.nan)),))
    of_passage = replace(REFERENCE, passage_logprobs=(-1.0, -math.inf))

    assert of_answer.trouble == "token 1 of 2 has the log probability nan"
    assert of_passage.trouble == "token 1 of 2 has the log probability -inf"
    with pytest.raises(ValueError, match="Out of range float values"):
        of_passage.to_json()


@pytest.mark.parametrize(
    "told", [{"tokens": ()}, {"logprobs": ()}], ids=["no tokens", "no log probabilities"]
)
def test_nothing_told_is_nothing_compared(told: dict[str, Any]) -> None:
    """Two answers without tokens differ nowhere, and agree in nothing."""
    assert REFERENCE.has_tokens
    assert not replace(REFERENCE, answers=(ANSWER, replace(ANSWER, **told))).has_tokens


def test_passage_tells_drift_where_it_can() -> None:
    """Each side reads the same context there, token by token."""
    other = replace(REFERENCE, passage_logprobs=(-1.5, -2.5, -2.0))

    assert REFERENCE.held_against(other).drift_nats == pytest.approx(2 / 3)


@pytest.mark.parametrize("logprobs", [(), (-1.0,)], ids=["none", "other-tokenizer"])
def test_answers_tell_drift_where_the_passage_cannot(logprobs: tuple[float, ...]) -> None:
    """A server that tells nothing of prompts is held by its answers."""
    shifted = replace(ANSWER, logprobs=(-0.2, -0.4))
    other = replace(REFERENCE, answers=(shifted,), passage_logprobs=logprobs)
    close = REFERENCE.held_against(other)

    assert close.passage_drift_nats is None
    assert close.drift_nats == pytest.approx(0.15)


def test_differences_are_known_or_not() -> None:
    """A token among the likeliest of both sides is known; another is not."""
    known = replace(ANSWER, tokens=("b", "x"), alternatives=({"a": -0.3, "b": -0.2}, {"x": -1.0}))
    unknown = replace(ANSWER, tokens=("q", "x"), alternatives=({"q": -0.1}, {"x": -1.0}))

    assert REFERENCE.held_against(replace(REFERENCE, answers=(known,))).known_share == 1.0
    close = REFERENCE.held_against(replace(REFERENCE, answers=(unknown,)))
    assert (close.known_share, close.common_share) == (0.0, 0.0)
    assert "'q' for 'a' after 0 tokens (no near tie at all)" in str(close)


def test_other_prompts_cannot_be_compared() -> None:
    """A reference of an older version is told to be made anew."""
    with pytest.raises(UsageError, match="was asked other prompts; record it anew"):
        REFERENCE.held_against(replace(REFERENCE, prompts=("speak",)))


def _without_answers(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != "answers"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda c: c | {"version": 2}, "no reference of version 1", id="version"),
        pytest.param(lambda c: c | {"kind": "embeddings"}, "no reference of version", id="kind"),
        pytest.param(_without_answers, "expected a reference that hwval wrote", id="missing"),
        pytest.param(lambda _: [1], "expected a reference that hwval wrote", id="list"),
    ],
)
def test_wrong_files_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    """In one line that names the file."""
    file = tmp_path / "reference.json"
    file.write_text(json.dumps(change(json.loads(REFERENCE.to_json()))), "utf-8")

    with pytest.raises(UsageError, match=message):
        load_reference(file)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """With the reason of the system."""
    with pytest.raises(UsageError, match="No such file"):
        load_reference(tmp_path / "none.json")


def test_reading_of_another_passage_is_refused(tmp_path: Path) -> None:
    """Its numbers belong to other tokens, and answers alone would promise less than is asked."""
    content = json.loads(REFERENCE.to_json())
    content["passage"]["sha256"] = "0" * 64
    file = tmp_path / "reference.json"
    file.write_text(json.dumps(content), "utf-8")

    with pytest.raises(UsageError, match="with another fixed text; record it anew"):
        load_reference(file)


@pytest.mark.parametrize(
    ("logprobs", "is_same"),
    [
        pytest.param((-3.0, -1.0, -1.0), True, id="as-many"),
        pytest.param((-1.0, -2.0), False, id="cut"),
        pytest.param((), True, id="not-told"),
    ],
)
def test_reading_of_other_tokens_is_noticed(logprobs: tuple[float, ...], *, is_same: bool) -> None:
    """A side that tells none is another matter."""
    assert REFERENCE.reads_as(replace(REFERENCE, passage_logprobs=logprobs)) is is_same
