"""Types of what a matrix writes in a question of speed."""

from __future__ import annotations

from typing import Annotated
from typing import Any
from typing import Final

from pydantic import AfterValidator
from pydantic import BeforeValidator
from pydantic import Field
from pydantic import PlainSerializer
from pydantic import WithJsonSchema

from hwval.errors import UsageError
from hwval.load.lengths import Lengths
from hwval.load.lengths import parse_lengths
from hwval.units import format_duration_s
from hwval.yamlmodel import Duration

__all__ = ["Count", "Counts", "Positive", "Rates", "Seconds", "Span", "Text", "Tokens", "Whole"]


def _read_lengths(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("expected tokens as in 128, 64..256 or 128~32")  # noqa: TRY004 - pydantic collects ValueError alone
    try:
        return parse_lengths(str(value))
    except UsageError as error:
        raise ValueError(str(error)) from None


def _write_lengths(lengths: Lengths) -> str:
    """Return lengths as a person wrote them."""
    low, high, spread = lengths.low_tokens, lengths.high_tokens, lengths.spread_tokens
    if spread is not None:
        return f"{(high + low) // 2}~{spread}"
    return f"{low}" if low == high else f"{low}..{high}"


def _check_span(span_s: float) -> float:
    """Refuse what no round fits into: a generator's processes alone take most of a second."""
    if span_s < _LEAST_SPAN_S:
        found, least = format_duration_s(span_s), format_duration_s(_LEAST_SPAN_S)
        raise ValueError(f"found {found}, expected {least} or more: no round is as short")
    return span_s


_LEAST_SPAN_S: Final = 1.0
Count = Annotated[int, Field(ge=1, strict=True)]
Whole = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
Seconds = Annotated[Duration, Field(gt=0)]
Span = Annotated[Duration, AfterValidator(_check_span)]
Tokens = Annotated[
    Lengths,
    BeforeValidator(_read_lengths),
    PlainSerializer(_write_lengths, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\s*\d+\s*((\.\.|~)\s*\d+\s*)?$"},
            ],
            "examples": [128, "64..256", "128~32"],
        }
    ),
]


def _check_ascending(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values or list(values) != sorted(set(values)):
        raise ValueError(f"found {list(values)}, expected different numbers in rising order")
    return values


Counts = Annotated[tuple[Count, ...], AfterValidator(_check_ascending)]
Rates = Annotated[tuple[Positive, ...], AfterValidator(_check_ascending)]
