"""Finds the description of a task among those of lm-evaluation-harness.

Its own index reads all 14,000 files as YAML, which takes ten seconds. A look for the line that
names the task takes one, and none where the task stands in a file of its name, as most do.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from typing import NamedTuple

from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble
from hwval.spelling import near_names

__all__ = ["find_task"]

_NAMED: Final = re.compile(
    rb"""^["']?(task|group)["']?[ \t]*:[ \t]*(.*?)[ \t]*\r?$""", re.MULTILINE
)


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


def _entries(folder: Path, pattern: str) -> Iterator[_Entry]:
    for path in sorted(folder.glob(pattern)):
        found = dict(_NAMED.findall(path.read_bytes()))
        kind = b"group" if b"group" in found else b"task"
        if kind in found:
            value = found[kind].partition(b" #")[0].strip().strip(b"\"'")
            yield _Entry(kind.decode(), value.decode("utf-8", "replace"), path)
