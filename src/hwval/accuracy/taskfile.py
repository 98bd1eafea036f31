"""Finds and reads the description of a task among those of lm-evaluation-harness.

Its own index reads all 14,000 files as YAML, which takes ten seconds. A look for the line that
names the task takes one, and none where the task stands in a file of its name, as most do.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final
from typing import NamedTuple

import yaml

from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble
from hwval.spelling import near_names

__all__ = [
    "GENERATION",
    "MADE_BY_CODE",
    "find_task",
    "read_task",
    "refuse_own_data",
    "why_not_asked",
]

_NAMED: Final = re.compile(
    rb"""^["']?(task|group)["']?[ \t]*:[ \t]*(.*?)[ \t]*\r?$""", re.MULTILINE
)


GENERATION: Final = "generate_until"
"""What a task asks for that wants texts, in the harness's words."""
# What the harness may ask a model for that is right or wrong; perplexities are neither.
_ASKED: Final = frozenset({GENERATION, "multiple_choice", "loglikelihood"})
MADE_BY_CODE: Final = "class"
"""Key of a description whose task is made by code of its own, which reads nothing else of it."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads what the harness wrote; code that a description names is not loaded."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)  # noqa: ARG005 - as PyYAML calls it


class _Entry(NamedTuple):
    kind: str
    name: str
    path: Path


def find_task(name: str, folder: Path) -> Path:
    """Return the YAML file of a task.

    Args:
        name: As lm-evaluation-harness knows it.
        folder: The harness's tasks.

    Raises:
        SetbackError: There is none of that name, or it is a group.
    """
    known: set[str] = set()
    for pattern in (f"**/{glob.escape(name)}.yaml", "**/*.yaml"):
        for entry in _entries(folder, pattern):
            if entry.name != name:
                known.add(entry.name)
            elif entry.kind == "task":
                return entry.path
            else:
                raise SetbackError(Trouble.TASK, "it is a group; name its tasks one by one")
    hint = near_names(name, sorted(known))
    raise SetbackError(Trouble.TASK, f"lm-evaluation-harness knows no such task; {hint}")


def read_task(path: Path) -> Mapping[str, Any]:
    """Return a description with what it includes; None in the place of code.

    Raises:
        OSError: A file cannot be read.
        ValueError: One is no description, or they include each other.
    """
    return _read(path, ())


def why_not_asked(output_type: str, api: str) -> str:
    """Return why what a task asks for cannot be judged, or not by this interface; empty if it can.

    Args:
        output_type: As the harness names it.
        api: ``completions`` or ``chat``.
    """
    if output_type not in _ASKED:
        return f"it asks for {output_type}, which has no right and wrong answers"
    if output_type != GENERATION and api == "chat":
        return "it compares log-likelihoods, which chat does not give; use completions"
    return ""


def refuse_own_data(description: Mapping[str, Any], named: Mapping[str, object]) -> None:
    """Refuse data for a task that would not take them, and ask those of the Hub without a word.

    Args:
        description: The task's.
        named: Key of the matrix -> what it says of the data, None where it says nothing.

    Raises:
        SetbackError: The task is made by code of its own, and data are named.
    """
    told = [repr(key) for key, value in named.items() if value is not None]
    if MADE_BY_CODE in description and told:
        raise SetbackError(
            Trouble.TASK,
            f"it is made by code of its own, which takes no {' and no '.join(told)}; leave it out",
        )


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path in above:
        raise ValueError(f"{path} includes itself")
    try:
        own = yaml.load(path.read_bytes(), _Loader)  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(own, dict):
        raise ValueError(f"{path} holds no mapping")  # noqa: TRY004 - of a file, as all the rest
    included = own.pop("include", None) or []
    found: dict[str, Any] = {}
    for name in included if isinstance(included, list) else [included]:
        found |= _read(path.parent / str(name), (*above, path))
    return found | own


def _entries(folder: Path, pattern: str) -> Iterator[_Entry]:
    for path in sorted(folder.glob(pattern)):
        found = dict(_NAMED.findall(path.read_bytes()))
        kind = b"group" if b"group" in found else b"task"
        if kind in found:
            value = found[kind].partition(b" #")[0].strip().strip(b"\"'")
            yield _Entry(kind.decode(), value.decode("utf-8", "replace"), path)
