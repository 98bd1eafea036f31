"""The corpus is complete and true to its table, and what makes it is tested where it is pure."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hwval.synthetic import prepare_synthetic
from tests.diagnosis.corpus import damage
from tests.diagnosis.corpus.make import LOGS
from tests.diagnosis.corpus.make import label_of
from tests.diagnosis.corpus.make import objection
from tests.diagnosis.corpus.scenario import Scenario
from tests.diagnosis.corpus.scrub import evidence_lines
from tests.diagnosis.corpus.scrub import inspection_of
from tests.diagnosis.corpus.scrub import scrub
from tests.diagnosis.corpus.start import Ending
from tests.diagnosis.corpus.table import SCENARIOS

LABELS: list[dict[str, Any]] = yaml.safe_load((LOGS / "labels.yaml").read_text(encoding="utf-8"))
FAILURE = Scenario("a", "something", "bad-model-files", "why")


def ending(log: str = "why", **known: Any) -> Ending:
    usual = {"exit_code": 1, "timed_out": False, "is_ready": False, "inspection": None}
    return Ending(log=log, command=("vllm",), kernel_log="", **(usual | known))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint, as it is made."""
    return prepare_synthetic("synthetic:llama", tmp_path_factory.mktemp("cache"))


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in checkpoint.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_scenarios_have_names_of_their_own() -> None:
    """A log belongs to one scenario."""
    names = [scenario.name for scenario in SCENARIOS]

    assert len(set(names)) == len(names)


def test_every_scenario_has_a_log_and_a_label() -> None:
    """Table, labels and logs name the same."""
    logs = {path.stem for path in LOGS.glob("*.log")}

    assert {scenario.name for scenario in SCENARIOS} == logs
    assert [label["file"] for label in LABELS] == [f"{s.name}.log" for s in SCENARIOS]


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label["file"])
def test_labels_follow_from_table_and_log(label: dict[str, Any]) -> None:
    """`--labels` was run after the last change of the table."""
    scenario = next(s for s in SCENARIOS if f"{s.name}.log" == label["file"])
    log = (LOGS / label["file"]).read_text(encoding="utf-8")

    assert label == label_of(scenario, log, label)
    assert bool(label["lines"]) == bool(scenario.evidence)


@pytest.mark.parametrize("path", sorted(LOGS.iterdir()), ids=lambda path: path.name)
def test_files_name_no_machine_and_stay_small(path: Path) -> None:
    """Nothing of the machine that made a log stands in it."""
    text = path.read_text(encoding="utf-8")

    assert not re.search(r"/root/|/tmp/hwval-corpus|hf_[A-Za-z0-9]{20}", text)
    assert text == scrub(text, {})
    assert len(text.encode()) < 60_000 or path.name == "labels.yaml"


def test_addresses_become_neutral() -> None:
    """Loopback and versions stay."""
    text = "10.1.2.3:80 127.0.0.1 0.0.0.0 v0.32.0 1.2.3.4.5"

    assert scrub(text, {}) == "192.0.2.1:80 127.0.0.1 0.0.0.0 v0.32.0 1.2.3.4.5"


def test_names_are_replaced_as_words() -> None:
    """A short name of a host leaves longer words alone, a path does not."""
    names = {"vm": "host", "/tmp/a": "/scratch", "/tmp/a/models": "/models"}

    assert scrub("vm vmlinux kvm /tmp/a/models/x /tmp/ab", names) == (
        "host vmlinux kvm /models/x /scratchb"
    )


@given(st.text())
def test_scrubbing_twice_changes_nothing(text: str) -> None:
    """What is neutral stays as it is."""
    once = scrub(text, {"vm": "host"})

    assert scrub(once, {"vm": "host"}) == once


def test_evidence_is_every_line_that_holds_it() -> None:
    """Processes repeat each other."""
    assert evidence_lines("why\nno\n(pid 1) why\n", "why") == [1, 3]
    assert evidence_lines("why", "") == []


def test_inspection_keeps_what_is_about_the_start() -> None:
    """Mounts, networks and variables are left out."""
    known = json.loads(next(LOGS.glob("*.inspect.json")).read_text(encoding="utf-8"))
    document = [known[0] | {"NetworkSettings": {"IPAddress": "10.0.0.1"}}]

    assert inspection_of(document) == known


@pytest.mark.parametrize(
    ("scenario", "seen", "told"),
    [
        pytest.param(FAILURE, ending(), "", id="as-labelled"),
        pytest.param(FAILURE, ending("else"), "does not say 'why'", id="other-words"),
        pytest.param(FAILURE, ending(timed_out=True), "neither ready nor dead", id="hangs"),
        pytest.param(FAILURE, ending(is_ready=True), "it started", id="starts"),
        pytest.param(FAILURE, ending("why" * 30_000), "bytes", id="too-long"),
        pytest.param(Scenario("b", "plain", None), ending(), "did not start", id="healthy-fails"),
    ],
)
def test_a_start_that_went_another_way_is_told(scenario: Scenario, seen: Ending, told: str) -> None:
    """A later vLLM says other things; that shows when the corpus is made, not when it is used."""
    objected = objection(scenario, seen, seen.log)

    assert told in objected
    assert bool(told) == bool(objected)


def test_config_is_changed_key_by_key(copy: Path) -> None:
    """Keys change, and None takes them away."""
    damage.config(model_type="other", head_dim=None)(copy)
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))

    assert config["model_type"] == "other"
    assert "head_dim" not in config
    assert config["hidden_size"] == 128


def test_files_are_cut_written_and_removed(copy: Path) -> None:
    """Damages can follow each other."""
    before = (copy / "tokenizer.json").stat().st_size
    damage.several(
        damage.cut("tokenizer.json", to_ratio=0.5),
        damage.write("config.json", "{"),
        damage.remove("model.safetensors"),
    )(copy)

    assert (copy / "tokenizer.json").stat().st_size == before // 2
    assert (copy / "config.json").read_text(encoding="utf-8") == "{"
    assert not (copy / "model.safetensors").exists()


def test_tensors_keep_their_values(copy: Path) -> None:
    """What is left of the weights is what it was."""
    before = damage.read_tensors(copy)
    damage.several(
        damage.without_tensor("model.norm.weight"),
        damage.shrink_tensor("lm_head.weight"),
    )(copy)
    after = damage.read_tensors(copy)

    assert before.keys() - after.keys() == {"model.norm.weight"}
    assert (after["lm_head.weight"] == before["lm_head.weight"][:512]).all()
    assert (after["model.embed_tokens.weight"] == before["model.embed_tokens.weight"]).all()


def test_shards_name_a_file_that_is_missing(copy: Path) -> None:
    """The index names two files, one is there."""
    damage.sharded(copy)
    index = json.loads((copy / "model.safetensors.index.json").read_text(encoding="utf-8"))

    assert len(set(index["weight_map"].values())) == 2
    assert len(list(copy.glob("*.safetensors"))) == 1
