"""Values that people write, and settings that stand over others."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import pytest
from pydantic import Field
from pydantic import ValidationError
from pydantic import model_validator

from hwval.errors import MatrixError
from hwval.yamlfile import load_yaml
from hwval.yamlmodel import Duration
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import validate_merged


class Inner(YamlModel):
    floor: int | None = None
    good: int | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.floor is not None and self.good is not None and self.good < self.floor:
            raise ValueError(f"good ({self.good}) is below floor ({self.floor})")
        return self


class Outer(YamlModel):
    inner: Inner = Inner()
    other: Inner | None = None
    names: tuple[str, ...] = ()
    by_name: dict[str, Inner] = Field(default_factory=dict)
    wait: Duration | None = None


def merged(folder: Path, text: str) -> Outer:
    """Read what stands under ``own`` over what stands under ``base``."""
    path = folder / "x.yaml"
    path.write_text(text)
    return validate_merged(load_yaml(path), Outer, [("base",), ("own",)])


def test_what_is_not_set_above_stays(tmp_path: Path) -> None:
    """Sections and mappings are merged, at any depth; lists and single values are replaced."""
    found = merged(
        tmp_path,
        """
base: {inner: {floor: 1, good: 2}, names: [a, b], by_name: {x: {floor: 1}, y: {}}, wait: 2 min}
own: {inner: {good: 3}, names: [c], by_name: {x: {good: 4}, z: {floor: 5}}}
""",
    )

    assert found.inner == Inner(floor=1, good=3)
    assert found.names == ("c",)
    assert found.by_name == {
        "x": Inner(floor=1, good=4), "y": Inner(), "z": Inner(floor=5),
    }  # fmt: skip
    assert found.wait == 120.0


def test_what_stands_alone_is_taken_and_null_takes_away(tmp_path: Path) -> None:
    """Where nothing stood below, there is nothing to merge with."""
    assert merged(tmp_path, "own: {other: {floor: 1}}").other == Inner(floor=1)
    assert merged(tmp_path, "base: {other: {floor: 1}}").other == Inner(floor=1)
    assert merged(tmp_path, "base: {other: {floor: 1}}\nown: {other: null}").other is None


def test_what_is_right_alone_may_be_wrong_together(tmp_path: Path) -> None:
    """The error stands at what was written last."""
    text = "base: {inner: {good: 2}}\nown:\n  inner: {floor: 3}\n"

    with pytest.raises(
        MatrixError, match=r"x\.yaml:3: own\.inner: .*good \(2\) is below floor \(3\)"
    ):
        merged(tmp_path, text)


def test_durations_need_their_unit() -> None:
    """A bare number could be seconds or minutes."""
    assert Outer.model_validate({"wait": "2 min"}).wait == 120.0
    with pytest.raises(ValidationError, match="20 min"):
        Outer.model_validate({"wait": 5})
