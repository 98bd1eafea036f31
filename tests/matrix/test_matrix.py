from __future__ import annotations

from pathlib import Path

import pytest

from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.cell import Weights
from hwval.errors import MatrixError
from hwval.errors import UsageError
from hwval.ledger import load_ledger
from hwval.matrix import Deadlines
from hwval.matrix import load_matrices
from hwval.matrix import load_matrix
from hwval.resources import resource_path
from hwval.synthetic import ARCHITECTURES
from hwval.synthetic import parse_synthetic
from tests.matrix.loading import AXES
from tests.matrix.loading import CELL_ID
from tests.matrix.loading import cells_of
from tests.matrix.loading import ids_of
from tests.matrix.loading import load

MATRICES = resource_path("matrices")
SHIPPED = sorted(path for path in MATRICES.glob("*.yaml") if "ledger" not in path.name)
LEDGERS = sorted(MATRICES.glob("*ledger.yaml"))


def test_every_synthetic_model_is_explained() -> None:
    """A misspelt one is told with near ones, and people look those up."""
    page = (MATRICES.parent / "docs" / "matrix.md").read_text("utf-8")

    assert [name for name in ARCHITECTURES if f"`{name}`" not in page] == []


def test_sketch_of_a_lab(tmp_path: Path) -> None:
    """A matrix for two old cards says everything about its one cell."""
    matrix = load(
        tmp_path,
        """\
axes:
  hardware: [gfx906-mi60 x2]
  image: [nalanzeyu/vllm-gfx906:v0.11.2-rocm6.3]
  model: [casperhansen/llama-3.3-70b-instruct-awq]
  dtype: [float16]
engine: {tensor-parallel-size: 2, max-model-len: 32768, gpu-memory-utilization: 0.90}
environment: {VLLM_USE_TRITON_AWQ: 1, VERSION: 0.10}
pass_environment: [HF_TOKEN]
promises: {load: {ready_within: 20 min}}
deadlines: {answer: 90 s}
weights: dummy
partition_mode: spx
privileges: [ptrace, ipc-host]
""",
    )

    [entry] = matrix.entries
    assert entry.cell == Cell(
        hardware="gfx906-mi60",
        device_count=2,
        image="nalanzeyu/vllm-gfx906:v0.11.2-rocm6.3",
        model="casperhansen/llama-3.3-70b-instruct-awq",
        dtype=Dtype.FLOAT16,
        engine_args=(
            ("gpu-memory-utilization", 0.9),
            ("max-model-len", 32768),
            ("tensor-parallel-size", 2),
        ),
        environment=(("VERSION", "0.10"), ("VLLM_USE_TRITON_AWQ", "1")),
        weights=Weights.DUMMY,
        partition_mode="spx",
        privileges=("ipc-host", "ptrace"),
    )
    assert entry.promises.load.ready_within == 1200
    assert entry.deadlines == Deadlines(answer_s=90)
    assert entry.markers == ("rocm", "gfx906", "float16", "awq")
    assert entry.pass_environment == ("HF_TOKEN",)
    assert entry.source == f"{tmp_path}/x.yaml:1"


def test_own_catalogue_is_used(tmp_path: Path) -> None:
    """A matrix describes its own private image and cards."""
    matrix = load(
        tmp_path,
        """\
catalogue:
  hardware:
    gfx1030-6800xt: {vendor: rocm, architecture: gfx1030, memory: 16 GiB, title: t, source: s}
  images:
    registry.lab:5000/vllm: {vendors: [rocm], entrypoint: shell, source: s}
axes:
  hardware: gfx1030-6800xt
  image: registry.lab:5000/vllm:v0.33.0
  model: Qwen/Qwen3-0.6B
  dtype: float16
""",
    )

    assert matrix.entries[0].markers[:2] == ("rocm", "gfx1030")
    image = matrix.entries[0].cell.image
    assert matrix.entries[0].catalogue.image(image).serve_prefix == ("vllm", "serve")


def test_same_cell_in_two_files_is_refused(tmp_path: Path) -> None:
    """Matrices that are run together must not ask the same cell twice."""
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for path in paths:
        path.write_text(AXES)

    with pytest.raises(MatrixError) as caught:
        load_matrices(paths)

    assert str(caught.value) == (
        f"{paths[1]}:1: duplicate cell {CELL_ID}, first in {paths[0]}:1; a run asks each cell once"
    )


def test_no_matrix_is_a_usage_error() -> None:
    """A run about nothing is refused."""
    with pytest.raises(UsageError, match="no matrix is given, expected at least one file"):
        load_matrices([])


def test_ledger_stands_beside_the_matrix(tmp_path: Path) -> None:
    """A ledger is found by its name, or where the matrix says."""
    without = load(tmp_path, AXES).ledger_path
    (tmp_path / "ledger.yaml").write_text("known_issues: []")
    (tmp_path / "other.yaml").write_text("known_issues: []")

    assert without is None
    assert load(tmp_path, AXES).ledger_path == tmp_path / "ledger.yaml"
    assert load(tmp_path, AXES + "ledger: other.yaml").ledger_path == tmp_path / "other.yaml"


def test_hash_changes_with_the_file(tmp_path: Path) -> None:
    """A matrix is identified by its bytes."""
    assert load(tmp_path, AXES).sha256 != load(tmp_path, AXES + "# comment").sha256


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_matrix_loads(path: Path) -> None:
    """Every matrix that is shipped is right."""
    assert load_matrix(path).entries


@pytest.mark.parametrize("path", LEDGERS, ids=lambda path: path.name)
def test_shipped_ledger_names_cells_of_its_matrices(path: Path) -> None:
    """Every entry of a shipped ledger is about a cell of each matrix that uses it."""
    matrices = [matrix for matrix in map(load_matrix, SHIPPED) if matrix.ledger_path == path]

    assert matrices
    for matrix in matrices:
        assert load_ledger(path).warnings(ids_of(matrix), set()) == []


def test_smoke_matrix_has_variety() -> None:
    """The smoke matrix holds the promised families and dtypes, and failures that are known."""
    matrix = load_matrix(MATRICES / "smoke.yaml")
    ledger = load_ledger(MATRICES / "ledger.yaml")
    known = {cell.id for cell in cells_of(matrix) if ledger.matching(cell.id, "load/healthy")}
    working = [cell for cell in cells_of(matrix) if cell.id not in known]

    assert len(working) <= 14  # each costs the whole check half a minute
    assert len(known) == len(ledger.issues) == 3
    assert {parse_synthetic(cell.model).name for cell in working} == {
        "llama", "qwen3", "gemma3", "mistral", "phi3", "qwen3-moe", "idefics3", "glm-asr",
    }  # fmt: skip
    assert {cell.dtype for cell in working} == {Dtype.BFLOAT16, Dtype.FLOAT16, Dtype.FLOAT32}


def test_matrices_keep_their_order(tmp_path: Path) -> None:
    """Several matrices are read in the order they are given."""
    paths = [tmp_path / "b.yaml", tmp_path / "a.yaml"]
    paths[0].write_text(AXES)
    paths[1].write_text(AXES.replace("bfloat16", "float32"))

    assert [matrix.file for matrix in load_matrices(paths)] == [str(path) for path in paths]
