"""YAML files that people edit: read strictly, with the line of every value.

Errors of syntax, of shape and of meaning all come out as one ``MatrixError`` with file and line.
What YAML 1.1 would turn into something else than was written (``no``, ``1:30``, ``010``) is
refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from datetime import date
from pathlib import Path
from typing import Any
from typing import Final
from typing import Self

import yaml

from hwval.errors import MatrixError
from hwval.spelling import near_names

__all__ = ["Place", "WrittenFloat", "YamlFile", "load_yaml"]

Place = tuple[str | int, ...]
"""Keys and indices that lead to a value: ``("axes", "dtype", 0)``."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_BYTES: Final = 16 * 2**20
# A matrix is five levels deep. PyYAML's C composer recurses: 200,000 levels crash the interpreter.
_MAX_DEPTH: Final = 40
# A 10,000-cell matrix that names each cell has 100,000; a few aliases of aliases make billions.
_MAX_VALUES: Final = 400_000
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9_]{0,30})")
_PLAIN_FLOAT: Final = re.compile(r"[-+]?[0-9][0-9_]*\.[0-9]*([eE][-+]?[0-9]{1,2})?")


class WrittenFloat(float):
    """A number that remembers how it was written: YAML reads the version 0.10 as 0.1."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Make the number that ``text`` stands for."""
        number = super().__new__(cls, text.replace("_", ""))
        number.text = text
        return number


@dataclass(frozen=True, slots=True)
class YamlFile:
    """A YAML file that was read.

    Attributes:
        name: The file as the user named it.
        sha256: Hash of its bytes, hexadecimal.
        content: The mapping at its top.
    """

    name: str
    sha256: str
    content: dict[str, object]
    _lines: Mapping[Place, int] = field(repr=False)
    _texts: Mapping[Place, str] = field(repr=False)

    def line(self, place: Iterable[str | int] = ()) -> int:
        """Return the line, from 1, of a value or of the nearest one around it that is known."""
        return self._lines[self.known(place)]

    def error(
        self, problem: str, place: Iterable[str | int] = (), *, key: str | None = None
    ) -> MatrixError:
        """Return the error that says ``problem`` of the value at ``place``.

        Args:
            problem: What was seen and what is allowed.
            place: Where; cut to what exists in this file.
            key: Key inside that value whose line is meant, where ``problem`` itself names it.
        """
        known = self.known(place)
        where = f"{_format_place(known)}: " if known else ""
        line = self.line(known if key is None else (*known, key))
        return MatrixError(f"{where}{problem}", file=self.name, line=line)

    def at(self, place: Place) -> object:
        """Return the value at a place, None where there is none."""
        found: object = self.content
        for part in place:
            if isinstance(found, Mapping):
                found = found.get(part)
            elif isinstance(found, list) and isinstance(part, int) and part < len(found):
                found = found[part]
            else:
                return None
        return found

    def text(self, place: Place) -> str | None:
        """Return how a single value was written, None for a list or a mapping."""
        return self._texts.get(place)

    def known(self, place: Iterable[str | int]) -> Place:
        """Return the longest part of ``place`` that exists in this file.

        pydantic's locations also hold names of union branches and ``[key]``, which are no places.
        """
        known: Place = ()
        for part in place:
            if (*known, part) not in self._lines:
                break
            known = (*known, part)
        return known


def _format_place(place: Place) -> str:
    """Return a place as a person would write it.

    Example:
        >>> _format_place(("axes", "dtype", 0))
        'axes.dtype[0]'
    """
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return "".join(parts).removeprefix(".")


def load_yaml(path: Path) -> YamlFile:
    """Read a YAML file whose top is a mapping.

    Raises:
        MatrixError: Unreadable, not UTF-8, not YAML, too large or too deep, a key that stands
            twice, a tag, or a word that YAML would read as something else.
    """
    name = str(path)
    raw = _read(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise MatrixError(f"not UTF-8: {error.reason}", file=name, line=line) from error
    try:
        _check_depth(text, name)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise MatrixError(f"not YAML: {error.reason}", file=name, line=line) from error
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, name) from error
    if not isinstance(node, yaml.MappingNode):
        found = {yaml.SequenceNode: "a list", yaml.ScalarNode: "one word"}.get(
            type(node), "nothing"
        )
        raise MatrixError(f"found {found}, expected keys and values", file=name, line=1)
    reader = _Reader(name)
    content = reader.mapping(node, ())
    return YamlFile(name, hashlib.sha256(raw).hexdigest(), content, reader.lines, reader.texts)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        near = _near_files(path)
        raise MatrixError(
            f"cannot be read: {(error.strerror or str(error)).lower()}{near}", file=str(path)
        ) from error
    if len(raw) > _MAX_BYTES:
        raise MatrixError(f"larger than {_MAX_BYTES // 2**20} MiB", file=str(path))
    return raw


def _near_files(path: Path) -> str:
    if path.exists() or not path.parent.is_dir():
        return ""
    near = near_names(path.name, sorted(file.name for file in path.parent.glob("*.yaml")))
    return f"; {near}" if near.startswith("did") else ""


def _check_depth(text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise MatrixError(
                    f"nested deeper than {_MAX_DEPTH} levels", file=name, line=_line_of(event)
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line_of(part: yaml.Node | yaml.Event) -> int:
    return 1 if part.start_mark is None else part.start_mark.line + 1


def _syntax_error(error: yaml.MarkedYAMLError, text: str, name: str) -> MatrixError:
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return MatrixError(f"not YAML: {problem}", file=name)
    lines = text.split("\n")[mark.line : mark.line + 1]
    if lines and "\t" in lines[0][: mark.column + 1]:
        problem = "indented by a tab; use spaces"
    return MatrixError(f"not YAML: {problem}", file=name, line=mark.line + 1)


class _Reader:
    """Turns nodes into plain values and keeps where each one stood."""

    def __init__(self, name: str) -> None:
        self.lines: dict[Place, int] = {(): 1}
        self.texts: dict[Place, str] = {}
        self._name = name

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            inner = (*place, key)
            if key in result:
                raise self._error(
                    f"key {key!r} stands twice, first in line {self.lines[inner]}", key_node
                )
            self._enter(inner, key_node)
            result[key] = self._value(value_node, inner)
        return result

    def _value(self, node: yaml.Node, place: Place) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self.mapping(node, place)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._item(item, (*place, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            self.texts[place] = node.value
            return self._scalar(node)
        raise self._error(f"tag {node.tag.removeprefix(_TAG)!r} is not allowed", node)

    def _item(self, node: yaml.Node, place: Place) -> Any:
        self._enter(place, node)
        return self._value(node, place)

    def _enter(self, place: Place, node: yaml.Node) -> None:
        # Aliases repeat what stands elsewhere, also inside itself.
        if len(self.lines) > _MAX_VALUES or len(place) > _MAX_DEPTH:
            raise self._error("aliases make this file too large", node)
        self.lines[place] = _line_of(node)

    def _key(self, node: yaml.Node) -> str:
        if node.tag == f"{_TAG}merge":
            raise self._error("merge keys (<<) are not allowed; write the keys out", node)
        key = self._scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            written = f": {node.value}; quote it" if isinstance(node, yaml.ScalarNode) else ""
            raise self._error(f"a key must be text{written}", node)
        return key

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "str":
                return text
            case "null":
                return None
            case "bool" if text.lower() in {"true", "false"}:
                return text.lower() == "true"
            case "int" if _PLAIN_INT.fullmatch(text):
                return int(text.replace("_", ""))
            case "float" if _PLAIN_FLOAT.fullmatch(text):
                return WrittenFloat(text)
            case "timestamp" if _is_date(text):
                return date.fromisoformat(text)
            case "bool":
                hint = f'write true or false, or quote it: "{text}"'
                raise self._error(f"unquoted {text} is true or false to YAML; {hint}", node)
            case "int" | "float" | "timestamp" | "value":
                hint = f'quote it: "{text}"'
                raise self._error(f"unquoted {text} means something else to YAML; {hint}", node)
            case tag:
                raise self._error(f"tag {tag!r} is not allowed", node)

    def _error(self, problem: str, node: yaml.Node) -> MatrixError:
        return MatrixError(problem, file=self._name, line=_line_of(node))


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2027-06-30")
