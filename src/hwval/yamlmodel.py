"""Validates what a YAML file says by pydantic models and turns their errors into one line.

pydantic reports everything that is wrong, in its own words and with its own idea of a place; a
person wants the first problem, where it stands, and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Annotated
from typing import Final
from typing import TypeVar

from pydantic import BaseModel
from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import ValidationError
from pydantic import WithJsonSchema
from pydantic import model_validator
from pydantic_core import ErrorDetails
from pydantic_core import PydanticCustomError

from hwval.spelling import near_names
from hwval.units import parse_duration_s
from hwval.yamlfile import Place
from hwval.yamlfile import WrittenFloat
from hwval.yamlfile import YamlFile

__all__ = [
    "PART_SCHEMA",
    "Duration",
    "Part",
    "YamlModel",
    "problem_at",
    "validate",
    "validate_merged",
]

_AT_KEY: Final = "hwval_at_key"
# In the words of YAML, where pydantic speaks of Python.
_EXPECTED: Final = {
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "string_too_short": "some text",
}

_PERCENT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
# What is a text only since it stands in quotes.
_QUOTED: Final = re.compile(r"[-+]?\d[\d_]*(\.\d*)?|true|false", re.IGNORECASE)
_Model = TypeVar("_Model", bound=BaseModel)


def _read_duration(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("expected a duration with its unit, as in 20 min")  # noqa: TRY004 - pydantic collects ValueError alone
    return parse_duration_s(value if isinstance(value, str) else f"{value}")


Duration = Annotated[
    float,
    BeforeValidator(_read_duration),
    WithJsonSchema({"type": "string", "examples": ["20 min"]}),
]
"""Seconds, written with their unit."""


def _read_part(value: object) -> object:
    if isinstance(value, str):
        percent = _PERCENT.fullmatch(value)
        if percent is None:
            raise ValueError(f"{value!r} is no share; write 0.03 or 3 %")
        return float(percent[1]) / 100
    if isinstance(value, int | float) and 1 < value <= 100:
        raise ValueError(f"found {value:g}, expected a share: {value:g} % or {value / 100:g}")
    return float(value) if isinstance(value, WrittenFloat) else value


Part: Final = BeforeValidator(_read_part)
"""Reads ``3 %`` and 0.03 alike; 3 alone could be either, and a range of at most 1 refuses it."""
PART_SCHEMA: Final = WithJsonSchema({"type": ["number", "string"], "examples": [0.03, "3 %"]})
"""What `Part` reads, for editors."""


def problem_at(key: str, problem: str) -> PydanticCustomError:
    """Return an error for a validator to raise that means ``key`` inside the validated mapping."""
    return PydanticCustomError(_AT_KEY, "{problem}", {"problem": problem, "key": key})


class YamlModel(BaseModel):
    """Base of everything that is read from YAML: no unknown keys, no change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: object) -> object:
        known = [info.alias or name for name, info in cls.model_fields.items()]
        for key in data if isinstance(data, Mapping) else ():
            if key not in known:
                hint = _did_you_mean(str(key), known)
                raise problem_at(key, f"unknown key {key!r}; {hint}allowed: {', '.join(known)}")
        return data


def validate(file: YamlFile, model: type[_Model]) -> _Model:
    """Return the content of ``file`` as ``model``.

    Raises:
        MatrixError: It does not fit; of several problems, unknown keys come first, as they explain
            missing ones, then the first in the file.
    """
    try:
        return model.model_validate(file.content)
    except ValidationError as error:
        problems = [_Problem(file, details) for details in error.errors()]
        first = min(problems, key=lambda problem: (problem.key is None, problem.line))
        raise file.error(first.describe(), first.place, key=first.key) from None


def validate_merged(file: YamlFile, model: type[_Model], places: Sequence[Place]) -> _Model:
    """Return the mappings at several places of a file, each over those before it, as ``model``.

    They are merged key by key at any depth, and then judged as one: what is right in itself may
    contradict what it stands over. Lists and single values are replaced; null takes away.

    Args:
        file: The file.
        model: What they come to together.
        places: Where they stand; a place that does not exist adds nothing.

    Raises:
        MatrixError: They do not fit; told at the last place.
    """
    merged: object = {}
    for place in places:
        merged = _over(merged, file.at(place) or {})
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        details = error.errors()[0]
        problem = _Problem(file, details, within=places[-1])
        where = ".".join(str(part) for part in details["loc"])
        raise file.error(f"{where}: {problem.describe()}", problem.place) from None


def _over(below: object, above: object) -> object:
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        return {**below, **{key: _over(below.get(key), value) for key, value in above.items()}}
    return above


class _Problem:
    """One error of pydantic, seen from the file."""

    def __init__(self, file: YamlFile, details: ErrorDetails, within: Place = ()) -> None:
        self._file = file
        self._details = details
        self._context = details.get("ctx", {})
        self._value = details["input"]
        self.place = file.known((*within, *details["loc"]))
        self.key = str(self._context["key"]) if details["type"] == _AT_KEY else None
        self.line = file.line(self.place if self.key is None else (*self.place, self.key))

    def describe(self) -> str:
        """Return what is wrong and what is allowed, without the place."""
        match self._details["type"]:
            case kind if kind == _AT_KEY:
                return str(self._context["problem"])
            case "missing":
                return f"required key {self._details['loc'][-1]!r} is missing"
            case "enum" | "literal_error":
                return self._describe_choice()
            case "string_type":
                return self._describe_not_text()
            case "value_error":
                return str(self._context["error"])
            case kind:
                message = self._details["msg"].removeprefix("Input should be ")
                return f"found {self._written()}, expected {_EXPECTED.get(kind, message)}"

    def _describe_choice(self) -> str:
        allowed = re.findall(r"'([^']*)'", str(self._context["expected"]))
        hint = _did_you_mean(str(self._value), allowed)
        return f"{self._written()} is unknown; {hint}allowed: {', '.join(allowed)}"

    def _describe_not_text(self) -> str:
        text = self._file.text(self.place)
        if text is None or self._value is None:
            return f"found {self._written()}, expected text"
        return f'found {_kind_of(self._value)} {text}, expected text; quote it: "{text}"'

    def _written(self) -> str:
        if self._value is None:
            return "nothing"
        if isinstance(self._value, (Mapping, list, tuple)):
            return _kind_of(self._value)
        text = self._file.text(self.place) or repr(self._value)
        is_quoted = isinstance(self._value, str) and _QUOTED.fullmatch(text)
        return f'the text "{text}"' if is_quoted else text


def _did_you_mean(name: str, known: list[str]) -> str:
    near = near_names(name, known)
    return f"{near} " if near.startswith("did") else ""


def _kind_of(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    names = {bool: "the yes-or-no", int: "the number", WrittenFloat: "the number"}
    return names.get(type(value), "the date")
