"""What a real server printed when it was run wrong on purpose gets its cause and its line."""

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

NO_CAUSE = {"cause-not-in-log", "unknown"}
FOLDERS = sorted((Path(__file__).parent / "logs").glob("*-*"))
LABELS = [
    (folder / label["file"], label)
    for folder in FOLDERS
    for label in yaml.safe_load((folder / "labels.yaml").read_text("utf-8"))
]


def known_of(log: Path, label: dict[str, Any]) -> Circumstances:
    inspected, kernel = log.with_suffix(".inspect.json"), log.with_suffix(".kernel.txt")
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
    """With all that is known of the end, also that it was not what was hoped."""
    known = dataclasses.replace(known_of(log, label), failed=label["cause"] is not None)
    found = diagnose_file(log, known)

    assert found.cause in all_causes(label), found
    if label["lines"] and found.evidence is not None and found.cause not in NO_CAUSE:
        # The class of an exception may stand on a line of its own, above what it says.
        here = found.evidence.line
        assert any(here <= line <= here + 1 for line in label["lines"])


@pytest.mark.parametrize(("log", "label"), LABELS, ids=[log.stem for log, _ in LABELS])
def test_log_alone_never_misleads(log: Path, label: dict[str, Any]) -> None:
    """Who has nothing but the log gets the cause, or is told that it does not say.

    A server that came up is healthy to them, whatever it answered to single requests.
    """
    found: Diagnosis = diagnose_file(log)
    came_up = "Application startup complete" in log.read_text("utf-8")
    honest = {label.get("from_log_alone", label["cause"]), *NO_CAUSE}

    assert found.cause in all_causes(label) | honest | ({None} if came_up else set())
