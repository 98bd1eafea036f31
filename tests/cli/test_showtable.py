"""One cell in full, in words and as JSON."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from hwval.cli.showtable import CellView
from hwval.placement import select
from hwval.redaction import Redactor
from tests.cli.calling import LAB
from tests.cli.calling import Call

FULL = """\
axes:
  hardware: [gfx906-mi60 x2]
  image: hwval/fake-vllm:0.32.0
  model: Qwen/Qwen3-0.6B
  dtype: float16
engine: {max-model-len: 8192, enforce-eager: true, enable-prefix-caching: false}
environment: {A: "1", PROXY: "http://me:hunter22@proxy"}
pass_environment: [LAB_TOKEN]
container: {shm: 8 GiB}
deadlines: {load: 40 min}
variants: [{name: base}, {name: fast, promises: {performance: {offline: {limits:
  {output_tokens_per_s: {relative_to: {cell: base, at_least: 1.5}, source: rule}}}}}}]
promises:
  load: {ready_within: 20 min}
  performance:
    single_stream:
      max_duration: 90 s
      limits:
        decode_tokens_per_s: {floor: 12, good: 20, of_ceiling: 25 %, source: note, date: 2026-05-04}
        ttft_mean_s: {baseline: {value: 500 ms, tolerance: 5 %, source: run-7, date: 2026-04-01}}
    serving:
      rates_per_s: [0.5, 2]
      requests: 20
      goals: {ttft: 1 s}
      limits_at: {"2": {good_share: {floor: 90 %}}}
    offline: {}
  accuracy:
    mmlu_pro_biology: {reference: 0.8, n: 717, margin: 3 %, source: paper}
"""
LEDGER = """\
known_issues:
  - {cells: "*__base", fingerprint: device-memory, reason: small, owner: me, expires: 2026-01-02}
  - {cells: "*__fast", fingerprint: device-memory, reason: other, owner: me, expires: 2099-01-02}
"""


@pytest.fixture
def full(hwval: Call) -> Call:
    """A matrix that says everything; it calls `show` with what is given."""
    Path("full.yaml").write_text(FULL)
    Path("ledger.yaml").write_text(LEDGER)
    return lambda *given: hwval("show", *given, "--matrix", "full.yaml", "--host", "lab.json")


def rows_of(out: str) -> dict[str, str]:
    """Return the rows of all sections; what begins a line is its label."""
    rows = (re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in out.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}


def test_show_tells_limits_in_words(full: Call) -> None:
    """Numbers with units, what of the roofline that is, and where they come from."""
    code, out, _ = full("*__base")
    rows = rows_of(out)
    limit = rows["decode_tokens_per_s"]

    assert code == 0
    assert re.fullmatch(
        r"floor 12 tokens/s; good 20 tokens/s; 25 % of what the roofline allows "
        r"\(\S+ tokens/s of \S+ tokens/s\)",
        limit,
    )
    assert "      source " in out
    assert "note (2026-05-04)" in out
    assert rows["ttft_mean_s"] == "baseline 500 ms plus 5 % (525 ms; run-7, 2026-04-01)"
    assert rows["good_share at 2"] == "floor 90.0%"
    assert rows["load/ready_in_time"] == "within 20 min 00 s"
    assert "max_duration 1 min 30 s" in rows["performance/single_stream"]
    assert "goals (ttft 1.0 s)" in rows["performance/serving"]
    assert "reference 0.8, n 717, margin 0.03" in rows["accuracy/mmlu_pro_biology"]


def test_show_tells_how_it_is_started_and_planned(full: Call) -> None:
    """Bare flags and their no-forms, sizes, deadlines, memory; no secret."""
    _, out, _ = full("*__base")
    rows = rows_of(out)

    assert rows["--enforce-eager"] == "on"
    assert rows["--enable-prefix-caching"] == "off (--no-enable-prefix-caching)"
    assert (rows["PROXY"], rows["passed by name"]) == (
        "http://[secret]@proxy", "HF_TOKEN, LAB_TOKEN"
    )  # fmt: skip
    assert rows["shared memory"] == "8.00 GiB"
    assert re.search(r"deadlines\n.*\n  load +40 min 00 s", out)
    assert rows["planned"] == "run"
    assert rows["figures"].startswith("needs ")
    assert "8,192 tokens of context fit" in rows["figures"]
    assert rows["can run"].startswith("gfx906-mi60 needs 2 devices")
    assert "hunter22" not in out


def test_show_tells_the_devices_that_would_do(hwval: Call) -> None:
    """How many are needed, and of many partitions the first; programs get all."""
    crowd = tuple(replace(LAB.devices[0], id=f"amd-{number}", index=number) for number in range(64))
    Path("lab.json").write_text(json.dumps(replace(LAB, devices=crowd).to_json()))
    given = ("show", "gfx906*", "--matrix", "m.yaml", "--host", "lab.json")
    code, out, err = hwval(*given)
    assert (code, err) == (0, "")
    _, described, _ = hwval(*given, "--json")
    rows = rows_of(out)

    assert (rows["can run"], rows["devices"], rows["..."]) == ("yes", "1 of 64", "48 more")
    assert rows["amd-0"] == "gfx906, 32.0 GiB"
    assert len(json.loads(described)["devices"]) == 64


def test_show_tells_questions_and_known_issues(full: Call) -> None:
    """What is asked, what is not and why, and the ledger's entries for this cell alone."""
    _, out, _ = full("*__base")
    rows = rows_of(out)

    assert rows["performance"] == "single_stream, offline, serving"
    assert rows["accuracy"] == "answered, score"
    assert rows["not asked: accuracy"] == "parsed, ended, paired: the matrix promises nothing of it"
    assert "image and model do not promise embeddings" in out
    assert rows["load/healthy"].startswith("device-memory: small (ledger.yaml:2: me, until")
    assert "EXPIRED" in rows["load/healthy"]
    assert "other" not in rows["load/healthy"]


def test_show_names_the_cell_that_is_meant(full: Call) -> None:
    """A variant's name in the matrix, the id of the cell beside it."""
    _, out, _ = full("*__fast")
    rows = rows_of(out)

    assert rows["output_tokens_per_s"] == "at least 1.5 times that of base"
    assert rows["held against"].startswith("base: gfx906-mi60-x2__")
    assert rows["held against"].endswith("__float16__base")


def test_show_for_programs(full: Call) -> None:
    """The contract of docs/plan.md: those of `plan`, and all of the cell in base units."""
    code, out, err = full("*__fast", "--json")
    cell = json.loads(out)
    questions = cell["questions"]

    assert (code, err) == (0, "")
    assert (cell["verdict"], cell["planned"], cell["runs"]) == ("elsewhere", "run", False)
    assert cell["memory"]["kv_bytes_per_token"] > 0
    assert (cell["hardware"], cell["device_count"], cell["variant"]) == ("gfx906-mi60", 2, "fast")
    assert cell["engine_args"]["max-model-len"] == 8192
    assert cell["environment"]["PROXY"] == "http://[secret]@proxy"
    assert cell["shm_bytes"] == 8 * 2**30
    assert (cell["devices_needed"], cell["devices"]) == (2, [])
    assert cell["deadlines"] == {"pull_s": 3600.0, "load_s": 2400.0, "answer_s": 300.0}
    assert cell["promises"]["load"] == {"ready_within": 1200.0}
    limits = {one["metric"]: one for one in cell["limits"]}
    assert limits["output_tokens_per_s"] == {
        "question": "performance/offline", "point": None, "metric": "output_tokens_per_s",
        "words": ["at least 1.5 times that of base"], "source": "rule", "date": None,
    }  # fmt: skip
    assert limits["good_share"]["point"] == 2.0
    assert limits["decode_tokens_per_s"]["date"] == "2026-05-04"
    assert cell["partners"] == {"base": cell["cell"].replace("__fast", "__base")}
    assert "performance/offline" in questions["asked"]
    assert {"question": "accuracy/ended", "why": "the matrix promises nothing of it"} in (
        questions["not_asked"]
    )
    assert [issue["expired"] for issue in cell["known_issues"]] == [False]


def test_show_fits_a_narrow_terminal(full: Call) -> None:
    """Every line but the id, which is to be copied."""
    full("*__base")
    selection = select([Path("full.yaml")], LAB)
    told = io.StringIO()
    view = CellView(selection.placed[0], selection, Redactor(()), date(2026, 1, 1))
    view.print(Console(file=told, width=80))
    first, *lines = told.getvalue().splitlines()

    assert first == selection.placed[0].cell.id
    assert max(len(line) for line in lines) <= 80
    assert all(line == line.rstrip() for line in lines)


def test_show_tells_in_any_locale(full: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal without a character of the matrix gets its escape; JSON stays JSON."""
    file = Path("full.yaml")
    full("*__base")
    file.write_text(
        file.read_text().replace("source: paper", 'source: "\u00a7 4, \u6f22"'), "utf-8"
    )
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, "latin-1"))
    codes = full("*__base")[0], full("*__base", "--json")[0]
    sys.stdout.flush()
    told, _, described = raw.getvalue().decode("latin-1").partition("{\n")

    assert codes == (0, 0)
    assert "\u00a7 4, \\u6f22" in told
    assert (
        json.loads("{" + described)["promises"]["accuracy"]["mmlu_pro_biology"]["source"]
        == "\u00a7 4, \u6f22"
    )
