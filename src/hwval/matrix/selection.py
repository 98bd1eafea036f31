"""Which cells of a matrix a run is about, and the same cells on another image.

A name that selects nothing is an error: a run must never shrink in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import translate
from typing import Final

from hwval.catalogue import Catalogue
from hwval.catalogue.facts import EngineKind
from hwval.errors import SelectionError
from hwval.errors import UsageError
from hwval.matrix.entry import MatrixEntry
from hwval.spelling import near_names

__all__ = ["reimage", "select_cells", "to_docker", "to_venv"]

_GLOB: Final = re.compile(r"[*?\[]")


def select_cells(entries: Sequence[MatrixEntry], names: Sequence[str]) -> tuple[MatrixEntry, ...]:
    """Return the entries that ``names`` select, in their own order.

    Args:
        entries: What can be selected.
        names: Cell ids or globs over them (``*__float16``); none selects all.

    Raises:
        SelectionError: A name that selects nothing, with near matches.
    """
    if not names:
        return tuple(entries)
    ids = [entry.cell.id for entry in entries]
    known = set(ids)
    selected: set[str] = set()
    for name in names:
        if _GLOB.search(name):
            pattern = re.compile(translate(name))
            matches = {cell_id for cell_id in ids if pattern.match(cell_id)}
        else:
            matches = {name} & known
        if not matches:
            raise SelectionError(f"no cell is named {name!r}; {_meant(name, ids)}")
        selected |= matches
    return tuple(entry for entry, cell_id in zip(entries, ids, strict=True) if cell_id in selected)


def _meant(name: str, ids: Sequence[str]) -> str:
    """Return what was meant by a name that is no id: matrices know variants by shorter names."""
    if any(cell_id.endswith(f"__{name}") for cell_id in ids):
        return f"an id ends so: did you mean '*__{name}'?"
    return near_names(name, ids)


def reimage(
    entries: Sequence[MatrixEntry], image: str, catalogue: Catalogue | None = None
) -> tuple[MatrixEntry, ...]:
    """Return the same cells with another image; those that become equal are one.

    Args:
        entries: The cells.
        image: Image reference for all of them.
        catalogue: Where the image is looked up; each entry's own if None.

    Raises:
        SelectionError: The image is not in the catalogue, or two different cells would get the
            same id.
    """
    return _with_images(entries, lambda _: image, catalogue)


def to_docker(
    entries: Sequence[MatrixEntry], catalogue: Catalogue | None = None
) -> tuple[MatrixEntry, ...]:
    """Return the cells with container images in place of virtual environments.

    Args:
        entries: The cells; containers and servers outside stay as they are.
        catalogue: Where equivalents are looked up; each entry's own if None.

    Raises:
        SelectionError: An environment without an equivalent.
    """

    def image_of(entry: MatrixEntry) -> str:
        image = entry.cell.image
        facts = (catalogue or entry.catalogue).image(image)
        if facts.engine is not EngineKind.VENV:
            return image
        if facts.docker_equivalent is None or facts.vllm is None:
            raise SelectionError(
                f"run {entry.cell.id} in a container: no image is known that holds the same as "
                f"{image}, expected one in the catalogue. Name an image."
            )
        return facts.docker_equivalent.format(version=facts.vllm)

    return _with_images(entries, image_of, catalogue)


def to_venv(
    entries: Sequence[MatrixEntry], catalogue: Catalogue | None = None
) -> tuple[MatrixEntry, ...]:
    """Return the cells with virtual environments in place of containers that hold the same.

    Args:
        entries: The cells; containers without an equivalent stay as they are.
        catalogue: Where equivalents are looked up; each entry's own if None.
    """

    def image_of(entry: MatrixEntry) -> str:
        known = catalogue or entry.catalogue
        facts = known.image(entry.cell.image)
        if facts.venv_equivalent is None or facts.vllm is None:
            return entry.cell.image
        environment = facts.venv_equivalent.format(version=facts.vllm)
        package, _, version = environment.partition("==")
        equivalent = known.images_by_repository.get(package)
        exists = equivalent is not None and version in equivalent.versions
        return environment if exists else entry.cell.image

    return _with_images(entries, image_of, catalogue)


def _with_images(
    entries: Sequence[MatrixEntry],
    image_of: Callable[[MatrixEntry], str],
    catalogue: Catalogue | None,
) -> tuple[MatrixEntry, ...]:
    changed: dict[str, MatrixEntry] = {}
    for entry in entries:
        image = image_of(entry)
        try:
            (catalogue or entry.catalogue).image(image)
        except UsageError as error:
            raise SelectionError(str(error)) from error
        new = replace(entry, cell=replace(entry.cell, image=image))
        same = changed.setdefault(new.cell.id, new)
        if same.cell != new.cell:
            raise SelectionError(
                f"with image {image} the cells of {same.source} and {new.source} are both called "
                f"{new.cell.id}, expected different names. Give one of them a 'name'."
            )
    return tuple(changed.values())
