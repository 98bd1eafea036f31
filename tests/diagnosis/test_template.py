"""Sentences with numbers, and the arithmetic that rules may do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.diagnosis.template import compute
from hwval.diagnosis.template import fill
from hwval.diagnosis.template import value_of


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("2,048", 2048), ("3.81", 3.81), ("awq", "awq"), ("1e400", "1e400"), ("nan", "nan"),
     ("", ""), ("²", "²")],
)  # fmt: skip
def test_numbers_are_numbers(text: str, value: object) -> None:
    """What is written as a number can be computed with; what is not stays as it is."""
    assert value_of(text) == value


def test_computed_values_build_on_each_other() -> None:
    """In the order of the rule."""
    found = compute(
        {"share": "floor(free / total, 2)", "percent": "floor(share * 100)"},
        {"free": 5.92, "total": 79.19},
    )

    assert (found["share"], found["percent"]) == (0.07, 7)


def test_divisor() -> None:
    """A parallel size that divides the heads."""
    assert compute({"tp": "largest_divisor(heads, asked)"}, {"heads": 28, "asked": 8})["tp"] == 7


@pytest.mark.parametrize(
    "expression",
    ["missing + 1", "text + 1", "1 / 0", "__import__('os')", "free.real", "[1][0]", "1 if 1 else 2",
     "1 +", "'a'", "2 ** 99", "largest_divisor(0, 0)", "floor(free, 9999)"],
)  # fmt: skip
def test_what_cannot_be_computed_is_left_out(expression: str) -> None:
    """Rules are data: nothing but arithmetic, and no error for an unknown number."""
    assert "new" not in compute({"new": expression}, {"free": 1.0, "text": "x"})


def test_richest_sentence_that_can_be_filled_is_said() -> None:
    """The last one has no field."""
    sentences = ("{need:.2f} GiB of {have} GiB.", "Less than {have} GiB.", "Too little.")

    assert fill(sentences, {"need": 3.814, "have": 1}) == "3.81 GiB of 1 GiB."
    assert fill(sentences, {"have": 1}) == "Less than 1 GiB."
    assert fill(sentences, {"need": "much", "have": 1}) == "Less than 1 GiB."
    assert fill(sentences, {}) == "Too little."


@given(st.dictionaries(st.sampled_from("ab"), st.integers() | st.floats() | st.text(max_size=9)))
def test_any_values_are_harmless(values: dict[str, float | int | str]) -> None:
    """A log may hold any number; what is known before is known after."""
    expressions = {"x": "floor(a / b, 2)", "y": "largest_divisor(a, b)", "z": "max(a, b) * x"}

    assert compute(expressions, values).keys() >= values.keys()
