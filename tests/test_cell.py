"""A cell is a value with a name that is safe everywhere."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.cell import ArgValue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.cell import Weights
from hwval.cell import slug

CELL = Cell("gfx906-mi60", 2, "rocm/vllm:v0.32.0", "hub:Org/Name@rev", Dtype.FLOAT16)


def with_args(**values: ArgValue) -> Cell:
    named = ((name.replace("_", "-"), value) for name, value in values.items())
    return replace(CELL, engine_args=tuple(sorted(named)))


@given(st.text())
def test_slug_stays_in_the_alphabet(text: str) -> None:
    """Whatever a person writes, ids hold nothing that pytest, Allure or a file system minds."""
    assert re.fullmatch(r"[a-z0-9._-]*", slug(text))
    assert "__" not in slug(text)
    assert slug(slug(text)) == slug(text)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({}, "gfx906-mi60-x2__rocm-vllm-v0.32.0__hub-org-name-rev__float16"),
        ({"device_count": 1}, "gfx906-mi60__rocm-vllm-v0.32.0__hub-org-name-rev__float16"),
        (
            {"variant": "FP8 KV"},
            "gfx906-mi60-x2__rocm-vllm-v0.32.0__hub-org-name-rev__float16__fp8-kv",
        ),
        ({"model": "/data/my__model"}, "gfx906-mi60-x2__rocm-vllm-v0.32.0__data-my-model__float16"),
    ],
    ids=["plain", "one-device", "variant", "path"],
)  # fmt: skip
def test_id_names_the_axes(change: dict[str, object], name: str) -> None:
    """The id is the four axes and the variant; it is also what `repr` and `str` give."""
    cell = replace(CELL, **change)  # type: ignore[arg-type] # one field, several types

    assert (cell.id, repr(cell), str(cell)) == (name, name, name)


def test_equal_cells_are_one() -> None:
    """pytest compares parameters by value, and sets of cells hold each once."""
    assert {CELL, replace(CELL)} == {CELL}


@pytest.mark.parametrize(
    "change",
    [
        {"hardware": "gfx942-mi300x"}, {"device_count": 4}, {"image": "rocm/vllm:v0.33.0"},
        {"model": "hub:Org/Other"}, {"dtype": Dtype.BFLOAT16}, {"weights": Weights.DUMMY},
        {"engine_args": (("max-model-len", 1),)}, {"environment": (("A", "b"),)},
        {"partition_mode": "cpx/nps4"}, {"privileges": ("ptrace",)}, {"memory_bytes": 1},
        {"shm_bytes": 1},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_fingerprint_changes_with_what_could_change_a_result(change: dict[str, object]) -> None:
    """Two results are of the same thing only if nothing of this differs."""
    changed = replace(CELL, **change)  # type: ignore[arg-type] # one field, several types

    assert changed.fingerprint != CELL.fingerprint
    assert re.fullmatch(r"[0-9a-f]{12}", changed.fingerprint)


def test_fingerprint_does_not_change_with_a_name() -> None:
    """How a variant is called says nothing about what is run."""
    assert replace(CELL, variant="other").fingerprint == CELL.fingerprint


def test_fingerprint_is_the_same_in_every_release() -> None:
    """A baseline of last year still finds its cell."""
    assert CELL.fingerprint == "9db165a14630"


def test_arguments_have_types() -> None:
    """What the cell sets is read back as what it means; what it leaves out is None."""
    cell = with_args(tensor_parallel_size=2, max_model_len=4096, quantization="awq")

    assert (cell.tensor_parallel_size, cell.max_model_len_tokens, cell.quantization) == (
        2, 4096, "awq",
    )  # fmt: skip
    assert (CELL.tensor_parallel_size, CELL.max_model_len_tokens, CELL.quantization) == (
        1, None, None,
    )  # fmt: skip
    assert CELL.arg("max-model-len") is None
