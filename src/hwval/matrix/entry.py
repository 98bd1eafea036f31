"""What a matrix says of one cell: the cell, what is promised of it and when to give up."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from typing import NamedTuple

from hwval.catalogue import Catalogue
from hwval.cell import Cell
from hwval.matrix.schema import PromisesSection

__all__ = ["Deadlines", "ExcludedCell", "MatrixEntry"]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """When to give up: a missed promise is a verdict, a deadline ends the wait.

    Attributes:
        pull_s: Until the image is on this host; 70 GB of layers at 20 MB/s.
        load_s: Until the engine is healthy; 70B weights from a cold disk, then compilation.
        answer_s: Until a request is answered in full.
    """

    pull_s: float = 3600.0
    load_s: float = 1800.0
    answer_s: float = 300.0


@dataclass(frozen=True, slots=True)
class MatrixEntry:
    """One cell and everything that its matrix says of it.

    Attributes:
        cell: What is validated.
        promises: What is promised of it.
        deadlines: When to give up.
        markers: pytest markers, ``[a-z0-9_]``: vendor, architecture, dtype, quantization.
        source: ``file:line`` that the cell comes from.
        pass_environment: Names of the host's variables that the engine gets.
        catalogue: The shipped catalogue with the matrix's own entries.
    """

    cell: Cell
    promises: PromisesSection
    deadlines: Deadlines
    markers: tuple[str, ...]
    source: str
    pass_environment: tuple[str, ...] = ()
    catalogue: Catalogue = field(
        default_factory=lambda: Catalogue({}, {}, {}), compare=False, repr=False
    )


class ExcludedCell(NamedTuple):
    """A combination of the axes that the matrix leaves out, and why."""

    cell: Cell
    reason: str
    source: str
    """``file:line`` of the rule."""
