"""Values that people write, and settings that stand over others."""

from __future__ import annotations

import pytest
from pydantic import Field
from pydantic import ValidationError

from hwval.yamlmodel import Duration
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import overlay


class Inner(YamlModel):
    floor: int | None = None
    good: int | None = None


class Outer(YamlModel):
    inner: Inner = Inner()
    other: Inner | None = None
    names: tuple[str, ...] = ()
    by_name: dict[str, Inner] = Field(default_factory=dict)
    wait: Duration | None = None


def test_what_is_not_set_above_stays() -> None:
    """Sections and mappings are merged, at any depth; lists and single values are replaced."""
    base = Outer(
        inner=Inner(floor=1, good=2), names=("a", "b"), by_name={"x": Inner(floor=1), "y": Inner()}
    )
    own = Outer(
        inner=Inner(good=3), names=("c",), by_name={"x": Inner(good=4), "z": Inner(floor=5)}
    )

    found = overlay(base, own)

    assert found.inner == Inner(floor=1, good=3)
    assert found.names == ("c",)
    assert found.by_name == {
        "x": Inner(floor=1, good=4), "y": Inner(), "z": Inner(floor=5),
    }  # fmt: skip


def test_what_is_only_above_is_taken() -> None:
    """Where nothing stood below, there is nothing to merge with; null takes away."""
    own = Outer(other=Inner(floor=1))

    assert overlay(Outer(), own).other == Inner(floor=1)
    assert overlay(own, Outer.model_validate({"other": None})).other is None


def test_durations_need_their_unit() -> None:
    """A bare number could be seconds or minutes."""
    assert Outer.model_validate({"wait": "2 min"}).wait == 120.0
    with pytest.raises(ValidationError, match="20 min"):
        Outer.model_validate({"wait": 5})
