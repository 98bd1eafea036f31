from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from hwval.cell import Dtype
from hwval.errors import MatrixError
from tests.matrix.loading import AXES
from tests.matrix.loading import CELL_ID
from tests.matrix.loading import cells_of
from tests.matrix.loading import ids_of
from tests.matrix.loading import load


def test_order_is_as_written(tmp_path: Path) -> None:
    """The last axis changes fastest, included cells come last."""
    matrix = load(
        tmp_path,
        """\
axes:
  hardware: [sm_90-h100, cpu]
  image: vllm/vllm-openai:v0.33.0
  model: Qwen/Qwen3-0.6B
  dtype: [float16, auto]
variants: [{}, {name: eager, engine: {enforce-eager: true}}]
include: [{hardware: cpu, dtype: float32}]
""",
    )

    assert [(c.hardware, c.dtype.value, c.variant) for c in cells_of(matrix)] == [
        ("sm_90-h100", "float16", ""),
        ("sm_90-h100", "float16", "eager"),
        ("sm_90-h100", "auto", ""),
        ("sm_90-h100", "auto", "eager"),
        ("cpu", "float16", ""),
        ("cpu", "float16", "eager"),
        ("cpu", "auto", ""),
        ("cpu", "auto", "eager"),
        ("cpu", "float32", ""),
    ]
    assert [entry.source.rpartition(":")[2] for entry in matrix.entries[::4]] == ["6", "6", "7"]


def test_matrix_of_included_cells_alone(tmp_path: Path) -> None:
    """Axes may be left out where every cell is written in full."""
    matrix = load(
        tmp_path,
        "include: [{hardware: cpu, image: 'external:staging', model: /models/a, dtype: auto}]",
    )

    assert ids_of(matrix) == ["cpu__external-staging__models-a__auto"]
    assert matrix.entries[0].markers == ("cpu", "x86_64", "auto")


@pytest.mark.parametrize(
    ("axes", "engine", "markers"),
    [
        ("sm_90-h100|vllm/vllm-openai|Qwen/Qwen3-0.6B|auto", "", "cuda sm_90 auto bfloat16"),
        (
            "gfx942-mi300x|rocm/vllm|amd/Llama-3.1-8B-Instruct-FP8-KV|bfloat16",
            "",
            "rocm gfx942 bfloat16 quark",
        ),
        (
            "sm_90-h100|vllm/vllm-openai|Qwen/Qwen3-0.6B|float16",
            "quantization: compressed-tensors",
            "cuda sm_90 float16 compressed_tensors",
        ),
    ],
)
def test_markers(tmp_path: Path, axes: str, engine: str, markers: str) -> None:
    """Markers name vendor, architecture, dtype and quantization in pytest's alphabet."""
    names = ("hardware", "image", "model", "dtype")
    values = ", ".join(f"{n}: '{v}'" for n, v in zip(names, axes.split("|"), strict=True))
    matrix = load(tmp_path, f"axes: {{{values}}}\nengine: {{{engine}}}")

    assert matrix.entries[0].markers == tuple(markers.split())


def test_excluded_cells_keep_their_reason(tmp_path: Path) -> None:
    """What a rule leaves out has reason and position; of several rules the first counts."""
    matrix = load(
        tmp_path,
        """\
axes:
  hardware: [gfx906-mi60 x2, cpu]
  image: vllm/vllm-openai:v0.33.0
  model: [Qwen/Qwen3-0.6B, Qwen/Qwen3-4B-Instruct-2507]
  dtype: [float16, bfloat16]
variants: [{}, {name: eager}]
exclude:
  - {hardware: gfx906-mi60, dtype: bfloat16, because: no native bfloat16}
  - {model: "*4B*", variant: eager, because: too slow}
  - {hardware: cpu, dtype: [float16, bfloat16], variant: "", because: only eager}
""",
    )

    assert [(len(matrix.entries), len(matrix.excluded))] == [(5, 11)]
    reasons = [reason for _, reason, _ in matrix.excluded]
    assert [reasons.count(r) for r in ("no native bfloat16", "too slow", "only eager")] == [4, 3, 4]
    assert matrix.excluded[0].source == f"{tmp_path}/x.yaml:8"


def test_rule_with_a_count_means_that_count(tmp_path: Path) -> None:
    """``cpu x2`` in a rule leaves one processor alone."""
    matrix = load(
        tmp_path,
        AXES.replace("hardware: cpu", "hardware: [cpu, cpu x2]")
        + "exclude: [{hardware: cpu  x2, because: b}]",
    )

    assert [cell.device_count for cell in cells_of(matrix)] == [1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ledger: x", "1: no cells; give 'axes' or 'include'"),
        ("axes:\n  hardware: cpu", "1: axes: required key 'image' is missing"),
        (AXES.replace("cpu,", "[],"), "1: axes.hardware: the list is empty, expected at least"),
        (AXES.replace("cpu,", "[cpu, cpu],"), "1: axes.hardware: 'cpu' stands twice"),
        (AXES.replace("cpu,", ","), "1: axes.hardware: found nothing, expected a list"),
        (
            AXES.replace("bfloat16", "[auto,\n bfloat61]"),
            (
                "2: axes.dtype[1]: bfloat61 is unknown; did you mean 'bfloat16' or 'float16' or "
                "'float32'? allowed: auto, bfloat16, float16, float32"
            ),
        ),
        (
            AXES.replace("synthetic:llama", "synthetic:lama"),
            (
                "1: axes.model: unknown synthetic model 'synthetic:lama'; did you mean "
                "'synthetic:llama' or "
            ),
        ),
        (
            AXES.replace("cpu,", "[cpu, cpu x2],") + "include: [{name: a}]",
            "2: include[0]: required key 'hardware' is missing; that axis has 2 values",
        ),
        (
            "include: [{hardware: cpu}]",
            "1: include[0]: required key 'image' is missing; there is no such axis",
        ),
    ],
)
def test_mistake_in_the_axes(tmp_path: Path, text: str, problem: str) -> None:
    """Axes that cannot be combined are told before anything is expanded."""
    with pytest.raises(MatrixError) as caught:
        load(tmp_path, text)

    assert str(caught.value).startswith(f"{tmp_path}/x.yaml:{problem}")


def test_duplicate_cell_names_both_lines(tmp_path: Path) -> None:
    """Two cells with the same id are told with the lines of both."""
    with pytest.raises(MatrixError) as caught:
        load(tmp_path, AXES + "include:\n  - {engine: {enforce-eager: true}}")

    assert str(caught.value) == (
        f"{tmp_path}/x.yaml:3: duplicate cell {CELL_ID}, first in {tmp_path}/x.yaml:1; "
        "give one of them a 'name' of its own"
    )


@settings(max_examples=50)
@given(
    hardware=st.lists(st.sampled_from(["cpu", "cpu x2", "sm_90-h100"]), min_size=1, unique=True),
    models=st.lists(st.sampled_from(["llama", "qwen3", "phi3"]), min_size=1, unique=True),
    dtypes=st.lists(st.sampled_from([dtype.value for dtype in Dtype]), min_size=1, unique=True),
    variants=st.lists(st.sampled_from(["", "a", "b"]), min_size=1, unique=True),
)
def test_expansion_is_the_product(
    tmp_path_factory: pytest.TempPathFactory,
    hardware: list[str],
    models: list[str],
    dtypes: list[str],
    variants: list[str],
) -> None:
    """Every combination stands once, with ids of their own, in the order of the product."""
    axes = {
        "hardware": hardware,
        "image": ["hwval/fake-vllm:1"],
        "model": [f"synthetic:{model}" for model in models],
        "dtype": dtypes,
    }
    named = [{"name": name} for name in variants]
    # JSON is YAML.
    matrix = load(tmp_path_factory.mktemp("m"), json.dumps({"axes": axes, "variants": named}))

    expected = [
        (h, f"synthetic:{m}", d, v)
        for h in hardware
        for m in models
        for d in dtypes
        for v in variants
    ]
    assert [
        (
            c.hardware if c.device_count == 1 else f"{c.hardware} x{c.device_count}",
            c.model,
            c.dtype.value,
            c.variant,
        )
        for c in cells_of(matrix)
    ] == expected
    assert len(set(ids_of(matrix))) == len(expected)
