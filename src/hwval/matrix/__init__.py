"""The matrix: a YAML file that people edit, as the cells that it stands for.

``load_matrix`` is the way in; what a file may say is in ``hwval.matrix.schema``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Final

from hwval.catalogue import Catalogue
from hwval.catalogue import load_catalogue
from hwval.errors import UsageError
from hwval.matrix.asking import is_asked
from hwval.matrix.asking import known_model
from hwval.matrix.asking import offered_capabilities
from hwval.matrix.asking import started_cell
from hwval.matrix.asking import wanted_partners
from hwval.matrix.context import overlong_requests
from hwval.matrix.entry import Deadlines
from hwval.matrix.entry import ExcludedCell
from hwval.matrix.entry import MatrixEntry
from hwval.matrix.expansion import expand
from hwval.matrix.expansion import known_markers
from hwval.matrix.expansion import refuse_same_ids
from hwval.matrix.partners import groups_of
from hwval.matrix.partners import partners_among
from hwval.matrix.partners import undecidable_relations
from hwval.matrix.schema import MatrixFile
from hwval.matrix.schema import PromisesSection
from hwval.matrix.schema import matrix_json_schema
from hwval.matrix.selection import reimage
from hwval.matrix.selection import select_cells
from hwval.matrix.selection import to_docker
from hwval.matrix.selection import to_venv
from hwval.yamlfile import load_yaml
from hwval.yamlmodel import validate

__all__ = [
    "Deadlines",
    "ExcludedCell",
    "Matrix",
    "MatrixEntry",
    "PromisesSection",
    "groups_of",
    "is_asked",
    "known_markers",
    "known_model",
    "load_matrices",
    "load_matrix",
    "matrix_json_schema",
    "offered_capabilities",
    "overlong_requests",
    "partners_among",
    "reimage",
    "select_cells",
    "started_cell",
    "to_docker",
    "to_venv",
    "undecidable_relations",
    "wanted_partners",
]

_LEDGER: Final = "ledger.yaml"


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix file, expanded.

    Attributes:
        file: The file as the user named it.
        sha256: Hash of its bytes, hexadecimal.
        entries: The cells in the order they were written, included ones last.
        excluded: Combinations that the file leaves out, each with its reason.
        ledger_path: The ledger of this matrix, None if there is none.
        catalogue: The shipped catalogue with the file's own entries.
    """

    file: str
    sha256: str
    entries: tuple[MatrixEntry, ...]
    excluded: tuple[ExcludedCell, ...]
    ledger_path: Path | None
    catalogue: Catalogue = field(repr=False)


def load_matrix(path: Path, *, catalogue: Catalogue | None = None) -> Matrix:
    """Read, check and expand a matrix.

    Args:
        path: The YAML file.
        catalogue: Where names are looked up; the shipped one if None.

    Raises:
        MatrixError: Anything is wrong, with file, line and what is allowed.
    """
    file = load_yaml(path)
    schema = validate(file, MatrixFile)
    known = catalogue or load_catalogue()
    if schema.catalogue is not None:
        known = known.extended(schema.catalogue)
    entries, excluded = expand(file, schema, known)
    ledger = path.parent / (schema.ledger or _LEDGER)
    if schema.ledger is not None and not ledger.is_file():
        raise file.error(f"no such file {str(ledger)!r}", ("ledger",))
    return Matrix(
        file=file.name,
        sha256=file.sha256,
        entries=entries,
        excluded=excluded,
        ledger_path=ledger if ledger.is_file() else None,
        catalogue=known,
    )


def load_matrices(
    paths: Sequence[Path], *, catalogue: Catalogue | None = None
) -> tuple[Matrix, ...]:
    """Read several matrices that are run together.

    Args:
        paths: The YAML files, at least one.
        catalogue: Where names are looked up; the shipped one if None.

    Raises:
        MatrixError: A file is wrong, or the same cell stands in two of them.
        UsageError: No file is given.
    """
    if not paths:
        raise UsageError("no matrix is given, expected at least one file")
    matrices = tuple(load_matrix(path, catalogue=catalogue) for path in paths)
    every = (entry for matrix in matrices for entry in matrix.entries)
    refuse_same_ids(every, "a run asks each cell once")
    return matrices
