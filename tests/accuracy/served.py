"""Stored answers on a live fault-injecting engine, for the tests that ask real questions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from typing import Final

from hwval.accuracy.job import Job
from hwval.accuracy.questions import questions_folder
from tests.fakes.process import FakeEngineProcess
from tests.fakes.replay import read_rows
from tests.fakes.replay import stored_outputs
from tests.fakes.replay import write_answers

OUTPUTS: Final = Path(__file__).with_name("biology_outputs_nobody.jsonl")
SHIPPED: Final = questions_folder("biology")
TASK: Final = "mmlu_pro_biology"
KEY: Final = "a-key-that-no-file-may-hold"
# How the stored outputs answer the dozen questions that come with hwval.
RIGHT, UNPARSED, QUESTIONS = 8, 2, 12


def own_answers(folder: Path, outputs: Mapping[str, str] | None = None, *, shots: int = 5) -> Path:
    """Write stored answers to the dozen questions, for completions and chat alike."""
    questions = read_rows(SHIPPED / "test.jsonl")
    examples = read_rows(SHIPPED / "validation.jsonl")[:shots]
    texts = stored_outputs(OUTPUTS) if outputs is None else outputs
    plain, chat = folder / "plain.jsonl", folder / "chat.jsonl"
    write_answers(plain, questions, examples, texts)
    write_answers(chat, questions, examples, texts, chat=True)
    path = folder / "answers.jsonl"
    path.write_text(plain.read_text("utf-8") + chat.read_text("utf-8"), "utf-8")
    return path


@contextmanager
def serving(
    answers: Path, model: str = "fake", *, arguments: Sequence[str] = (), **scenario: Any
) -> Iterator[FakeEngineProcess]:
    """Run an engine that knows stored answers."""
    faults = {"itl_s": 0.0, "answers_file": str(answers), **scenario}
    flags = ["--max-model-len", "65536", *arguments]
    with FakeEngineProcess(model, faults, flags, api_key=KEY) as engine:
        yield engine


def job_for(engine: FakeEngineProcess, out_dir: Path, **fields: Any) -> Job:
    """Return the job that asks the dozen questions."""
    out_dir.mkdir(exist_ok=True)
    known: dict[str, Any] = {
        "task": TASK,
        "api": "completions",
        "base_url": engine.base_url,
        "model": engine.model,
        "out_dir": str(out_dir),
        "dataset": str(SHIPPED),
    }
    return Job(**known | fields)


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text("utf-8"))
