"""Two runs of the same cell that differ as a test says; for the tests of comparing."""

from __future__ import annotations

import random
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwval.accuracy.samples import SAMPLES_SUFFIX
from hwval.accuracy.samples import Sample
from hwval.accuracy.samples import dump_samples
from hwval.performance.measurement import Measurement
from hwval.performance.measurement import Point
from hwval.performance.measurement import Round
from hwval.result import CellRecord
from hwval.result import Journal
from hwval.result import Run
from hwval.result import VerdictRecord
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_run
from tests.fakes.sample_run import make_verdict
from tests.fakes.sample_run import passing

__all__ = [
    "EXACT",
    "FAST",
    "SERVING",
    "TASK",
    "measured",
    "measured_pair",
    "rounds",
    "scored",
    "write_run",
]

SERVING, TASK = "performance/serving", "accuracy/mmlu_pro_biology"
FAST = make_cell(questions=("load/ready", SERVING))
EXACT = make_cell(questions=("load/ready", TASK))


def write_run(
    folder: Path,
    verdicts: Iterable[VerdictRecord] = (),
    *,
    cells: Sequence[CellRecord] | None = None,
    complete: bool = True,
    **head: object,
) -> Run:
    """Write a run: these verdicts, and a PASS for each other planned question."""
    cells = cells or [make_cell(questions=("load/ready", "generate/chat"))]
    given = list(verdicts)
    asked = {(verdict.cell, verdict.question) for verdict in given}
    rest = [one for cell in cells for one in passing(cell) if (one.cell, one.question) not in asked]
    run = make_run(folder, list(cells), [], [*given, *rest], complete=complete)
    run = replace(run, head=replace(run.head, run_id=folder.name, **head))  # type: ignore[arg-type]
    with Journal(folder) as journal:
        journal.append(run.head, *run.cells, *run.engines, *run.verdicts)
        if run.end is not None:
            journal.append(run.end)
    return run


def rounds(mean: float, noise: float = 0.01, n: int = 8, seed: int = 0) -> list[float]:
    """Return ``n`` measurements around a mean, with noise as a share of it."""
    numbers = random.Random(seed)
    return [mean * (1 + noise * numbers.gauss(0, 1)) for _ in range(n)]


def measured_pair(
    folder: Path,
    before: Mapping[str, Mapping[str, Sequence[float]]],
    now: Mapping[str, Mapping[str, Sequence[float]]],
    workloads: tuple[Mapping[str, object] | None, Mapping[str, object] | None] = (None, None),
) -> tuple[Run, Run]:
    """Write two runs, ``a`` and ``b``, that measured the rounds of the points of ``FAST``."""
    a, b = (
        write_run(at, [measured(at, FAST, points, workload=workload)], cells=[FAST])
        for at, points, workload in (
            (folder / "a", before, workloads[0]),
            (folder / "b", now, workloads[1]),
        )
    )
    return a, b


def measured(
    folder: Path,
    cell: CellRecord,
    points: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    workload: Mapping[str, object] | None = None,
) -> VerdictRecord:
    """Return a verdict with rounds: point -> metric -> one value a round."""
    rounds = [
        Round(
            point=point,
            number=number + 1,
            duration_s=1.0,
            requests=8,
            client={metric: series[number] for metric, series in metrics.items()},
        )
        for point, metrics in points.items()
        for number in range(len(next(iter(metrics.values()))))
    ]
    measurement = Measurement(
        question=SERVING,
        cell=cell.cell,
        workload=workload or {"input_tokens": "128"},
        rounds=rounds,
        points=[Point(name=point) for point in points],
    )
    path = folder / "files" / "performance.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(measurement.to_json(), "utf-8")
    return make_verdict(cell, SERVING, files={"rounds": "files/performance.json"})


def scored(folder: Path, cell: CellRecord, correct: Sequence[bool], **fields: str) -> VerdictRecord:
    """Return a verdict with an answer to each question, right or wrong."""
    values: dict[str, Any] = {
        "task": "mmlu_pro_biology",
        "task_version": "3.0",
        "api": "chat",
        "metric": "m,f",
    }
    values |= {"expected": "A", "extracted": "A", "finish_reason": "stop", "answer": "A"} | fields
    samples = [
        Sample(
            index=index,
            question_id=str(index),
            question_hash=f"q{index}",
            prompt_hash=f"p{index}",
            correct=is_right,
            unparsed=False,
            **values,
        )
        for index, is_right in enumerate(correct)
    ]
    name = f"mmlu_pro_biology{SAMPLES_SUFFIX}"
    path = folder / "files" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump_samples(samples), "utf-8")
    return make_verdict(cell, TASK, files={"samples": f"files/{name}"})
