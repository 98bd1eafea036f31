"""Which cells are held against each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.matrix import groups_of
from hwval.matrix import load_matrix
from hwval.matrix import partners_among
from hwval.matrix import undecidable_relations

IDS = [f"c{number}" for number in range(12)]
PARTNERS = st.dictionaries(st.sampled_from(IDS), st.lists(st.sampled_from(IDS), max_size=3))
RELATED = """\
axes:
  hardware: gfx906-mi60
  image: hwval/fake-vllm:0.32.0
  model: hub:org/name@0a1b
  dtype: float16
promises:
  performance:
    single_stream:
      output_tokens: 16
      limits: {decode_tokens_per_s: {relative_to: {cell: base, at_least: 1.1}}}
include:
  - {name: base, promises: {performance: {single_stream: {output_tokens: 16}}}}
"""


def test_partners_are_cells_of_the_matrix(tmp_path: Path) -> None:
    """A promise names a variant, and means the cell beside it."""
    (tmp_path / "m.yaml").write_text(RELATED)
    partners = partners_among(load_matrix(tmp_path / "m.yaml").entries)
    plain, base = sorted(partners, key=len)

    assert partners == {plain: (base,), base: ()}
    assert base == f"{plain}__base"


@given(st.lists(st.sampled_from(IDS), unique=True), PARTNERS)
def test_groups_hold_every_cell_once_and_partners_together(
    cells: list[str], partners: dict[str, list[str]]
) -> None:
    """Nobody is lost, doubled, or torn from whom it is held against."""
    groups = groups_of(cells, partners)
    group_of = {cell: number for number, group in enumerate(groups) for cell in group}

    assert sorted(cell for group in groups for cell in group) == sorted(cells)
    assert all(
        group_of[cell] == group_of[other]
        for cell, others in partners.items()
        for other in others
        if cell in group_of and other in group_of
    )


@given(st.lists(st.sampled_from(IDS), unique=True), PARTNERS)
def test_groups_are_no_larger_than_they_have_to_be(
    cells: list[str], partners: dict[str, list[str]]
) -> None:
    """Taking any link apart is never possible without parting two that are linked."""
    links = {(cell, other) for cell, others in partners.items() for other in others}
    for group in groups_of(cells, partners):
        reached, more = {group[0]}, {group[0]}
        while more:
            more = {b for a in more for b in group if (a, b) in links or (b, a) in links} - reached
            reached |= more

        assert reached == set(group)


def test_order_is_the_matrix_s() -> None:
    """Groups by their first cell, cells as they stand."""
    assert groups_of("abcd", {"d": "b"}) == [("a",), ("b", "d"), ("c",)]


BETTER = "limits: {output_tokens_per_s: {relative_to: {cell: b, at_least: 1.1}}}"
WORSE = "limits: {output_tokens_per_s: {relative_to: {cell: a, at_least: 0.5}}}"
ACCEPTED = "limits: {acceptance_rate: {relative_to: {cell: b, at_least: 1.1}}}"
KNEE = "limits: {knee_concurrency: {relative_to: {cell: b, at_least: 1}}}"
DRAFTS = "engine: {speculative-config: {method: ngram, num_speculative_tokens: 3}}, "


def undecidable(folder: Path, a: str, b: str, settings: str = "") -> list[str]:
    """Return what is told of a matrix with two variants and their promises."""
    (folder / "m.yaml").write_text(
        "axes: {hardware: gfx906-mi60, image: hwval/fake-vllm:0.32.0, model: hub:org/name@0a1b, "
        f"dtype: float16}}\nvariants:\n  - {{name: a, {settings}promises: {{{a}}}}}\n"
        f"  - {{name: b, promises: {{{b}}}}}\n"
    )
    found = undecidable_relations(load_matrix(folder / "m.yaml").entries)
    return [f"{entry.cell.variant}: {why}" for entry, why in found]


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (f"offline: {{{BETTER}}}", "offline: {}", ""),
        (f"offline: {{{BETTER}}}", "offline: {max_rounds: 8, round_deadline: 9 min}", ""),
        (f"offline: {{{BETTER}}}", "single_stream: {}", "__b, which is not asked offline; write"),
        (f"offline: {{input_tokens: 64, {BETTER}}}", "offline: {input_tokens: 32}",
         "__b, which has input_tokens 32, this cell 64; write the same"),
        (f"serving: {{rates_per_s: [1, 2], {BETTER}}}", "serving: {rates_per_s: [1]}",
         "__b, which is measured at 1, not at 2; write that there too"),
        (f"serving: {{rates_per_s: [1], {BETTER}}}", "serving: {rates_per_s: [1, 2]}", ""),
        (f"concurrency_sweep: {{concurrencies: [1, 2], {KNEE}}}",
         "concurrency_sweep: {concurrencies: [1, 4]}",
         "__b, which has concurrencies [1, 4], this cell [1, 2]; write the same"),
        (f"bench_serve: {{{ACCEPTED}}}", "bench_serve: {}",
         "__b, which never measures it: nothing is drafted without engine.speculative-config"),
        ("speculative: {without: b}", "single_stream: {}", "answers are held against gfx906"),
        ("speculative: {without: b}", "speculative: {prompts: 4}", "has prompts 4, this cell 8"),
        ("speculative: {without: b}", "speculative: {requests: 1}", ""),
        (f"offline: {{{BETTER}}}", f"offline: {{{WORSE}}}",
         "__a: none can be measured first; take one relation away"),
        (f"offline: {{{BETTER}}}, serving: {{rates_per_s: [1]}}",
         f"offline: {{}}, serving: {{rates_per_s: [1], {WORSE}}}", "none can be measured first"),
        ("offline: {limits: {output_tokens_per_s: {relative_to: {cell: c, at_least: 1.1}}}}",
         "offline: {}",
         ".offline: output_tokens_per_s is held against c: no cell of these matrices is 'c'"),
    ],
)  # fmt: skip
def test_relation_that_the_matrix_alone_shows_to_be_undecidable(
    tmp_path: Path, a: str, b: str, told: str
) -> None:
    """Told before hours are spent, with both cells; what can be compared is left alone."""
    a, b = (text.replace("rates_per_s", "requests: 20, rates_per_s") for text in (a, b))
    a, b = (f"performance: {{{text}}}" for text in (a, b))
    found = undecidable(tmp_path, a, b, settings=DRAFTS)

    assert len(found) == bool(told)
    assert all(told in one and one.startswith("a: ") for one in found)


def test_pair_of_a_task_that_the_other_cell_is_not_asked(tmp_path: Path) -> None:
    """Its answers are never there to be compared with."""
    task = "accuracy: {gsm8k: {limit: 20, margin: 0.05, paired_with: b}}"

    (found,) = undecidable(tmp_path, task, "accuracy: {other: {task: gsm8k, limit: 20}}")

    assert "a: promises.accuracy.gsm8k: it is paired with gfx906" in found
    assert found.endswith("__b, which is not asked it; promise it there too")
    assert undecidable(tmp_path, task, "accuracy: {gsm8k: {limit: 20}}") == []


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ("limit: 5", "", "limit or subset not set, this cell the first 5"),
        ("", "limit: 5", "limit or subset the first 5, this cell not set"),
        ("subset: [1, 3]", "subset: [1, 2]", "limit or subset [1, 2], this cell [1, 3]"),
        ("subset: [1, 0]", "limit: 2", ""),
        ("shots: 1", "shots: 2", "shots 2, this cell 1"),
        ("api: chat", "", "api completions, this cell chat"),
        ("task: gsm8k", "task: gsm8k_cot", "task gsm8k_cot, this cell gsm8k"),
        ("task: gsm8k", "", ""),
        ("metric: 'a,b'", "", ""),
        ("metric: 'a,b'", "metric: 'a,c'", "metric a,c, this cell a,b"),
        ("dataset: /a", "dataset: /b", "dataset /b, this cell /a"),
        (f"dataset: /a, samples_sha256: {'a' * 64}",
         f"revision: {'b' * 40}, samples_sha256: {'a' * 64}", ""),
        (f"samples_sha256: {'a' * 64}", "", ""),
        ("max_tokens: 32, concurrency: 2, max_unparsed: 1 %", "max_tokens: 64", ""),
    ],
)  # fmt: skip
def test_pair_that_is_not_asked_alike(tmp_path: Path, a: str, b: str, told: str) -> None:
    """Its answers would be no pair; another longest answer may change nothing."""
    own = f"accuracy: {{gsm8k: {{margin: 0.05, paired_with: b, {a}}}}}".replace(", }", "}")
    found = undecidable(tmp_path, own, f"accuracy: {{gsm8k: {{{b}}}}}")

    assert len(found) == bool(told)
    assert all(f"__b, which has {told}; write the same" in one for one in found)


def test_pair_that_is_not_there_is_told_with_its_promise(tmp_path: Path) -> None:
    """A cell may promise a hundred things, and its line alone names none."""
    task = "accuracy: {gsm8k: {limit: 20, margin: 0.05, paired_with: c}}"

    (found,) = undecidable(tmp_path, task, "accuracy: {gsm8k: {limit: 20}}")

    told = "a: promises.accuracy.gsm8k: paired_with c: no cell of these matrices is 'c'"
    assert found.startswith(told)
