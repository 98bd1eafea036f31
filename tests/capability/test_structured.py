"""What must fit a schema: values that do, and what is told of those that do not."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from hwval.capability.structured import CITY
from hwval.capability.structured import SCHEMA
from hwval.capability.structured import TOOL
from hwval.capability.structured import trouble_with

FITTING: dict[str, Any] = {"city": CITY, "is_capital": True, "days": 3, "units": ["celsius"]}


@pytest.mark.parametrize("schema", [SCHEMA, TOOL["function"]["parameters"]], ids=["output", "tool"])
def test_schemas_are_schemas(schema: dict[str, Any]) -> None:
    """Of the draft that they are validated by, and closed to other keys."""
    jsonschema.Draft202012Validator.check_schema(schema)

    assert schema["additionalProperties"] is False


def test_fitting_values_are_fine() -> None:
    """Whatever the blanks between them."""
    assert trouble_with(json.dumps(FITTING)) == ""
    assert trouble_with(json.dumps(FITTING, indent=8)) == ""
    assert trouble_with('{"city": "Oslo", "days": 7}', is_call=True) == ""


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        pytest.param("", "'' is no JSON", id="empty"),
        pytest.param('{"city": "Li', "is no JSON", id="cut"),
        pytest.param("sure! {}", "is no JSON", id="chatter"),
        pytest.param(json.dumps(FITTING | {"days": 9}), "9 is greater than", id="bound"),
        pytest.param(json.dumps(FITTING | {"days": "3"}), "is not of type 'integer'", id="type"),
        pytest.param(json.dumps(FITTING | {"city": "Rome"}), "is not one of", id="enumeration"),
        pytest.param(json.dumps(FITTING | {"units": []}), "should be non-empty", id="list"),
        pytest.param(json.dumps(FITTING | {"more": 1}), "Additional properties", id="more"),
        pytest.param("[]", "is not of type 'object'", id="another-kind"),
    ],
)
def test_what_does_not_fit_is_told(text: str, trouble: str) -> None:
    """With the answer and the reason."""
    assert trouble in trouble_with(text)


def test_long_answers_are_shortened() -> None:
    """A message has a length."""
    assert len(trouble_with("x" * 10_000)) < 300
