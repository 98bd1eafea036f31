"""Values of a config.json are checked where they are read."""

from __future__ import annotations

import pytest

from hwval.planning.config_values import ShapeError
from hwval.planning.config_values import first
from hwval.planning.config_values import flag
from hwval.planning.config_values import number
from hwval.planning.config_values import optional
from hwval.planning.config_values import section


@pytest.mark.parametrize("value", [-1, 0, 10**18, 1.5, "8", True, [8]])
def test_absurd_numbers_are_refused(value: object) -> None:
    """The message has the name, the value and what is allowed."""
    with pytest.raises(ShapeError, match=r"config.json: n is .*; allowed: 1\.\.1024"):
        number({"n": value}, "n", high=1024)


def test_the_first_name_that_is_set_counts() -> None:
    """Null is as good as absent."""
    config = {"a": None, "b": 2, "c": 3}

    assert number(config, "a", "b", "c", high=9) == 2
    assert first(config, "a", "c") == 3
    assert optional(config, "a", high=9) is None
    with pytest.raises(ShapeError, match="has no 'a'"):
        number(config, "a", high=9)


def test_truths_and_sections_are_what_they_seem() -> None:
    """Words are no truth values, lists are no sections."""
    assert flag({}, "x", default=True)
    assert section({"s": {"a": 1}}, "s") == {"a": 1}
    with pytest.raises(ShapeError, match="allowed: true, false"):
        flag({"x": "yes"}, "x")
    with pytest.raises(ShapeError, match="s is no object"):
        section({"s": [1]}, "s")
