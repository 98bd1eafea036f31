"""From a validated matrix to its cells: names looked up first, then every combination.

Nothing is expanded before everything is checked, since one wrong line multiplies.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final
from typing import NamedTuple

from hwval.catalogue import Catalogue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.errors import MatrixError
from hwval.matrix.axes import AXES
from hwval.matrix.axes import Axes
from hwval.matrix.axes import Combination
from hwval.matrix.axes import HardwareValue
from hwval.matrix.axes import NameLookup
from hwval.matrix.axes import Variant
from hwval.matrix.entry import ExcludedCell
from hwval.matrix.entry import MatrixEntry
from hwval.matrix.resolution import resolve
from hwval.matrix.schema import ExcludeRule
from hwval.matrix.schema import MatrixFile
from hwval.yamlfile import YamlFile

__all__ = ["Expansion", "expand", "known_markers", "refuse_same_ids"]

# Values of --quantization that people select by; a matrix may name others.
_USUAL_QUANTIZATIONS: Final = frozenset(
    {"awq", "bitsandbytes", "compressed_tensors", "fp8", "gptq", "mxfp4", "quark"}
)
_NOT_IN_MARKER: Final = re.compile(r"[^a-z0-9]+")


class Expansion(NamedTuple):
    """What a matrix comes to."""

    entries: tuple[MatrixEntry, ...]
    excluded: tuple[ExcludedCell, ...]


def expand(file: YamlFile, matrix: MatrixFile, catalogue: Catalogue) -> Expansion:
    """Return the cells of ``matrix`` in the order they were written, included ones last.

    Args:
        file: Where the matrix was read from, for positions.
        matrix: The validated content.
        catalogue: Where names are looked up.

    Raises:
        MatrixError: A name that the catalogue does not hold, an incomplete included cell, a rule
            that excludes nothing, two cells with the same id, or no cell at all.
    """
    names = NameLookup(file, catalogue)
    axes = names.axes(matrix)
    variants = _variants(file, matrix)
    included = [names.included(matrix, axes, index) for index in range(len(matrix.include))]
    kept, excluded = _apply_rules(file, matrix, axes, variants)
    entries = tuple(_entry(chosen, catalogue) for chosen in (*kept, *included))
    if not entries:
        problem = "every cell is excluded" if excluded else "no cells; give 'axes' or 'include'"
        raise file.error(problem, ("exclude",) if excluded else ())
    refuse_same_ids(entries, "give one of them a 'name' of its own")
    return Expansion(
        entries, tuple(ExcludedCell(_cell(chosen), why, line) for chosen, why, line in excluded)
    )


def _variants(file: YamlFile, matrix: MatrixFile) -> list[Variant]:
    if not matrix.variants:
        source = f"{file.name}:{file.line(('axes',))}"
        return [Variant("", resolve(file, (), matrix), source)]
    variants: dict[str, Variant] = {}
    for index, own in enumerate(matrix.variants):
        place = ("variants", index)
        source = f"{file.name}:{file.line(place)}"
        if own.name in variants:
            first = variants[own.name].source
            called = f"name {own.name!r} stands" if own.name else "a variant without a name stands"
            raise file.error(f"{called} twice, first in {first}", place)
        variants[own.name] = Variant(own.name, resolve(file, place, matrix, own), source)
    return list(variants.values())


def _apply_rules(
    file: YamlFile, matrix: MatrixFile, axes: Axes, variants: list[Variant]
) -> tuple[list[Combination], list[tuple[Combination, str, str]]]:
    """Part the combinations into kept and excluded ones, these with reason and position."""
    values = (axes.hardware, axes.image, axes.model, axes.dtype, variants)
    tables = [_table(file, index, rule, values) for index, rule in enumerate(matrix.exclude)]
    lines = [f"{file.name}:{file.line(('exclude', index))}" for index in range(len(tables))]
    used = [False] * len(tables)
    kept: list[Combination] = []
    excluded: list[tuple[Combination, str, str]] = []
    positions = itertools.product(*(range(len(axis)) for axis in values))
    choices = itertools.product(axes.hardware, axes.image, axes.model, axes.dtype, variants)
    for position, choice in zip(positions, choices, strict=True):
        hits = [hit for hit, table in enumerate(tables) if _hits(table, position)]
        for hit in hits:
            used[hit] = True
        if hits:
            reason = matrix.exclude[hits[0]].because
            excluded.append((Combination(*choice), reason, lines[hits[0]]))
        else:
            kept.append(Combination(*choice))
    if not all(used):
        place = ("exclude", used.index(False))
        raise file.error("this rule excludes nothing; correct or remove it", place)
    return kept, excluded


def _hits(table: list[list[bool]], position: tuple[int, ...]) -> bool:
    return all(matches[index] for matches, index in zip(table, position, strict=True))


def _table(
    file: YamlFile, index: int, rule: ExcludeRule, values: Sequence[Sequence[object]]
) -> list[list[bool]]:
    """Return for each axis and each of its values whether ``rule`` matches."""
    patterns = (rule.hardware, rule.image, rule.model, rule.dtype, rule.variant)
    if all(axis is None for axis in patterns):
        names = ", ".join((*AXES, "variant"))
        raise file.error(f"needs at least one of {names}", ("exclude", index))
    return [
        [wanted is None or _matches(wanted, value) for value in axis]
        for wanted, axis in zip(patterns, values, strict=True)
    ]


def _matches(patterns: Sequence[str], value: object) -> bool:
    names = {value.name if isinstance(value, (HardwareValue, Variant)) else str(value)}
    if isinstance(value, HardwareValue):
        names.add(str(value))
    tidy = [" ".join(pattern.split()) for pattern in patterns]
    return any(fnmatchcase(name, pattern) for name in names for pattern in tidy)


def _entry(chosen: Combination, catalogue: Catalogue) -> MatrixEntry:
    setup = chosen.variant.setup
    return MatrixEntry(
        cell=_cell(chosen),
        promises=setup.promises,
        deadlines=setup.deadlines,
        markers=tuple(dict.fromkeys(_markers(chosen))),
        source=chosen.variant.source,
        pass_environment=setup.pass_environment,
        catalogue=catalogue,
    )


def _cell(chosen: Combination) -> Cell:
    setup = chosen.variant.setup
    return Cell(
        hardware=chosen.hardware.name,
        device_count=chosen.hardware.device_count,
        image=chosen.image,
        model=chosen.model.name,
        dtype=chosen.dtype,
        variant=chosen.variant.name,
        engine_args=setup.engine_args,
        environment=setup.environment,
        weights=setup.weights,
        partition_mode=setup.partition_mode,
        privileges=setup.privileges,
        memory_bytes=setup.memory_bytes,
        shm_bytes=setup.shm_bytes,
    )


def known_markers(catalogue: Catalogue) -> frozenset[str]:
    """Return every marker that a cell over this catalogue may have."""
    hardware = catalogue.hardware_by_name.values()
    quantizations = {facts.quantization for facts in catalogue.models_by_name.values()} - {None}
    return frozenset(
        {facts.vendor.value for facts in hardware}
        | {_marker(facts.architecture) for facts in hardware}
        | {dtype.value for dtype in Dtype}
        | {_marker(str(name)) for name in quantizations}
        | _USUAL_QUANTIZATIONS
    )


def _markers(chosen: Combination) -> Iterator[str]:
    yield chosen.hardware.facts.vendor.value
    yield _marker(chosen.hardware.facts.architecture)
    yield chosen.dtype.value
    if chosen.dtype is Dtype.AUTO and chosen.model.facts.dtype is not None:
        yield chosen.model.facts.dtype.value
    quantization = chosen.variant.setup.quantization or chosen.model.facts.quantization
    if quantization:
        yield _marker(quantization)


def _marker(text: str) -> str:
    return _NOT_IN_MARKER.sub("_", text.lower()).strip("_")


def refuse_same_ids(entries: Iterable[MatrixEntry], advice: str) -> None:
    """Refuse two cells of one id.

    Args:
        entries: The cells.
        advice: What to do, or why not.

    Raises:
        MatrixError: At the second of them; it names the first.
    """
    sources: dict[str, str] = {}
    for entry in entries:
        cell_id = entry.cell.id
        if cell_id in sources:
            file, _, line = entry.source.rpartition(":")
            first = sources[cell_id]
            raise MatrixError(
                f"duplicate cell {cell_id}, first in {first}; {advice}", file=file, line=int(line)
            )
        sources[cell_id] = entry.source
