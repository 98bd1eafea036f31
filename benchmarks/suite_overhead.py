"""Prints what the suite itself costs per cell, beside the engine's start and the questions.

    python benchmarks/suite_overhead.py [CELLS]

Runs cells of the fault-injecting engine in containers, once with 1 cell and once with CELLS; what
starts, answers and removes 1 cell is told from what pytest costs once. Needs a Docker daemon and
the image that `scripts/images fake` makes. Aim: under 2 s a cell.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from hwval.clock import Stopwatch
from hwval.result import read_run

_ROOT = Path(__file__).resolve().parents[1]


class Parts(NamedTuple):
    """Where the wall time of a run went, seconds."""

    wall_s: float
    start_s: float
    questions_s: float
    answered: int

    @property
    def rest_s(self) -> float:
        """What is neither the engine's start nor a question."""
        return self.wall_s - self.start_s - self.questions_s


def run(cells: int, folder: Path) -> Parts:
    """Validate ``cells`` cells in one pytest and read the journal.

    Raises:
        RuntimeError: The run did not pass.
    """
    matrix = folder / f"{cells}.yaml"
    names = ", ".join(f"{{name: v{number}}}" for number in range(cells))
    matrix.write_text(
        "axes: {hardware: cpu, image: 'hwval/fake-vllm:0.32.0', model: Qwen/Qwen3-0.6B, "
        f"dtype: float16}}\nengine: {{max-model-len: 2048}}\nvariants: [{names}]\n"
    )
    command = [sys.executable, "-m", "pytest", "suites", "-q", "--matrix", str(matrix)]
    command += ["--results", str(folder), "--run-id", f"run-{cells}", "--pull", "never"]
    print(" ".join(command[2:]), flush=True)
    watch = Stopwatch()
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    wall_s = watch.elapsed_s
    if done.returncode:
        raise RuntimeError(f"exit status {done.returncode}\n{done.stdout}{done.stderr}")
    journal = read_run(folder / f"run-{cells}")
    starts_s = [engine.numbers["ready_s"] for engine in journal.engines]
    questions_s = [verdict.duration_s for verdict in journal.verdicts]
    return Parts(wall_s, sum(starts_s), sum(questions_s), len(questions_s))


def main(cells: int) -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        one, many = (run(count, Path(folder)) for count in (1, cells))
    for count, parts in ((1, one), (cells, many)):
        print(
            f"{count:3} cells: {parts.wall_s:.1f} s = engine starts {parts.start_s:.1f} s + "
            f"{parts.answered} questions {parts.questions_s:.1f} s + rest {parts.rest_s:.1f} s "
            f"({parts.rest_s / count:.2f} s a cell, pytest's own start included)"
        )
    more = (many.rest_s - one.rest_s) / (cells - 1)
    print(f"each further cell: {more:.2f} s beside its engine's start and its questions")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
