"""What a real vLLM printed when it was run wrong on purpose gets its cause and its line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hwval.diagnosis import Circumstances
from hwval.diagnosis import Diagnosis
from hwval.diagnosis import diagnose_file

FOLDERS = sorted((Path(__file__).parent / "logs").glob("vllm-*"))
LABELS = [
    (folder / label["file"], label)
    for folder in FOLDERS
    for label in yaml.safe_load((folder / "labels.yaml").read_text("utf-8"))
]


def known_of(log: Path, label: dict[str, Any]) -> Circumstances:
    inspected, kernel = log.with_suffix(".inspect.json"), log.with_suffix(".kernel.log")
    known = Circumstances(exit_code=label.get("exit_code"), oom_killed=label.get("oom_killed"))
    if inspected.is_file():
        known = Circumstances.of_inspect(json.loads(inspected.read_text("utf-8")))
    lines = kernel.read_text("utf-8").splitlines() if kernel.is_file() else []
    return dataclasses.replace(
        known, kernel_log=tuple(lines), timed_out=bool(label.get("timed_out"))
    )


def all_causes(label: dict[str, Any]) -> set[str | None]:
    return {label["cause"], *label.get("also", ())}


@pytest.mark.parametrize(("log", "label"), LABELS, ids=[log.stem for log, _ in LABELS])
def test_cause_and_evidence(log: Path, label: dict[str, Any]) -> None:
    """With all that is known of the end."""
    found = diagnose_file(log, known_of(log, label))

    assert found.cause in all_causes(label), found
    if label["lines"] and found.evidence is not None:
        assert found.evidence.line in label["lines"]


@pytest.mark.parametrize(("log", "label"), LABELS, ids=[log.stem for log, _ in LABELS])
def test_log_alone_never_misleads(log: Path, label: dict[str, Any]) -> None:
    """Who has nothing but the log gets the cause, or is told that it does not say."""
    found: Diagnosis = diagnose_file(log)
    honest = {label.get("from_log_alone", label["cause"]), "cause-not-in-log"}

    assert found.cause in all_causes(label) | honest
    assert (found.cause is None) == (label["cause"] is None)
