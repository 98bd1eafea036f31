"""Jobs of a CI matrix: every cell that can run has one, and partners share it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hwval.cell import slug
from hwval.ci_matrix import ANY_HOST
from hwval.ci_matrix import MOST_JOBS
from hwval.ci_matrix import Job
from hwval.ci_matrix import JobPlan
from hwval.ci_matrix import format_matrix
from hwval.ci_matrix import jobs_of_hardware
from hwval.ci_matrix import jobs_of_hosts
from hwval.ci_matrix import labelled
from hwval.ci_matrix import pack
from hwval.ci_matrix import share_out
from hwval.ci_matrix import spread
from hwval.errors import UsageError
from hwval.host import Device
from hwval.host import Host
from hwval.placement import Selection
from hwval.placement import select
from hwval.resources import resource_path

SHIPPED = sorted(
    path
    for path in resource_path("matrices").glob("*.yaml")
    if not path.name.endswith("ledger.yaml")
)
ROOT = Path(__file__).resolve().parents[1]
GIB = 2**30
PLAIN = Host("plain", "6.8", "x86_64", "3.12", "EPYC", (), (0, 1), 64 * GIB)
MI60 = Device("amd-0", "rocm", "gfx906", memory_bytes=32 * GIB)
H100 = Device("gpu-0", "cuda", "sm_90", memory_bytes=80 * GIB)
LAB = """\
axes:
  hardware: [cpu, gfx906-mi60, gfx906-mi60 x2, sm_90-h100]
  image: [hwval/fake-vllm:0.32.0, vllm/vllm-openai-rocm:v0.32.0]
  model: [Qwen/Qwen3-0.6B, meta-llama/Llama-3.1-70B-Instruct]
  dtype: float16
engine: {max-model-len: 4096}
"""
PARTED = """\
axes: {hardware: gfx906-mi60, image: hwval/fake-vllm:0.32.0, model: Qwen/Qwen3-0.6B, dtype: float16}
engine: {max-model-len: 4096}
promises: {performance: {single_stream: {output_tokens: 16}}}
variants:
  - promises:
      performance:
        single_stream:
          limits: {decode_tokens_per_s: {relative_to: {cell: "sm_90*__base", at_least: 1.1}}}
include:
  - {hardware: sm_90-h100, name: base}
"""
SIZES = st.lists(st.integers(1, 5), max_size=30)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Two models on three kinds of hardware; 70B fit on none but in main memory."""
    path = tmp_path / "lab.yaml"
    path.write_text(LAB)
    return path


def groups(sizes: list[int]) -> list[list[str]]:
    return [[f"g{number}-{one}" for one in range(size)] for number, size in enumerate(sizes)]


def cells_of(plan: JobPlan) -> list[str]:
    return [cell for job in plan.jobs for cell in job.cells]


def any_host(*files: Path) -> Selection:
    return select(files, ANY_HOST)


@given(SIZES, st.integers(1, 40))
def test_shards_hold_every_cell_once_and_groups_whole(sizes: list[int], shards: int) -> None:
    """As many parts as wanted at most, in the order of the matrix, none empty."""
    parts = spread(groups(sizes), shards)

    assert [cell for part in parts for cell in part] == [
        c for group in groups(sizes) for c in group
    ]
    assert len(parts) <= shards
    assert all(parts)
    assert all(len({id(part) for part in parts if set(part) & set(g)}) == 1 for g in groups(sizes))


@given(SIZES, st.integers(1, 40))
def test_shards_are_alike(sizes: list[int], shards: int) -> None:
    """None is larger than its share by more than a group, and so few cells need no more."""
    parts = spread(groups(sizes), shards)

    assert all(len(part) < sum(sizes) / shards + max(sizes) for part in parts)
    assert len(spread(groups([1] * len(sizes)), shards)) == min(shards, len(sizes))


@given(SIZES, st.integers(1, 10))
def test_packed_jobs_are_small_enough(sizes: list[int], most: int) -> None:
    """Only a group that is larger by itself exceeds the limit, and then it is alone."""
    parts = pack(groups(sizes), most)

    assert [cell for part in parts for cell in part] == [
        c for group in groups(sizes) for c in group
    ]
    assert all(len(part) <= most or part in groups(sizes) for part in parts)


@given(SIZES, st.data())
def test_hosts_share_every_cell_that_one_can_run(sizes: list[int], data: st.DataObject) -> None:
    """Each cell with one host that can run it; a group that one host can run stays together."""
    every = {cell for group in groups(sizes) for cell in group}
    some = st.sets(st.sampled_from(sorted(every))) if every else st.just(set[str]())
    able = {host: data.draw(some) for host in ("a", "b", "c")}
    chosen = share_out(groups(sizes), able)

    given_out = [cell for cells in chosen.values() for cell in cells]
    assert sorted(given_out) == sorted(set().union(*able.values()))
    assert all(cells <= able[host] for host, cells in chosen.items())
    for group in groups(sizes):
        if any(set(group) <= cells for cells in able.values()):
            assert sum(bool(set(group) & cells) for cells in chosen.values()) == 1


def test_hosts_alike_share_the_work() -> None:
    """Whoever has least to do gets the next."""
    able = {host: {f"g{number}-0" for number in range(6)} for host in "abc"}

    assert [len(cells) for cells in share_out(groups([1] * 6), able).values()] == [2, 2, 2]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
@pytest.mark.parametrize("shards", [1, 3])
def test_shipped_matrix_has_each_possible_cell_once(path: Path, shards: int) -> None:
    """What has no job is told with a reason; names can be names of runs."""
    selection = any_host(path)
    plan = jobs_of_hardware(selection, shards=shards)
    ids = {placed.cell.id for placed in selection.placed}

    assert len(cells_of(plan)) == len(set(cells_of(plan)))
    assert set(cells_of(plan)) == ids - plan.left_out.keys()
    assert all(plan.left_out.values())
    assert len({job.name for job in plan.jobs}) == len(plan.jobs)
    assert all(slug(job.name) == job.name for job in plan.jobs)


def test_a_job_is_for_one_hardware_whatever_the_count(lab: Path) -> None:
    """Its name labels the runners; how many devices its cells need is told."""
    plan = jobs_of_hardware(any_host(lab))

    assert [(job.name, job.labels, job.devices) for job in plan.jobs] == [
        ("cpu", ("self-hosted", "cpu"), 1),
        ("gfx906-mi60", ("self-hosted", "gfx906-mi60"), 2),
        ("sm_90-h100", ("self-hosted", "sm_90-h100"), 1),
    ]


def test_impossible_cells_are_named_by_the_jobs_of_their_hardware(lab: Path) -> None:
    """Nothing is started for them, but the sign-off says why."""
    plan = jobs_of_hardware(any_host(lab), shards=2)
    mi60 = [job for job in plan.jobs if job.pool == "gfx906-mi60"]

    assert [job.name for job in mi60] == ["gfx906-mi60-1-of-2", "gfx906-mi60-2-of-2"]
    assert [len(job.ruled_out) for job in mi60] == [4, 4]
    assert all("weights take" in plan.left_out[cell] for cell in mi60[0].ruled_out)
    assert f"--cell={mi60[0].ruled_out[0]}" in mi60[0].arguments([])


def test_cells_of_images_for_other_vendors_run_nowhere(lab: Path) -> None:
    """That is no matter of a runner."""
    plan = jobs_of_hardware(any_host(lab))
    why = {text for cell, text in plan.left_out.items() if cell.startswith("cpu__")}

    assert why == {"vllm/vllm-openai-rocm:v0.32.0 is built for rocm, not for cpu"}


def test_modes_of_a_card_are_runners_of_their_own() -> None:
    """Cards are in one mode at a time."""
    plan = jobs_of_hardware(any_host(resource_path("matrices/mi300x-release.yaml")))

    assert [job.name for job in plan.jobs][:2] == ["gfx942-mi300x", "gfx942-mi300x-cpx-nps1"]


def test_partners_are_not_parted() -> None:
    """Cells that are held against each other are in one job, however many there are."""
    path = resource_path("matrices/mi300x-release.yaml")
    plan = jobs_of_hardware(any_host(path), shards=99)
    together = [job.cells for job in plan.jobs if len(job.cells) > 1]

    assert together
    assert any(
        {cell.rpartition("__")[2] for cell in cells} >= {"plain", "draft-8b"} for cells in together
    )


def test_hosts_get_what_they_can_run(lab: Path) -> None:
    """Every cell goes to one host; what fits none is told with each host's reason."""
    hosts = {
        "amd": replace(PLAIN, devices=(MI60,)),
        "nvidia": replace(PLAIN, devices=(H100,)),
    }
    plan = jobs_of_hosts({name: select([lab], host) for name, host in hosts.items()})
    nowhere = [cell for cell in plan.left_out if cell.startswith("gfx906-mi60-x2__hwval-fake")]

    assert {job.name: set(job.hardware) - {"cpu"} for job in plan.jobs} == {
        "amd": {"gfx906-mi60"},
        "nvidia": {"sm_90-h100"},
    }
    assert set(cells_of(plan)).isdisjoint(plan.left_out)
    assert len(cells_of(plan)) + len(plan.left_out) == 16
    assert plan.left_out[nowhere[0]].startswith("amd: ")
    assert "this host has 1; nvidia: gfx906-mi60 needs 2" in plan.left_out[nowhere[0]]
    assert all(
        "amd: " not in why for cell, why in plan.left_out.items() if cell.startswith("cpu__vllm")
    )


def test_labels_are_replaced(lab: Path) -> None:
    """By the name of a hardware, for all of its shards."""
    jobs = labelled(jobs_of_hardware(any_host(lab), shards=2).jobs, {"cpu": ["linux", "big"]})

    assert {job.labels for job in jobs if job.pool == "cpu"} == {("linux", "big")}
    assert {job.labels for job in jobs if job.pool != "cpu"} == {
        ("self-hosted", "gfx906-mi60"),
        ("self-hosted", "sm_90-h100"),
    }


def test_labels_of_an_unknown_name_are_refused(lab: Path) -> None:
    """With near names."""
    with pytest.raises(UsageError, match=r"no job is for 'gfx906'; .*gfx906-mi60"):
        labelled(jobs_of_hardware(any_host(lab)).jobs, {"gfx906": ["linux"]})


def test_matrix_is_one_line_that_github_takes(lab: Path) -> None:
    """A list of objects below include; arguments one a line, as pytest reads them from a file."""
    plan = jobs_of_hardware(any_host(lab))
    text = format_matrix(plan.jobs, [Path("lab.yaml")], "org/image:1")
    first = json.loads(text)["include"][0]

    assert "\n" not in text
    assert first == {
        "name": "cpu",
        "runs-on": ["self-hosted", "cpu"],
        "hardware": "cpu",
        "devices": 1,
        "cells": 2,
        "args": "\n".join(
            [
                "--matrix=lab.yaml",
                "--image=org/image:1",
                *(f"--cell={c}" for c in plan.jobs[0].cells),
            ]
        ),
    }


def test_matrix_without_jobs_is_empty() -> None:
    """The workflow skips it by an `if`."""
    assert format_matrix([], []) == '{"include":[]}'


def job(number: int, cells: int = 1) -> Job:
    ids = tuple(f"cpu__image__model-{one}__float16" for one in range(cells))
    return Job(f"cpu-{number}", "cpu", ("cpu",), 1, ids, (), ("self-hosted", "cpu"))


def test_more_jobs_than_github_takes_are_refused() -> None:
    """Its limit is exact."""
    assert len(json.loads(format_matrix([job(n) for n in range(MOST_JOBS)], []))["include"]) == 256
    with pytest.raises(UsageError, match="257 jobs, but GitHub runs at most 256"):
        format_matrix([job(n) for n in range(MOST_JOBS + 1)], [])


def test_more_text_than_github_passes_on_is_refused() -> None:
    """An output that is cut would be no JSON."""
    jobs = [job(number, 2_500) for number in range(4)]  # UTF-16 takes two bytes a character

    assert len(format_matrix(jobs, [])) < 2**19
    with pytest.raises(UsageError, match=r"characters of JSON, but GitHub passes at most 524,288"):
        format_matrix([*jobs, *jobs], [])


def test_more_arguments_than_a_variable_holds_are_refused() -> None:
    """The workflow hands them to a shell by one, and Linux would start none."""
    format_matrix([job(1, 3_000)], [])
    with pytest.raises(UsageError, match=r"job cpu-1 has 13\d,\d+ bytes of arguments, .* 130,048"):
        format_matrix([job(1, 3_400)], [])


def test_partners_of_other_hardware_are_told(tmp_path: Path) -> None:
    """No runner has both, so that the promise stays without its other side."""
    path = tmp_path / "m.yaml"
    path.write_text(PARTED)
    plan = jobs_of_hardware(any_host(path))
    (cell,) = plan.parted

    assert [job.name for job in plan.jobs] == ["gfx906-mi60", "sm_90-h100"]
    assert cell.startswith("gfx906-mi60__")
    assert plan.parted[cell] == plan.jobs[1].cells


def test_workflow_of_the_documentation_takes_what_is_printed() -> None:
    """It is YAML, names keys of jobs, skips the empty matrix, and plans a matrix there is."""
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    jobs = yaml.safe_load(text)["jobs"]
    printed = json.loads(format_matrix([job(1)], []))["include"][0]
    named = set(re.findall(r"\$\{\{ matrix\.([\w-]+) \}\}", text))
    (planned,) = re.findall(r"hwval ci-matrix --matrix=(\S+)\)", text)

    assert named == {"name", "runs-on", "cells", "args"}
    assert named <= printed.keys()
    assert jobs["run"]["if"] == f"needs.plan.outputs.matrix != '{format_matrix([], [])}'"
    assert jobs["run"]["strategy"]["matrix"] == "${{ fromJSON(needs.plan.outputs.matrix) }}"
    assert jobs["signoff"]["needs"] == ["plan", "run"]
    assert {job.pool for job in jobs_of_hardware(any_host(ROOT / planned)).jobs}
    assert all(f"`{key}`" in page for key in printed)
