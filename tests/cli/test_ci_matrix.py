"""`hwval ci-matrix`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calling import Call


def test_matrix_is_one_line_on_standard_output(hwval: Call) -> None:
    """A job for each hardware, with what pytest reads from a file."""
    code, out, err = hwval("ci-matrix", "--matrix=m.yaml", "--runs-on=cpu=linux, big")
    jobs = json.loads(out)["include"]

    assert (code, err, out.count("\n")) == (0, "", 1)
    assert [job["runs-on"] for job in jobs] == [
        ["linux", "big"],
        ["self-hosted", "gfx906-mi60"],
        ["self-hosted", "sm_90-h100"],
    ]
    assert jobs[0]["args"].splitlines()[0] == "--matrix=m.yaml"
    assert jobs[0]["args"].splitlines()[1].startswith("--cell=cpu__")


def test_smoke_matrix_needs_no_name(hwval: Call) -> None:
    """Neither here nor in pytest; shards share its cells."""
    _, out, _ = hwval("ci-matrix", "--shards=2")
    jobs = json.loads(out)["include"]

    assert [job["name"] for job in jobs] == ["cpu-1-of-2", "cpu-2-of-2"]
    assert not any("--matrix" in job["args"] for job in jobs)


def test_few_cells_are_packed(hwval: Call) -> None:
    """As many jobs as it takes."""
    _, out, _ = hwval("ci-matrix", "--cells=*__synthetic-llama__*", "--max-cells-per-job=2")

    assert [job["cells"] for job in json.loads(out)["include"]] == [2, 2]


def test_host_gets_a_job_and_the_rest_is_told(hwval: Call) -> None:
    """A saved probe decides what runs there."""
    code, out, err = hwval("ci-matrix", "--matrix=m.yaml", "--host=lab-7=lab.json")
    (job,) = json.loads(out)["include"]

    assert code == 0
    assert (job["name"], job["hardware"], job["cells"]) == ("lab-7", "cpu, gfx906-mi60", 2)
    assert err.startswith("left out: sm_90-h100__")
    assert "this host has none" in err


@pytest.mark.parametrize("more", [[], ["--host=lab-7=lab.json"]])
def test_a_task_that_nobody_knows_makes_no_job(hwval: Call, more: list[str]) -> None:
    """It would end on every runner."""
    task = "promises: {accuracy: {own: {task: mmlu_pro_biologyy}}}\n"
    Path("m.yaml").write_text(Path("m.yaml").read_text() + task)
    code, out, err = hwval("ci-matrix", "--matrix=m.yaml", *more)

    assert (code, out) == (2, "")
    assert "did you mean 'mmlu_pro_biology'" in err


def test_nothing_to_run_is_an_empty_matrix(hwval: Call) -> None:
    """The workflow's `if` skips it; the reason is told."""
    only = "--cells=sm_90*"
    code, out, err = hwval("ci-matrix", "--matrix=m.yaml", only, "--host=a=lab.json")

    assert (code, out) == (0, '{"include":[]}\n')
    assert "the matrix is empty" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shards=2", "--max-cells-per-job=3"], "exclude each other"),
        (["--shards=2", "--host=a=lab.json"], "exclude each other"),
        (["--host=lab.json"], "expected a name of a-z"),
        (["--host=A=lab.json"], "expected a name of a-z"),
        (["--host=a=lab.json", "--host=a=lab.json"], "'a' is given more than once"),
        (["--host=a=none.json"], "none.json: cannot be read"),
        (["--runs-on=gpu=linux"], "no job is for 'gpu'"),
        (["--runs-on=cpu=linux,"], "a value behind '='"),
        (["--runs-on=cpu= "], "a value behind '='"),
        (["--host=..=lab.json"], "expected a name of a-z"),
        (["--cells=nosuch*"], "no cell is named 'nosuch*'"),
        (["--matrix=nosuch.yaml"], "nosuch.yaml"),
        (["--image=nobody/knows:1"], "nobody/knows"),
    ],
)
def test_mistake_is_one_line(hwval: Call, arguments: list[str], message: str) -> None:
    """Exit status 2, and nothing that a workflow could take for a matrix."""
    code, out, err = hwval("ci-matrix", *arguments)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_json_may_be_asked_for(hwval: Call) -> None:
    """As of every command; it prints nothing else."""
    asked, plain = hwval("ci-matrix", "--json"), hwval("ci-matrix")

    assert asked == plain
    assert json.loads(asked[1])["include"]
