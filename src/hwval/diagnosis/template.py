"""Fills the sentences of a rule with the numbers of a log, and computes what they lead to.

Rules are data: what can be computed is arithmetic over captured numbers, nothing else.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from string import Formatter
from typing import Any
from typing import Final

__all__ = ["Value", "compute", "fill", "value_of", "variables_of"]

Value = float | int | str

_OPERATORS: Final[dict[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}


def _floor(number: float, digits: int = 0) -> float:
    scaled = math.floor(round(number * 10**digits, 6)) / 10**digits
    return int(scaled) if digits <= 0 else scaled


def _largest_divisor(number: float, limit: float) -> int:
    """Return the largest divisor of ``number`` that is at most ``limit``."""
    if number < 1 or limit < 1:
        raise ValueError(number)
    return max(d for d in range(1, max(1, int(min(limit, 4096))) + 1) if int(number) % d == 0)


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "floor": _floor,
    "ceil": math.ceil,
    "min": min,
    "max": max,
    "largest_divisor": _largest_divisor,
}


def value_of(text: str) -> Value:
    """Return a captured text as a number where it is one: ``"2,048"`` is 2048.

    Example:
        >>> value_of("3.81"), value_of("2,048"), value_of("awq")
        (3.81, 2048, 'awq')
    """
    plain = text.replace(",", "").replace("_", "")
    if plain.isascii() and plain.isdigit() and len(plain) < 19:
        return int(plain)
    try:
        number = float(plain)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def compute(expressions: Mapping[str, str], values: Mapping[str, Value]) -> dict[str, Value]:
    """Return ``values`` with what ``expressions`` add; those that cannot be computed are left out.

    Args:
        expressions: Name to arithmetic, evaluated in order: ``+ - * / %``, numbers, names,
            ``floor(x, digits)``, ``ceil``, ``min``, ``max``, ``largest_divisor(n, limit)``.
        values: What is known.
    """
    known = dict(values)
    for name, expression in expressions.items():
        try:
            known[name] = _evaluate(ast.parse(expression, mode="eval").body, known)
        except (KeyError, TypeError, ValueError, ArithmeticError, SyntaxError):
            continue
    return known


def _evaluate(node: ast.expr, values: Mapping[str, Value]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            value = values[name]
            if isinstance(value, str):
                raise TypeError(name)
            return value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left, values), _evaluate(right, values))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_evaluate(argument, values) for argument in args))
    raise ValueError(ast.unparse(node))


def fill(alternatives: Sequence[str], values: Mapping[str, Value]) -> str:
    """Return the first sentence whose every field is known, filled; the last if none is.

    Args:
        alternatives: Sentences with ``{name}`` fields, the richest first; the last has none.
        values: What is known.
    """
    for template in alternatives:
        if variables_of(template) <= values.keys():
            try:
                return template.format_map(values)
            except ValueError:  # a text where the format asks for a number
                continue
    return alternatives[-1]


def variables_of(template: str) -> set[str]:
    """Return the names of the fields of a sentence."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}
