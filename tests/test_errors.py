"""Errors: their tree, and what they say by themselves."""

from __future__ import annotations

import re

import pytest

from hwval import errors
from hwval.errors import EngineExited
from hwval.errors import HwvalError
from hwval.errors import MatrixError

CLASSES = {name: getattr(errors, name) for name in errors.__all__}
# "    │  ├─ MatrixError          a matrix: ..." -> depth and name
_BRANCH = re.compile(r"^    (?P<bars>[ │├└─]*)(?P<name>[A-Z]\w+)", re.MULTILINE)


def parents_as_drawn() -> dict[str, str | None]:
    """Read the tree in the module's docstring: class -> the class it hangs on."""
    above: list[str] = []
    parents: dict[str, str | None] = {}
    for branch in _BRANCH.finditer(errors.__doc__ or ""):
        depth = len(branch["bars"]) // 3
        above[depth:] = [branch["name"]]
        parents[branch["name"]] = above[depth - 1] if depth else None
    return parents


def test_tree_is_drawn_as_it_is() -> None:
    """The picture in the docstring is the inheritance, complete."""
    real = {
        name: None if kind is HwvalError else kind.__base__.__name__
        for name, kind in CLASSES.items()
    }

    assert parents_as_drawn() == real


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES.keys())
def test_every_error_is_caught_as_ours_and_says_what_it_was_told(kind: type[HwvalError]) -> None:
    """One `except` catches what hwval raises on purpose; the text is the sentence given."""
    error = kind("start the engine for a: it died, expected an answer. See its log.")

    assert isinstance(error, HwvalError)
    assert str(error) == "start the engine for a: it died, expected an answer. See its log."
    assert kind.__doc__


@pytest.mark.parametrize(
    ("file", "line", "text"),
    [
        ("m.yaml", 7, "m.yaml:7: unknown key 'axs'"),
        ("m.yaml", None, "m.yaml: unknown key 'axs'"),
        (None, 7, "7: unknown key 'axs'"),
        (None, None, "unknown key 'axs'"),
    ],
    ids=["file-and-line", "file", "line", "neither"],
)
def test_matrix_error_begins_with_its_place(file: str | None, line: int | None, text: str) -> None:
    """An editor jumps to `file:line`; the parts stay readable by themselves."""
    error = MatrixError("unknown key 'axs'", file=file, line=line)

    assert str(error) == text
    assert (error.problem, error.file, error.line) == ("unknown key 'axs'", file, line)


def test_exit_keeps_what_the_runtime_says() -> None:
    """Exit status and OOM flag travel with the error; unknown is None, never 0."""
    killed = EngineExited("it died", exit_code=137, oom_killed=True)
    silent = EngineExited("it died")

    assert (killed.exit_code, killed.oom_killed) == (137, True)
    assert (silent.exit_code, silent.oom_killed) == (None, False)
