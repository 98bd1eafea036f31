"""Allure results: whole, stable over runs, in the form that Allure's own library writes."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import attr
import pytest
from allure_commons import model2

from hwval.allure import write_allure
from hwval.result import Run
from hwval.summary import summarise
from hwval.verdict import Outcome
from tests.allure.reading import results
from tests.allure.reading import results_of
from tests.fakes.sample_run import make_verdict


def test_each_answer_and_each_cell_not_asked_is_a_result(run: Run, out: Path) -> None:
    """Nothing that the sign-off counts is missing."""
    summary = summarise(run)
    expected = sum(max(1, len(cell.answers)) for cell in summary.cells)

    assert len(results(out)) == expected
    assert len({result["historyId"] for result in results(out)}) == expected


def test_fields_are_those_of_allures_own_classes(out: Path) -> None:
    """Allure's library knows every field that is written."""

    def check(item: dict[str, Any], kind: Any) -> None:
        assert set(item) <= set(attr.fields_dict(kind))

    for result in results(out):
        check(result, model2.TestResult)
        check(result["statusDetails"], model2.StatusDetails)
        for name, kind in (
            ("labels", model2.Label),
            ("links", model2.Link),
            ("parameters", model2.Parameter),
            ("steps", model2.TestStepResult),
            ("attachments", model2.Attachment),
        ):
            for item in result[name]:
                check(item, kind)


def test_writing_twice_leaves_one_copy(run: Run, out: Path) -> None:
    """Files are named by what they are about; none is left half written."""
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    write_allure(run, out)

    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert not [name for name in before if name.endswith(".tmp")]


def test_attachments_exist_and_the_log_is_the_log(out: Path) -> None:
    """Every attachment that is named is there."""
    sources = Counter(each["source"] for result in results(out) for each in result["attachments"])

    assert all((out / source).is_file() for source in sources)
    logs = [source for source in sources if source.endswith(".log")]
    assert {(out / log).read_text() for log in logs} == {"a line of the log\n"}
    names = {each["name"] for result in results(out) for each in result["attachments"]}
    assert names == {
        "details.txt", "engine-diagnosis.json", "engine-reproduce.sh", "engine.json", "engine.log",
        "measurements.json",
    }  # fmt: skip


@pytest.mark.parametrize("log", ["../secret.log", "link.log", "absent.log", "logs", None])
def test_only_logs_of_the_run_are_attached(run: Run, tmp_path: Path, log: str | None) -> None:
    """A path out of the folder, also through a link, takes nothing along."""
    (tmp_path / "secret.log").write_text("secret")
    (run.folder / "link.log").symlink_to(tmp_path / "secret.log")
    engine = replace(run.engines[0], log=log)
    write_allure(replace(run, engines=(engine,)), tmp_path / "out")

    assert not list((tmp_path / "out").glob("*.log"))


def test_the_first_question_shows_the_phases_of_the_start(run: Run, out: Path) -> None:
    """Steps follow each other and end where the question begins."""
    known = next(each for each in results(out) if each["statusDetails"].get("known"))

    assert [step["name"] for step in known["steps"]] == [
        "start-up: import",
        "start-up: engine core",
    ]
    assert [step["status"] for step in known["steps"]] == ["passed", "skipped"]
    assert known["steps"][0]["stop"] == known["steps"][1]["start"]
    assert known["steps"][-1]["stop"] == known["start"]
    assert known["stop"] - known["start"] == 420
    assert sum(bool(result["steps"]) for result in results(out)) == len(run.engines)


def test_the_diagnosis_is_attached(run: Run, out: Path) -> None:
    """Programs get all of it, the rule and the secondary causes too."""
    known = next(each for each in results(out) if each["statusDetails"].get("known"))
    sources = {each["name"]: each["source"] for each in known["attachments"]}
    attached = json.loads((out / sources["engine-diagnosis.json"]).read_text())

    assert attached == next(engine.diagnosis for engine in run.engines if engine.diagnosis)


def test_hostile_text_is_plain(out: Path) -> None:
    """No control character reaches Allure, and no script is a link."""
    text = "".join(file.read_text("utf-8") for file in out.iterdir())

    assert "\x1b" not in text
    assert "\\u001b" not in text
    assert not [
        link for result in results(out) for link in result["links"] if "javascript" in link["url"]
    ]


def test_a_second_answer_is_a_test_of_its_own(run: Run, tmp_path: Path) -> None:
    """A later PASS never hides a FAIL as its retry."""
    cell = run.cells[0]
    answers = [make_verdict(cell, "load/ready", each) for each in (Outcome.FAIL, Outcome.PASS)]
    write_allure(replace(run, cells=(cell,), verdicts=tuple(answers)), tmp_path / "out")
    again = [each for each in results(tmp_path / "out") if "#load/ready" in each["fullName"]]

    assert {each["status"] for each in again} == {"failed", "passed"}
    assert len({each["historyId"] for each in again}) == 2


def test_times_fall_back_to_those_of_the_run(run: Run, tmp_path: Path) -> None:
    """An answer that never was, or has an odd time, stands at the end of the run or its start."""
    for end, expected in ((run.end, 1795170000000), (None, 1795168800000)):
        odd = replace(run.verdicts[0], finished_at="yesterday", duration_s=0.0)
        write_allure(replace(run, verdicts=(odd,), end=end), tmp_path / "out")

        assert {each["stop"] for each in results(tmp_path / "out")} == {expected}


def test_the_environment_holds_host_matrices_and_versions(out: Path) -> None:
    """Keys and values are escaped as properties are."""
    lines = (out / "environment.properties").read_text("ascii").splitlines()

    assert "host\\ hostname = lab-7" in lines
    assert "started = 2026-11-20T10\\:00\\:00+00\\:00" in lines
    assert "vllm = 0.32.0" in lines
    assert "complete = yes" in lines


def test_pictures_and_files_are_attached_to_their_question(measured: Path) -> None:
    """Both forms of each, with their types; and those that compare it with other cells."""
    for result in results_of(measured, "performance/concurrency_sweep"):
        found = {each["name"]: each["type"] for each in result["attachments"]}
        assert found.items() >= {
            ("Latency percentiles.png", "image/png"),
            ("Latency percentiles.svg", "image/svg+xml"),
            ("Time to first token of single requests.png", "image/png"),
            ("what was measured.json", "application/json"),
        }
        assert any(name.startswith("Throughput against concurrency") for name in found)


def test_no_file_is_attached_twice(measured: Path) -> None:
    """Allure 3.18 shows a file in one result alone, and calls it missed in others."""
    sources = Counter(each["source"] for one in results(measured) for each in one["attachments"])

    assert set(sources.values()) == {1}


def test_engine_goes_with_the_first_answer_and_with_bad_ones(measured: Path) -> None:
    """Who looks into a failure needs the log there."""
    for result in results(measured):
        has_log = any(each["name"] == "engine.log" for each in result["attachments"])
        is_first = result["fullName"].endswith("#load/ready")
        assert has_log == (is_first or result["status"] in {"failed", "broken"})
