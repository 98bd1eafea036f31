"""Message and description of a result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hwval.allure.telling import description_of
from hwval.summary.explanation import explanation_of
from hwval.verdict import Outcome
from tests.allure.reading import results
from tests.allure.reading import results_of
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_engine
from tests.fakes.sample_run import make_verdict


def test_a_known_issue_names_cause_evidence_remedy_and_link(out: Path) -> None:
    """What a person needs to agree is on the page."""
    known = next(each for each in results(out) if each["statusDetails"].get("known"))

    assert known["statusDetails"]["message"].startswith("KNOWN: context-length-exceeds-model: it")
    assert ".log:118): ValueError" in known["statusDetails"]["trace"]
    assert "What to do: Lower max-model-len" in known["statusDetails"]["trace"]
    assert [(link["type"], link["url"]) for link in known["links"]] == [
        ("issue", "https://example.org/issues/7"),
        ("link", "https://docs.example.org/len"),
    ]


def test_a_dead_engine_is_described_with_its_remedy(out: Path) -> None:
    """The description has cause, evidence, remedy and the fingerprint to copy into a ledger."""
    known = next(each for each in results(out) if each["statusDetails"].get("known"))
    description = known["description"]

    assert description.startswith("**context longer than the model allows** (context-length-")
    assert "```text\nValueError: User-specified max_model_len" in description
    assert "**What to do:** Lower max-model-len to 2048" in description
    assert "Seen too: ipc-socket-failure" in description
    assert "context-length-exceeds-model:c0ffee1234" in description
    assert {each["description"] for each in results(out)} == {"", description}


def test_checks_are_a_table_in_the_description(measured: Path) -> None:
    """And a file for programs."""
    result = next(
        one
        for one in results_of(measured, "performance/single_stream")
        if one["status"] == "passed"
    )
    head, rule, *rows = result["description"].splitlines()

    assert head.startswith("| Verdict | Metric | Measured | Promised |")
    assert {line.count("|") for line in (head, rule)} == {9}
    assert rows[0].startswith("| PASS | decode\\_tokens\\_per\\_s | 54 tokens/s (51.73")
    (source,) = [each["source"] for each in result["attachments"] if each["name"] == "checks.json"]
    assert json.loads((measured / source).read_text())["checks"][0]["value"] == pytest.approx(54)


def test_code_and_addresses_of_a_remedy_are_live_and_nothing_else_is() -> None:
    """Allure shows the description as Markdown."""
    cell = make_cell(questions=("load/ready",))
    remedy = "Run `nvidia-smi -q`, not <b>. See https://docs.example.org/a_b"
    diagnosis = {"cause": "unknown", "summary": "`x_y` is *gone*", "remedy": remedy}
    engine = replace(make_engine(cell, ready=False), diagnosis=diagnosis)
    answer = make_verdict(cell, "load/ready", Outcome.FAIL, cause="unknown")
    description = description_of(explanation_of(engine), answer)

    assert "\n\n`x_y` is \\*gone\\*\n\n" in description
    assert "Run `nvidia-smi -q`, not \\<b\\>. See <https://docs.example.org/a_b>" in description
