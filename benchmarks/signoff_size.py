"""Prints how long the sign-off of a large run takes and how large its page is.

    PYTHONPATH=. python benchmarks/signoff_size.py [CELLS] [CURVES]

Aim: 10,000 cells of 13 questions in under 10 s, journal included. With CURVES > 0 each cell has a
promise of speed too, and so many have a curve, of which pictures are drawn.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from hwval.clock import Stopwatch
from hwval.result import Journal
from hwval.signoff import write_signoff
from hwval.units import format_bytes
from hwval.units import format_duration_s
from tests.fakes.sample_run import large_run


def main(count: int, curves: int, folder: Path) -> None:
    """Write a journal of ``count`` cells into ``folder`` and time its sign-off."""
    run = large_run(folder, count, curves=curves)
    with Journal(folder) as journal:
        journal.append(run.head, *run.cells, *run.engines, *run.verdicts)
        if run.end is not None:
            journal.append(run.end)
    watch = Stopwatch()
    files = write_signoff(folder)
    pictures = len([*folder.rglob("*.svg")])
    print(f"{count:,} cells, {pictures} pictures: {format_duration_s(watch.elapsed_s)}")
    for file in (folder / "records.jsonl", *files):
        print(f"{file.name}: {format_bytes(file.stat().st_size)}")


if __name__ == "__main__":
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    curves = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as name:
        main(cells, curves, Path(name))
