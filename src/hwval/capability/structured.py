"""What structured output and tool calls are asked for, and whether what came back fits.

Values are few on purpose: grammar alone must keep the answer of random weights within the schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from typing import Final

__all__ = ["CITY", "SCHEMA", "TOOL", "TOOL_NAME", "trouble_with"]

CITY: Final = "Lisbon"
"""What a model that understands puts under ``city``."""
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Lisbon", "Oslo", "Lima"]},
        "is_capital": {"type": "boolean"},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "units": {
            "type": "array",
            "items": {"type": "string", "enum": ["celsius", "percent"]},
            "minItems": 1,
            "maxItems": 2,
        },
    },
    "required": ["city", "is_capital", "days", "units"],
    "additionalProperties": False,
}
"""A JSON Schema with an object, an enumeration, a bounded number, a truth value and a list."""
TOOL_NAME: Final = "weather_forecast"
_ARGUMENTS: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Lisbon", "Oslo", "Lima"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL: Final[Mapping[str, Any]] = {
    "type": "function",
    "function": {
        "name": TOOL_NAME,
        "description": "Forecast the weather of a city.",
        "parameters": _ARGUMENTS,
        # Without it vLLM 0.32 leaves the arguments of most parsers free.
        "strict": True,
    },
}
"""A tool, as requests describe it."""


def trouble_with(text: str, *, is_call: bool = False) -> str:
    """Return why ``text`` is no JSON that fits, empty if it fits.

    Args:
        text: What the server answered.
        is_call: Whether it is the arguments of the tool; else `SCHEMA` counts.
    """
    import jsonschema

    try:
        value = json.loads(text)
    except ValueError as error:
        return f"{_shortened(text)!r} is no JSON: {error}"
    schema = _ARGUMENTS if is_call else SCHEMA
    problems = jsonschema.Draft202012Validator(schema).iter_errors(value)
    problem = jsonschema.exceptions.best_match(problems)
    return f"{_shortened(text)!r} breaks the schema: {problem.message}" if problem else ""


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
