"""What an answer is worth, and by what a question is known: as lm-evaluation-harness has it.

Its objects come in, and nothing of it is imported.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any
from typing import Final

from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble

__all__ = [
    "UNPARSED",
    "Grade",
    "Grader",
    "check_answerable",
    "digest",
    "other_data",
    "question_hash",
    "sha256",
    "unknown_metric",
]

UNPARSED: Final = "[invalid]"
"""What the harness's regular expressions give where they find nothing."""


# Metric -> what the log-likelihood of a choice is divided by before they are compared.
_LENGTHS: Final[Mapping[str, Callable[[str], int]]] = {
    "acc_norm": len,
    "acc_bytes": lambda choice: len(choice.encode("utf-8", "surrogatepass")),
}


@dataclass(frozen=True, slots=True)
class Grade:
    """What the answer to one question is worth.

    Attributes:
        extracted: What the filter took for the answer; of choices the position of the likeliest,
            as the metric weighs them.
        value: 1 for a right one, 0 for a wrong one.
    """

    extracted: str
    value: float


class Grader:
    """Scores one question the way the harness scores all of them at the end.

    Attributes:
        metric: ``METRIC,FILTER`` that decides.
        tells_unparsed: Whether the filter tells an answer that it does not find from a wrong one.
    """

    def __init__(self, task: Any, metric: str | None) -> None:
        names = {
            f"{name},{ensemble.name}": (name, ensemble)
            for ensemble in task._filters  # noqa: SLF001 - the harness scores only all at once
            for name in task._metric_fn_list  # noqa: SLF001 - likewise
        }
        self.metric = metric or next(iter(names))
        if problem := unknown_metric(self.metric, names):
            raise SetbackError(Trouble.TASK, problem)
        self._task = task
        self._name, self._filter = names[self.metric]
        if task.higher_is_better().get(self._name) is False:
            raise SetbackError(
                Trouble.TASK, f"less of {self.metric} is better; it is no share of right answers"
            )
        # Only filters that look for a form put something in the place of what they do not find.
        makers = getattr(self._filter, "filters", ())
        self.tells_unparsed = any(getattr(make(), "fallback", None) == UNPARSED for make in makers)

    def grade(self, instances: Sequence[Any], responses: Sequence[Any]) -> Grade:
        """Return what a question's answer is worth.

        Args:
            instances: What the harness asked of the question, at least one.
            responses: What came of each: a text, or log-likelihood and whether it is the greedy
                choice.

        Raises:
            SetbackError: It is neither right nor wrong.
        """
        probes = [
            dataclasses.replace(instance, resps=[response], filtered_resps={})
            for instance, response in zip(instances, responses, strict=True)
        ]
        self._filter.apply(probes)
        found = [probe.filtered_resps[self._filter.name] for probe in probes]
        value = self._task.process_results(instances[0].doc, found)[self._name]
        if isinstance(value, bool | int | float) and value in {0, 1}:
            return Grade(self._extracted(instances[0].doc, found), float(value))
        raise SetbackError(
            Trouble.TASK,
            f"{self.metric} of one answer is {value!r}; only answers that are right (1) or wrong "
            "(0) can be held against a reference",
        )

    def _extracted(self, document: Mapping[str, Any], found: Sequence[Any]) -> str:
        if not isinstance(found[0], tuple | list):
            return str(found[0])
        values = [one[0] for one in found]
        choices = self._task.doc_to_choice(document) if self._task.config.doc_to_choice else values
        # Behind the choices stand the same without the question, where mutual information counts.
        values, alone = values[: len(choices)], values[len(choices) :]
        if self._name in _LENGTHS:
            lengths = [_LENGTHS[self._name](one) for one in choices]
            values = [
                value / size if size else -math.inf
                for value, size in zip(values, lengths, strict=True)
            ]
        elif self._name == "acc_mutual_info" and len(alone) == len(values):
            values = [value - other for value, other in zip(values, alone, strict=True)]
        return str(max(range(len(values)), key=values.__getitem__))


def unknown_metric(metric: str, known: Iterable[str]) -> str:
    """Return why a metric cannot decide, empty if it is among the known ones."""
    names = list(known)
    return (
        "" if metric in names else f"it has no metric {metric!r}, but {', '.join(names) or 'none'}"
    )


def check_answerable(task: Any, documents: Iterable[Mapping[str, Any]]) -> None:
    """Refuse questions that no answer could get right: the harness counts them as wrong answers.

    So a column of another name makes a score of zero. Tasks that score by code of their own may
    have their right answers elsewhere, and tasks whose choices are prompts have them in the text.

    Raises:
        SetbackError: A question has no right answer, or none among its choices.
    """
    if getattr(task.config, "process_results", None) or getattr(task, "multiple_input", 0):
        return
    column = task.config.doc_to_target
    for index, document in enumerate(documents):
        target = task.doc_to_target(document)
        choices = task.config.doc_to_choice and task.doc_to_choice(document)
        if choices:
            right = target if isinstance(target, list) else [target]
            is_there = any(_is_among(one, choices) for one in right)
        else:
            is_there = target is not None and bool(str(target).strip())
        # The harness takes the name of a column that is not there for the text.
        is_name = isinstance(column, str) and target == column and column not in document
        if is_name and not (choices and is_there):
            raise SetbackError(
                Trouble.DATASET, f"question {index} of its data has no column {column!r}"
            )
        if not is_there:
            of = f" among its {len(choices)} choices" if choices else ""
            raise SetbackError(
                Trouble.DATASET,
                f"question {index} of its data has no right answer{of}: {str(target)[:80]!r}; is a "
                "column missing, or of another name?",
            )


def _is_among(target: object, choices: Sequence[Any]) -> bool:
    # numpy's too, which are no int
    return 0 <= int(target) < len(choices) if isinstance(target, Integral) else target in choices


def sha256(text: str) -> str:
    """Return the hash of a text, as lm-evaluation-harness makes it too."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest(hashes: Iterable[str]) -> str:
    """Return the hash over hashes, in their order."""
    return sha256("\n".join(hashes))


def other_data(pinned: str | None, found: str, questions: int) -> str:
    """Return why data are not those that a matrix pins, empty if they are.

    Args:
        pinned: Hash over questions and right answers; None takes any.
        found: That of the data.
        questions: How many they are.
    """
    if pinned in {None, found}:
        return ""
    return (
        f"the {questions} questions have the hash {found}, and the matrix pins {pinned}: the data "
        "are not those that were meant"
    )


def question_hash(task: Any, document: Mapping[str, Any]) -> str:
    """Return the hash over a question, its choices and its right answer.

    Shots, template and columns that nobody reads are not in it: the same question has the same
    hash by completions and by chat, from the Hub and from a file.
    """
    parts = [str(task.doc_to_text(document)), str(task.doc_to_target(document))]
    if task.config.doc_to_choice is not None:
        parts.append(str(task.doc_to_choice(document)))
    return sha256("\0".join(parts))
