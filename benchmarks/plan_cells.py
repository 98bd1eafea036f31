"""Measure how long it takes to plan 10,000 different cells: 10 kinds of devices, 10 models.

    python benchmarks/plan_cells.py

No two cells have the same arguments, so nothing is planned once for all. Exit 1 if it takes a
second or more.
"""

from __future__ import annotations

import os
import platform
import sys
from collections import Counter
from itertools import product

from hwval.catalogue import Vendor
from hwval.catalogue import load_catalogue
from hwval.cell import ArgValue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.clock import Stopwatch
from hwval.forecast import Forecaster

AIM_S = 1.0
IMAGES = {Vendor.ROCM: "vllm/vllm-openai-rocm:v0.33.0", Vendor.CUDA: "vllm/vllm-openai:v0.33.0"}
TENSOR_SIZES = (1, 2, 4, 8, 16)


def make_cells() -> list[Cell]:
    """Return 10,000 cells."""
    catalogue = load_catalogue()
    hardware = [
        (name, facts.vendor)
        for name, facts in catalogue.hardware_by_name.items()
        if facts.vendor in IMAGES
    ][4:14]
    models = [name for name, facts in catalogue.models_by_name.items() if facts.config][:20:2]
    lengths = [2048 + 512 * step for step in range(10)]
    dtypes = (Dtype.BFLOAT16, Dtype.FLOAT16)
    return [
        Cell(name, size, IMAGES[vendor], model, dtype, engine_args=arguments(length, size))
        for (name, vendor), model, dtype, length, size in product(
            hardware, models, dtypes, lengths, TENSOR_SIZES
        )
    ]


def arguments(length: int, size: int) -> tuple[tuple[str, ArgValue], ...]:
    """Return the engine arguments of a cell, sorted."""
    return (("max-model-len", length), ("tensor-parallel-size", size))


def main() -> int:
    """Measure and print; return the exit code."""
    catalogue, cells = load_catalogue(), make_cells()
    images = {image: catalogue.image(image) for image in IMAGES.values()}
    forecaster = Forecaster()
    watch = Stopwatch()
    verdicts = Counter(
        str(forecaster.forecast(cell, catalogue, images[cell.image]).verdict) for cell in cells
    )
    elapsed_s = watch.elapsed_s
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    counts = ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.most_common())
    print(f"{len(set(cells)):,} different cells planned in {elapsed_s:.2f} s: {counts}")
    return 0 if elapsed_s < AIM_S else 1


if __name__ == "__main__":
    sys.exit(main())
