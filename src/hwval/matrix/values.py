"""The kinds of values in a matrix file: how each is read and what is refused."""

from __future__ import annotations

import json
import re
from typing import Annotated
from typing import Any
from typing import Final
from typing import Literal

from pydantic import AfterValidator
from pydantic import BeforeValidator
from pydantic import Field
from pydantic import WithJsonSchema

from hwval.cell import ArgValue
from hwval.cell import Dtype
from hwval.cell import slug
from hwval.yamlfile import WrittenFloat
from hwval.yamlmodel import problem_at

__all__ = [
    "Dtypes",
    "Engine",
    "Environment",
    "Names",
    "NonEmpty",
    "Privilege",
    "VariableName",
    "VariantName",
]

# Flags that follow from the cell or that the run itself sets.
_OWN_FLAGS: Final = {
    "api-key": "the run makes one for every engine",
    "dtype": "it is an axis",
    "host": "the run sets it",
    "model": "it is an axis",
    "port": "the run sets it",
    "served-model-name": "the run sets it",
}
_FLAG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.\w+)*")
# Read as whole numbers by the planner; vLLM's other spellings (32k, auto) would say less there.
_COUNT_FLAGS: Final = frozenset(
    {
        "data-parallel-size",
        "max-model-len",
        "max-num-batched-tokens",
        "max-num-seqs",
        "pipeline-parallel-size",
        "tensor-parallel-size",
    }
)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_WORDS: Final = frozenset(
    {"APIKEY", "CREDENTIAL", "CREDENTIALS", "KEY", "PASSWD", "PASSWORD", "SECRET", "TOKEN"}
)
_SECRET_VALUE: Final = re.compile(r"(hf_|sk-|ghp_|AKIA)[A-Za-z0-9_-]{12,}")


def _as_tuple(value: object) -> object:
    """Let ``dtype: float16`` stand for ``dtype: [float16]``."""
    if value is None or isinstance(value, (list, tuple, dict)):
        return value
    return (value,)


def _check_values(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("the list is empty, expected at least one")
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{str(value)!r} stands twice")
        seen.add(value)
    return values


def _one_or_many(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]})


def _check_name(name: str) -> str:
    if slug(name) != name:
        raise ValueError(f"{name!r} is no variant name; allowed: a-z 0-9 . _ -, as {slug(name)!r}")
    return name


def _check_engine(arguments: dict[str, ArgValue]) -> dict[str, ArgValue]:
    for name, value in arguments.items():
        right = name.strip("-").replace("_", "-").lower()
        if not _FLAG.fullmatch(name):
            raise problem_at(name, f"{name!r} is no flag in vLLM's spelling; write {right!r}")
        if name in _OWN_FLAGS:
            raise problem_at(name, f"{name!r} cannot be set here: {_OWN_FLAGS[name]}")
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if name in _COUNT_FLAGS and not is_count:
            raise problem_at(name, f"{name!r} is {value!r}, expected a whole number from 1 on")
        if _is_secret(name.replace("-", "_"), value):
            raise problem_at(name, f"{name!r} looks like a secret; pass it by 'pass_environment'")
        if name == "load-format" and value == "dummy":
            raise problem_at(name, "write 'weights: dummy' in place of 'load-format: dummy'")
    return arguments


def _is_secret(name: str, value: ArgValue) -> bool:
    words = name.upper().split("_")
    return bool(_SECRET_WORDS.intersection(words) or _SECRET_VALUE.search(str(value)))


def _read_argument(value: object) -> object:
    if isinstance(value, dict):
        return json.dumps(value)
    if value is None or isinstance(value, list):
        kinds = "text, a number, true (the bare flag), false (its --no- form) or a mapping (JSON)"
        raise ValueError(f"expected {kinds}")
    return float(value) if isinstance(value, WrittenFloat) else value


def _check_environment(variables: dict[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise problem_at(name, f"{name!r} is no name of an environment variable")
        if _is_secret(name, value):
            hint = f"pass it by name: 'pass_environment: [{name}]'"
            raise problem_at(name, f"{name!r} looks like a secret; {hint}")
    return variables


def _read_variable(value: object) -> object:
    if isinstance(value, WrittenFloat):
        return value.text
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_variable_name(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an environment variable")
    return name


_OneOrMany = BeforeValidator(_as_tuple)
Names = Annotated[
    tuple[str, ...],
    _OneOrMany,
    AfterValidator(_check_values),
    _one_or_many({"type": "string"}),
]
Dtypes = Annotated[
    tuple[Dtype, ...],
    _OneOrMany,
    AfterValidator(_check_values),
    _one_or_many({"enum": [dtype.value for dtype in Dtype]}),
]
_Argument = Annotated[
    ArgValue,
    BeforeValidator(_read_argument),
    WithJsonSchema({"type": ["string", "number", "boolean", "object"]}),
]
Engine = Annotated[dict[str, _Argument], AfterValidator(_check_engine)]
_Variable = Annotated[
    str, BeforeValidator(_read_variable), WithJsonSchema({"type": ["string", "number"]})
]
Environment = Annotated[dict[str, _Variable], AfterValidator(_check_environment)]
VariableName = Annotated[str, AfterValidator(_check_variable_name)]
VariantName = Annotated[str, AfterValidator(_check_name)]
NonEmpty = Annotated[str, Field(min_length=1)]
Privilege = Literal[
    "host-network", "ipc-host", "privileged", "ptrace", "seccomp-unconfined", "sys-nice"
]
