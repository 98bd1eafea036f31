"""Prints how long a 10,000-cell matrix takes to load and expand, and how much memory.

Run it in a fresh interpreter: ``python benchmarks/matrix_size.py``.
"""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

from hwval.catalogue import load_catalogue
from hwval.clock import Stopwatch
from hwval.matrix import load_matrix

_SIZE = 10
_DTYPES = ("bfloat16", "float16")
_VARIANTS = 5


def write_matrix(path: Path) -> None:
    """Write a matrix of 10 x 10 x 10 x (2 dtypes x 5 variants) cells."""
    catalogue = load_catalogue()
    path.write_text(
        "axes:\n"
        f"  hardware: {list(catalogue.hardware_by_name)[:_SIZE]}\n"
        f"  image: {[f'vllm/vllm-openai:v0.{minor}.0' for minor in range(20, 20 + _SIZE)]}\n"
        f"  model: {list(catalogue.models_by_name)[:_SIZE]}\n"
        f"  dtype: [{', '.join(_DTYPES)}]\n"
        "engine: {max-model-len: 4096, gpu-memory-utilization: 0.9}\n"
        f"variants: [{', '.join(f'{{name: seqs{n}}}' for n in range(_VARIANTS))}]\n",
        encoding="utf-8",
    )


def main() -> None:
    """Measure and print."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.yaml"
        write_matrix(path)
        watch = Stopwatch()
        matrix = load_matrix(path)
        elapsed_s = watch.elapsed_s
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{len(matrix.entries)} cells in {elapsed_s:.2f} s")
    print(f"peak {peak_kib / 1024:.0f} MiB, {before_kib / 1024:.0f} MiB of them before")


if __name__ == "__main__":
    main()
