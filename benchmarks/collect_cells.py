"""Prints what collecting a 10,000-cell matrix costs: seconds and peak memory of pytest.

    python benchmarks/collect_cells.py

Three runs of `pytest --collect-only -q`: one cell (what pytest and imports cost), 10,000 cells of
which all but a few are elsewhere, and 10,000 cells that all run on this host.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from hwval.catalogue import load_catalogue
from hwval.clock import Stopwatch
from hwval.units import format_duration_s

_ROOT = Path(__file__).resolve().parents[1]
_CELLS = 10_000
_HEAD = "axes:\n  image: hwval/fake-vllm:0.32.0\n  dtype: [bfloat16, float16]\n"


def write_one(path: Path) -> None:
    """Write a matrix of one cell on any processor and one elsewhere."""
    path.write_text(
        "axes: {image: 'hwval/fake-vllm:0.32.0', dtype: float16, model: Qwen/Qwen3-0.6B, "
        "hardware: [cpu, sm_90-h100]}\n"
    )


def write_elsewhere(path: Path) -> None:
    """Write a matrix whose cells are elsewhere, but for two on any processor."""
    catalogue = load_catalogue()
    hardware = [name for name in catalogue.hardware_by_name if name != "cpu"][:10]
    models = list(catalogue.models_by_name)[:10]
    path.write_text(
        f"{_HEAD}  hardware: {hardware}\n  model: {models}\n{_variants(_CELLS // 200)}"
        "include:\n"
        "  - {hardware: cpu, model: Qwen/Qwen3-0.6B, dtype: float16}\n"
        "  - {hardware: cpu, model: Qwen/Qwen3-0.6B, dtype: bfloat16}\n"
    )


def write_here(path: Path) -> None:
    """Write a matrix whose cells all run on any processor."""
    models = list(load_catalogue().models_by_name)[:10]
    path.write_text(f"{_HEAD}  hardware: cpu\n  model: {models}\n{_variants(_CELLS // 20)}")


def _variants(count: int) -> str:
    return f"variants: [{', '.join(f'{{name: v{number}}}' for number in range(count))}]\n"


def collect(matrix: Path, *paths: str) -> str:
    """Collect in a process of its own and return one line about it."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *paths]
    # Most models are too big for a processor, and what is impossible is not collected.
    command += ["--matrix", str(matrix), "--run-impossible"]
    with tempfile.TemporaryFile() as out:
        watch = Stopwatch()
        child = subprocess.Popen(command, cwd=_ROOT, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        elapsed_s = watch.elapsed_s
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        items = sum(b"::test_" in line for line in out)
    words = f"{' '.join(command[2:])} -> exit {child.returncode}"
    return (
        f"{items:7} items in {format_duration_s(elapsed_s)}, peak "
        f"{usage.ru_maxrss / 1024:.0f} MiB: {words}"
    )


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        for write in (write_one, write_elsewhere, write_here):
            path = Path(folder) / f"{write.__name__.removeprefix('write_')}.yaml"
            write(path)
            print(collect(path, "suites/test_load.py::test_healthy"), flush=True)
            print(collect(path, "suites"), flush=True)
    own_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"(this script itself: {own_mib:.0f} MiB)")


if __name__ == "__main__":
    main()
