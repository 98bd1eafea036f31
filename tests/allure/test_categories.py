"""Statuses and categories of results."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hwval.allure import categories
from hwval.allure import write_allure
from hwval.result import Run
from hwval.verdict import Outcome
from tests.allure.reading import results
from tests.fakes.sample_run import make_verdict


def test_statuses_follow_the_verdicts(out: Path) -> None:
    """Only a product failure is red, only good answers are green."""
    statuses: dict[str, set[str]] = {}
    for result in results(out):
        word = re.split(":", result["statusDetails"].get("message", "PASS"))[0]
        statuses.setdefault(word, set()).add(result["status"])

    assert statuses == {
        "PASS": {"passed"},
        "FIXED": {"passed"},
        "FAIL": {"failed"},
        "INFRA": {"broken"},
        "INCONCLUSIVE": {"broken"},
        "KNOWN": {"skipped"},
        "BLOCKED": {"skipped"},
        "IMPOSSIBLE": {"skipped"},
        "NOT RUN": {"skipped"},
    }


def test_each_message_falls_into_one_category(out: Path) -> None:
    """Every answer that is not plainly good has a family, and only one."""
    assert json.loads((out / "categories.json").read_text()) == categories()
    for result in results(out):
        message = result["statusDetails"].get("message")
        fitting = [
            rule["name"]
            for rule in categories()
            if message is not None
            and result["status"] in rule["matchedStatuses"]
            and re.search(rule["messageRegex"], message)
        ]
        assert len(fitting) == (message is not None)


@pytest.mark.parametrize(
    ("outcome", "cause", "category"),
    [
        (Outcome.FAIL, "out-of-memory-kv-cache", "Product failures: memory"),
        (Outcome.FAIL, "unsupported-dtype", "Product failures: not supported here"),
        (Outcome.FAIL, "unknown", "Product failures: cause not known"),
        (Outcome.FAIL, "unknown-engine-argument", "Product failures: arguments and configuration"),
        (Outcome.FAIL, "wrong-answer", "Product failures: answers of a live engine"),
        (Outcome.FAIL, None, "Product failures: answers of a live engine"),
        (Outcome.INFRA, "disk-full", "Lab failures"),
        (Outcome.KNOWN, "unsupported-dtype", "Known issues"),
    ],
)
@pytest.mark.parametrize("reason", ["", "two\nlines: unknown: "])
def test_a_failure_is_sorted_by_the_family_of_its_cause(
    run: Run, tmp_path: Path, *, outcome: Outcome, cause: str | None, category: str, reason: str
) -> None:
    """Whatever the reason says, exactly the family's category matches."""
    answer = make_verdict(run.cells[0], "load/ready", outcome, reason, cause=cause)
    cell = replace(run.cells[0], questions=("load/ready",))
    write_allure(replace(run, cells=(cell,), verdicts=(answer,)), tmp_path / "out")
    (result,) = results(tmp_path / "out")
    message = result["statusDetails"]["message"]

    assert [
        rule["name"]
        for rule in categories()
        if result["status"] in rule["matchedStatuses"] and re.search(rule["messageRegex"], message)
    ] == [category]


def test_broken_promises_have_a_category(measured: Path) -> None:
    """Those of accuracy one of their own."""
    rules = json.loads((measured / "categories.json").read_text())
    named = {}
    for result in results(measured):
        message = result["statusDetails"].get("message", "")
        if "promise-broken" in message:
            (named[result["fullName"].rpartition("#")[2]],) = [
                rule["name"]
                for rule in rules
                if result["status"] in rule["matchedStatuses"]
                and re.fullmatch(rule["messageRegex"], message)
            ]

    assert named == {
        "performance/single_stream": "Promises not kept",
        "accuracy/score": "Promises not kept: accuracy",
    }
