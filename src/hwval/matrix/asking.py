"""Which questions a cell is asked: what it promises nothing of costs no time and makes no noise."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hwval.catalogue import Capability
from hwval.catalogue import Catalogue
from hwval.catalogue import EngineKind
from hwval.catalogue import ModelFacts
from hwval.cell import Cell
from hwval.errors import UsageError
from hwval.matrix.entry import MatrixEntry

__all__ = [
    "is_asked",
    "known_model",
    "offered_capabilities",
    "promises_naming",
    "started_cell",
    "wanted_partners",
]

# What is asked of a model of which nothing is known.
_TEXT: Final = frozenset({Capability.COMPLETIONS, Capability.CHAT})


def is_asked(entry: MatrixEntry, question: str) -> bool:
    """Return whether a cell is asked ``question`` (``suite/name``).

    A suite's section of the promises may have a method ``asks(name, promised)``, which is told the
    capabilities that image and model promise, as the matrix adds and removes some. Without it a
    question is asked, unless the section has a field of its name that the matrix leaves out.
    """
    suite, _, name = question.partition("/")
    section = getattr(entry.promises, suite, None)
    if section is None:
        return True
    decide = getattr(section, "asks", None)
    if decide is not None:
        cell = entry.cell
        offered = offered_capabilities(entry.catalogue, cell.image, cell.model)
        return bool(decide(name, entry.promises.capabilities.promised(offered)))
    return name not in type(section).model_fields or getattr(section, name) is not None


def wanted_partners(entry: MatrixEntry) -> tuple[str, ...]:
    """Return the cells that a cell is held against, as its promises name them, sorted."""
    sections = (getattr(entry.promises, name) for name in type(entry.promises).model_fields)
    return tuple(sorted({one for section in sections for one in getattr(section, "partners", ())}))


def promises_naming(entry: MatrixEntry, partner: str) -> str:
    """Return which promises hold a cell against another one, as the matrix names that one."""
    found = [
        f"promises.performance.{one.question}: {one.metric} is held against {partner}"
        for one in entry.promises.performance.relations
        if one.cell == partner
    ]
    found += [
        f"promises.accuracy.{label}: paired_with {partner}"
        for label, task in entry.promises.accuracy.tasks.items()
        if task.paired_with == partner
    ]
    return "; ".join(dict.fromkeys(found))


def started_cell(entry: MatrixEntry) -> Cell | None:
    """Return the cell, whose engine is started as it says; None where somebody else started it."""
    image = entry.catalogue.image(entry.cell.image)
    return None if image.engine is EngineKind.EXTERNAL else entry.cell


def known_model(catalogue: Catalogue, model: str) -> ModelFacts:
    """Return the facts of a model; a server that already runs may call its own as it likes."""
    try:
        return catalogue.model(model)
    except UsageError:
        return ModelFacts(source="outside the catalogue")


@lru_cache(maxsize=2**12)
def offered_capabilities(catalogue: Catalogue, image: str, model: str) -> frozenset[Capability]:
    """Return what both image and model promise.

    Of a model of which nothing is known completions and chat; where the image's server does not
    know them, whatever it is made for: Infinity starts no model that does not embed.
    """
    served = frozenset(catalogue.image(image).capabilities)
    known = known_model(catalogue, model).capabilities
    return (_TEXT & served or served) if known is None else frozenset(known) & served
