"""What a cell answered, question by question: JSONL that each line of which speaks for itself.

Two such files are compared question by question; what makes them comparable (task, its version,
metric, prompts) stands in every line, so that a file can be cut, joined and read alone.

Format history:
    1: the first.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

from hwval.errors import UsageError

__all__ = [
    "FORMAT_VERSION",
    "SAMPLES_SUFFIX",
    "Pairing",
    "Sample",
    "dump_samples",
    "pair_up",
    "read_samples",
]

FORMAT_VERSION: Final = 1
# A verdict's file of that ending holds samples: ``mmlu_pro_biology.samples.jsonl``.
SAMPLES_SUFFIX: Final = ".samples.jsonl"
_LENGTH: Final = "max_tokens"


@dataclass(frozen=True, slots=True)
class Sample:
    """One question and its answer.

    Attributes:
        task: Name of the task in lm-evaluation-harness.
        task_version: Its version there; other versions are not comparable.
        api: ``completions`` or ``chat``.
        metric: ``METRIC,FILTER`` that decided whether the answer is right.
        index: Position of the question in the task, from 0.
        question_id: What the dataset calls it; empty without a name.
        question_hash: SHA-256 of the question with its options and its right answer.
        prompt_hash: SHA-256 of the whole prompt, as the harness makes it.
        expected: The right answer.
        extracted: What the filter took for the answer.
        correct: Whether it is right.
        unparsed: Whether no answer was found in the form that was asked for.
        finish_reason: ``stop``, ``length``, as the server says; empty where it does not.
        answer: The text as the server sent it.
        latency_s: Seconds until it was there; None where it was not measured.
        output_tokens: Its length as the server counts; None where it does not say.
        reused: Whether it is from an interrupted run of the same cell.
        settings: What the request said beside model and prompt: ``max_tokens``, ``temperature``,
            ``stop``, ``seed``; None where it is not known, as in files of earlier versions.
    """

    task: str
    task_version: str
    api: str
    metric: str
    index: int
    question_id: str
    question_hash: str
    prompt_hash: str
    expected: str
    extracted: str
    correct: bool
    unparsed: bool
    finish_reason: str
    answer: str
    latency_s: float | None = None
    output_tokens: int | None = None
    reused: bool = False
    settings: Mapping[str, Any] | None = None

    @property
    def is_cut_off(self) -> bool:
        """Whether the answer ended at its longest length rather than by itself."""
        return self.finish_reason == "length"

    @property
    def has_thoughts(self) -> bool:
        """Whether a reasoning model's thoughts stand in it, which may name other answers."""
        # The chat template may have said the beginning.
        return "<think>" in self.answer or "</think>" in self.answer

    @property
    def has_ended(self) -> bool:
        """Whether it surely ended by itself, so that no other length would have changed it."""
        return self.finish_reason not in {"length", ""}


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two cells' answers to the same questions.

    Attributes:
        n: Questions that both answered.
        only_first: Questions that the first alone answered right.
        only_second: Questions that the second alone answered right.
        notes: What differs between the two beside the cell, in words.
    """

    n: int
    only_first: int
    only_second: int
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> float:
        """Share of right answers of the first less that of the second, -1 to 1."""
        return (self.only_first - self.only_second) / self.n


def dump_samples(samples: Iterable[Sample]) -> str:
    """Return the JSONL of samples."""
    rows = ({"v": FORMAT_VERSION, **dataclasses.asdict(sample)} for sample in samples)
    # Escaped: answers hold lone surrogates and characters that end lines elsewhere.
    return "".join(json.dumps(row) + "\n" for row in rows)


def read_samples(path: Path) -> tuple[Sample, ...]:
    """Return the samples of a file; keys that this version does not know are left out.

    Raises:
        UsageError: It cannot be read, or a line is no sample of this format.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"read samples: {path}: {error}") from error
    lines = text.removesuffix("\n").split("\n") if text else []  # others write U+2028 as it is
    return tuple(_parse(line, f"{path}:{number}") for number, line in enumerate(lines, start=1))


def pair_up(first: Sequence[Sample], second: Sequence[Sample]) -> Pairing:
    """Set two cells' answers beside each other, question by question.

    Args:
        first: Answers to at least one question.
        second: Answers of another cell.

    Raises:
        UsageError: They are not comparable: another task, version, metric, interface or set of
            questions, other prompts, or answered under other settings. Another longest answer
            changes nothing where every answer ended by itself, and is only noted then.
    """
    ours, theirs = _by_question(first), _by_question(second)
    for name in ("task", "task_version", "metric", "api"):
        one, other = _values(first, name), _values(second, name)
        if one != other:
            words = name.replace("_", " ")
            raise UsageError(
                f"not comparable: {words} {_words(one)} against {words} {_words(other)}"
            )
    if ours.keys() != theirs.keys() or not ours:
        shared = len(ours.keys() & theirs.keys())
        raise UsageError(
            f"not comparable: {len(ours)} questions against {len(theirs)}, of which {shared} are "
            "the same"
        )
    pairs = [(sample, theirs[key]) for key, sample in ours.items()]
    return Pairing(
        n=len(pairs),
        only_first=sum(one.correct and not other.correct for one, other in pairs),
        only_second=sum(other.correct and not one.correct for one, other in pairs),
        notes=_notes(pairs),
    )


def _by_question(samples: Sequence[Sample]) -> dict[tuple[str, str], Sample]:
    # Texts repeat with other options, which the hash covers; the position tells true repeats apart.
    return {(sample.question_hash, str(sample.index)): sample for sample in samples}


def _values(samples: Iterable[Sample], name: str) -> set[str]:
    return {str(getattr(sample, name)) for sample in samples}


def _words(values: set[str]) -> str:
    return ", ".join(sorted(values)) or "none"


def _notes(pairs: Sequence[tuple[Sample, Sample]]) -> tuple[str, ...]:
    """Return what differs in how the questions were asked and still lets them be compared."""
    other_prompts = sum(one.prompt_hash != other.prompt_hash for one, other in pairs)
    if other_prompts:
        raise UsageError(f"not comparable: the prompts of {other_prompts} questions differ")
    known = [
        (one.settings, other.settings)
        for one, other in pairs
        if one.settings is not None and other.settings is not None
    ]
    notes = ["under which settings they were answered is not known"] * (len(known) < len(pairs))
    changes = {name: values for pair in known for name, values in _differences(*pair)}
    length = changes.pop(_LENGTH, None)
    if changes:
        words = ", ".join(f"{name} {values}" for name, values in sorted(changes.items()))
        raise UsageError(f"not comparable: answered with {words}")
    if length is not None:
        longer = f"longest answer {length} tokens"
        cut = sum(not sample.has_ended for pair in pairs for sample in pair)
        if cut:
            raise UsageError(
                f"not comparable: {longer}, and {cut} answers were cut off or do not say how they "
                "ended"
            )
        notes.append(f"{longer}, which no answer reached")
    return tuple(notes)


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the settings that differ, each with both values in words."""
    for name in one.keys() | other.keys():
        values = one.get(name), other.get(name)
        if values[0] != values[1]:
            yield name, f"{json.dumps(values[0])} against {json.dumps(values[1])}"


def _parse(line: str, where: str) -> Sample:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise UsageError(f"read samples: {where}: {error}, expected a JSON object") from error
    if not isinstance(row, dict) or row.get("v") != FORMAT_VERSION:
        found = row.get("v") if isinstance(row, dict) else line[:40]
        raise UsageError(
            f"read samples: {where}: format version {found!r}, expected {FORMAT_VERSION}"
        )
    if not isinstance(row.get("settings"), dict | None):
        raise UsageError(f"read samples: {where}: settings {row['settings']!r}, expected an object")
    known = {field.name for field in dataclasses.fields(Sample)}
    try:
        return Sample(**{name: value for name, value in row.items() if name in known})
    except TypeError as error:
        raise UsageError(f"read samples: {where}: {error}") from error
