from __future__ import annotations

import pytest

from hwval.spelling import near_names


@pytest.mark.parametrize(
    ("name", "known", "phrase"),
    [
        pytest.param("flaot16", ["float16", "x"], "did you mean 'float16'?", id="alike"),
        pytest.param(
            "*MI300X*", ["gfx942-mi300x", "cpu"], "did you mean 'gfx942-mi300x'?", id="in"
        ),
        pytest.param("zz", ["a", "b"], "known are a, b", id="few-known"),
        pytest.param(
            "zz", [f"n{i}" for i in range(20)], "known are n0, n1, n2 and 17 more", id="many-known"
        ),
        pytest.param("zz", [], "none are known", id="none-known"),
    ],
)
def test_phrase_for_an_unknown_name(name: str, known: list[str], phrase: str) -> None:
    """Near names are proposed; where none is near the known ones are listed."""
    assert near_names(name, known) == phrase
