"""What a matrix may promise of the accuracy of answers; `hwval.matrix` reads it."""

from __future__ import annotations

import re
from typing import Annotated
from typing import Any
from typing import Final
from typing import Literal
from typing import Self

from pydantic import AfterValidator
from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field
from pydantic import RootModel
from pydantic import WithJsonSchema
from pydantic import model_validator

from hwval.accuracy.questions import questions_folder
from hwval.catalogue import Capability
from hwval.errors import UsageError
from hwval.stats import Reference
from hwval.yamlfile import WrittenFloat
from hwval.yamlmodel import PART_SCHEMA
from hwval.yamlmodel import Part
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import problem_at

__all__ = [
    "SHIPPED",
    "AccuracySection",
    "TaskSection",
    "dataset_place",
    "reference_of",
    "why_not_alike",
]

# A dataset that comes with hwval: ``shipped:biology``.
SHIPPED: Final = "shipped:"
# Question of the suite -> what a task's section must set for it to be asked.
_NEEDED_FOR: Final = {
    "score": "reference",
    "parsed": "max_unparsed",
    "ended": "max_cut_off",
    "paired": "paired_with",
}
# Files are named after it.
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_OF_DATA: Final = ("dataset", "revision")
# Where one side leaves it open it may come to the same.
_ONLY_IF_WRITTEN: Final = ("metric", "samples_sha256", "shots")


def _read_version(value: object) -> object:
    if isinstance(value, WrittenFloat):
        return value.text
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_dataset(place: str | dict[str, str]) -> str | dict[str, str]:
    if isinstance(place, str):
        if not place.startswith(("/", SHIPPED)):
            raise ValueError(
                f"{place!r} is neither an absolute folder nor {SHIPPED}NAME; a dataset of the Hub "
                "is the task's own, and 'revision' pins it"
            )
        if place.startswith(SHIPPED):
            try:
                questions_folder(place.removeprefix(SHIPPED))
            except UsageError as error:
                raise ValueError(str(error)) from None
        return place
    if not place:
        raise ValueError("names no split; write {test: /data/questions.jsonl}")
    for split, path in place.items():
        if not path.startswith("/"):
            raise ValueError(f"{path!r} of split {split!r} is no absolute path")
    return place


def _check_commit(revision: str) -> str:
    if not _COMMIT.fullmatch(revision):
        raise ValueError(
            f"{revision!r} is no commit of 40 hexadecimal digits; what stands at a branch may be "
            "different tomorrow (git ls-remote https://huggingface.co/datasets/ORG/NAME)"
        )
    return revision


def _check_sha256(digest: str) -> str:
    if not _SHA256.fullmatch(digest):
        raise ValueError(f"{digest!r} is no SHA-256 of 64 hexadecimal digits")
    return digest


def _check_subset(indices: tuple[int, ...]) -> tuple[int, ...]:
    if not indices or min(indices) < 0 or len(set(indices)) < len(indices):
        raise ValueError("expected different positions of questions, from 0 on")
    return indices


_NonEmpty = Annotated[str, Field(min_length=1)]
_Proportion = Annotated[float, Part, Field(gt=0, lt=1), PART_SCHEMA]
_Limit = Annotated[float, Part, Field(ge=0, le=1), PART_SCHEMA]
_Count = Annotated[int, Field(ge=1, strict=True)]
_Index = Annotated[int, Field(ge=0, strict=True)]
_Version = Annotated[
    str, BeforeValidator(_read_version), WithJsonSchema({"type": ["string", "number"]})
]


class TaskSection(YamlModel):
    """One task of lm-evaluation-harness, and how well it is to be answered."""

    task: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Name that lm-evaluation-harness knows it by; the key of this section if not set."""
    reference: _Proportion | None = None
    """Share of right answers elsewhere; without one the score is measured and not judged."""
    n: _Count | None = None
    """Questions behind the reference."""
    stderr: Annotated[float, Part, Field(gt=0, lt=0.5), PART_SCHEMA] | None = None
    """Standard error of the reference, where its number of questions is not known."""
    margin: _Proportion | None = None
    """Loss against the reference, or against ``paired_with``, that is still accepted."""
    source: _NonEmpty | None = None
    """Where the reference comes from: who measured it, on what, when."""
    task_version: _Version | None = None
    """Version of the task that the reference was measured with; others are not comparable."""
    api: Literal["completions", "chat"] = "completions"
    """``chat`` sends turns and lets the server apply the model's chat template."""
    metric: _NonEmpty | None = None
    """``METRIC,FILTER`` as lm-evaluation-harness names it; the task's first one if not set."""
    limit: _Count | None = None
    """Ask only the first so many questions."""
    subset: Annotated[tuple[_Index, ...], AfterValidator(_check_subset)] | None = None
    """Ask only the questions at these positions, counted from 0."""
    shots: Annotated[int, Field(ge=0, strict=True)] | None = None
    """Solved examples before each question; as the task says if not set."""
    max_tokens: _Count | None = None
    """Longest answer in tokens; as the task says if not set."""
    concurrency: _Count = 16
    """Questions that are asked at the same time."""
    dataset: Annotated[str | dict[str, str], AfterValidator(_check_dataset)] | None = None
    """Folder with a file for each split, ``test.jsonl`` and so on, or a copy of the Hub's
    repository; or split and file, ``{test: /data/questions.jsonl}``; or ``shipped:biology`` for
    the questions that come with hwval."""
    revision: Annotated[str, AfterValidator(_check_commit)] | None = None
    """Commit of the dataset on the Hub."""
    samples_sha256: Annotated[str, AfterValidator(_check_sha256)] | None = None
    """Hash over questions and right answers, as a run tells it; other data are refused."""
    max_unparsed: _Limit | None = None
    """Share of answers that may hold no answer in the form that was asked for."""
    max_cut_off: _Limit | None = None
    """Share of answers that may end at the longest length."""
    paired_with: _NonEmpty | None = None
    """Variant, cell id or glob of the cell that answered the same questions, for a comparison
    question by question."""

    @model_validator(mode="after")
    def _check_reference(self) -> Self:
        if self.reference is not None:
            if self.margin is None:
                raise problem_at("reference", "a reference needs a 'margin': the accepted loss")
            if self.source is None:
                raise problem_at("reference", "a reference needs its 'source'")
            if self.margin >= self.reference:
                raise problem_at(
                    "margin",
                    f"a loss of {self.margin:g} from {self.reference:g} leaves nothing to hold: no "
                    "score could be below; write a smaller one",
                )
            if (self.n is None) == (self.stderr is None):
                raise problem_at(
                    "reference", "a reference needs its number of questions, 'n', or its 'stderr'"
                )
        for name in ("n", "stderr", "source"):
            if self.reference is None and getattr(self, name) is not None:
                raise problem_at(name, f"{name!r} says something of a 'reference', there is none")
        if self.paired_with is not None and self.margin is None:
            raise problem_at("paired_with", "a comparison needs a 'margin': the accepted loss")
        return self

    @model_validator(mode="after")
    def _check_data(self) -> Self:
        if self.limit is not None and self.subset is not None:
            raise problem_at("subset", "'limit' and 'subset' exclude each other")
        if self.dataset is not None and self.revision is not None:
            raise problem_at("revision", "'dataset' is on this host and has no 'revision'")
        return self


def dataset_place(section: TaskSection) -> str | dict[str, str] | None:
    """Return where on this host a task's data are; None for the task's own dataset of the Hub."""
    place = section.dataset
    if isinstance(place, str) and place.startswith(SHIPPED):
        return str(questions_folder(place.removeprefix(SHIPPED)))
    return place


def reference_of(section: TaskSection) -> Reference | None:
    """Return the score that is promised; None where none is."""
    if section.reference is None:
        return None
    return Reference(section.reference, section.n, section.stderr)


def why_not_alike(label: str, own: TaskSection, theirs: TaskSection) -> str:
    """Return why two cells are not asked the same of a task; empty if nothing is known against it.

    Args:
        label: Name of the task in the matrix, of both.
        own: What the cell is asked whose promise it is.
        theirs: What the other cell is asked.
    """
    here, there = _asking(label, own), _asking(label, theirs)
    ours, other = own.samples_sha256, theirs.samples_sha256
    if ours is not None and ours == other:  # the same data, wherever they lie
        there |= {name: here[name] for name in _OF_DATA}
    for name in _ONLY_IF_WRITTEN:
        if None in {here[name], there[name]}:
            there[name] = here[name]
    for name, value in here.items():
        if value != there[name]:
            values = f"{name} {_written(there[name])}, this cell {_written(value)}"
            return f"which has {values}; write the same"
    return ""


def _asking(label: str, section: TaskSection) -> dict[str, Any]:
    """Return what decides which questions are asked and how, alike where it comes to the same."""
    return {
        "task": section.task or label,
        "metric": section.metric,
        "api": section.api,
        "limit or subset": _positions(section),
        "shots": section.shots,
        "dataset": section.dataset,
        "revision": section.revision,
        "samples_sha256": section.samples_sha256,
    }


def _positions(section: TaskSection) -> str | None:
    """Return which of its questions a task is asked; None for all."""
    if section.subset is None:
        return None if section.limit is None else f"the first {section.limit}"
    positions = sorted(section.subset)
    is_first = positions == list(range(len(positions)))
    return f"the first {len(positions)}" if is_first else str(positions)


def _written(value: object) -> str:
    return "not set" if value is None else str(value)


def _check_labels(tasks: dict[str, TaskSection]) -> dict[str, TaskSection]:
    for label in tasks:
        if not _LABEL.fullmatch(label):
            raise problem_at(label, f"{label!r} is no name; allowed: 100 letters, digits, . _ -")
    return tasks


class AccuracySection(RootModel[dict[str, TaskSection]]):
    """Tasks of lm-evaluation-harness by name."""

    model_config = ConfigDict(frozen=True)

    root: Annotated[dict[str, TaskSection], AfterValidator(_check_labels)] = {}

    @property
    def tasks(self) -> dict[str, TaskSection]:
        """Name in the matrix -> what is promised of it."""
        return self.root

    @property
    def partners(self) -> frozenset[str]:
        """Cells that this one is held against, as the matrix names them."""
        return frozenset(task.paired_with for task in self.root.values() if task.paired_with)

    def asks(self, question: str, promised: frozenset[Capability]) -> bool:
        """Return whether a question of this suite is asked, given what image and model promise."""
        if not promised & {Capability.COMPLETIONS, Capability.CHAT}:
            return False
        needed = _NEEDED_FOR.get(question)
        return any(
            needed is None or getattr(task, needed) is not None for task in self.root.values()
        )
