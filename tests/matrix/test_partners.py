"""Which cells are held against each other."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hwval.matrix import groups_of
from hwval.matrix import load_matrix
from hwval.matrix import partners_among

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
