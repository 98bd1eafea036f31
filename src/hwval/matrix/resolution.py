"""How an engine is started and judged, once a variant's settings stand over the matrix's own.

Mappings are merged key by key; everything else that the variant sets replaces what stood there.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hwval.cell import ArgValue
from hwval.cell import Weights
from hwval.errors import UsageError
from hwval.matrix.entry import Deadlines
from hwval.matrix.schema import ContainerSection
from hwval.matrix.schema import DeadlinesSection
from hwval.matrix.schema import PromisesSection
from hwval.matrix.schema import Setup
from hwval.units import format_duration_s
from hwval.yamlfile import Place
from hwval.yamlfile import YamlFile
from hwval.yamlmodel import validate_merged

__all__ = ["EngineSetup", "resolve"]

_T = TypeVar("_T")
_Named = tuple[str, Callable[[Path], object]]


@dataclass(frozen=True, slots=True)
class EngineSetup:
    """Settings of a variant or an included cell, complete.

    Attributes:
        engine_args: Flags without dashes, sorted by name.
        environment: Variables, sorted by name.
        pass_environment: Names of the host's variables.
        promises: What is promised.
        deadlines: When to give up.
        weights: Real or dummy.
        partition_mode: Mode of the devices, empty for any.
        privileges: Names of container privileges, sorted.
        memory_bytes: Limit of the container's memory, None for none.
        shm_bytes: Size of its ``/dev/shm``, None for the default.
    """

    engine_args: tuple[tuple[str, ArgValue], ...]
    environment: tuple[tuple[str, str], ...]
    pass_environment: tuple[str, ...]
    promises: PromisesSection
    deadlines: Deadlines
    weights: Weights
    partition_mode: str
    privileges: tuple[str, ...]
    memory_bytes: int | None
    shm_bytes: int | None

    @property
    def quantization(self) -> str | None:
        """Value of ``--quantization``, None if it is not set."""
        value = dict(self.engine_args).get("quantization")
        return None if value is None else str(value)


def resolve(file: YamlFile, place: Place, base: Setup, own: Setup | None = None) -> EngineSetup:
    """Return the settings of ``own`` over those of ``base``.

    Args:
        file: Where both were read from.
        place: Where ``own`` stands, for the position of an error.
        base: Settings of the matrix.
        own: Settings of a variant or an included cell; None for the matrix alone.

    Raises:
        MatrixError: The deadline of the load is shorter than what is promised of it, they
            contradict the promises of the matrix, or name a file that is not there, or is of
            another kind.
    """
    layers = (base, own or Setup())
    promises = _promises(file, place, base, own)
    _refuse_other_files(file, place, promises)
    containers = [layer.container or ContainerSection() for layer in layers]
    return EngineSetup(
        engine_args=tuple(sorted(_merged(layer.engine for layer in layers).items())),
        environment=tuple(sorted(_merged(layer.environment for layer in layers).items())),
        pass_environment=_last((layer.pass_environment for layer in layers), ()),
        promises=promises,
        deadlines=_deadlines(file, place, layers, promises.load.ready_within),
        weights=_last((layer.weights for layer in layers), Weights.REAL),
        partition_mode=_last((layer.partition_mode for layer in layers), ""),
        privileges=tuple(sorted(_last((layer.privileges for layer in layers), ()))),
        memory_bytes=_last((container.memory for container in containers), None),
        shm_bytes=_last((container.shm for container in containers), None),
    )


def _merged(mappings: Iterator[dict[str, _T] | None]) -> dict[str, _T]:
    return {name: value for mapping in mappings for name, value in (mapping or {}).items()}


def _last(values: Iterator[_T | None], default: _T) -> _T:
    return next((value for value in reversed(list(values)) if value is not None), default)


def _promises(file: YamlFile, place: Place, base: Setup, own: Setup | None) -> PromisesSection:
    """Return the promises of ``own`` over those of ``base``, judged together."""
    if own is None or own.promises is None:
        return base.promises or PromisesSection()
    return validate_merged(file, PromisesSection, [("promises",), (*place, "promises")])


def _refuse_other_files(file: YamlFile, place: Place, promises: PromisesSection) -> None:
    """Refuse what cannot be held against, missing or of another kind, before anything starts."""
    for suite in type(promises).model_fields:
        files: Mapping[Place, _Named] = getattr(getattr(promises, suite), "files", {})
        for inside, (name, read) in files.items():
            own, base = (*place, "promises", suite, *inside), ("promises", suite, *inside)
            where = base if file.at(own) is None else own
            path = Path(file.name).parent / name
            if not path.is_file():
                raise file.error(f"no such file {str(path)!r}", where)
            try:
                read(path)
            except UsageError as error:
                raise file.error(str(error), where) from None


def _deadlines(
    file: YamlFile, place: Place, layers: tuple[Setup, ...], ready_within_s: float | None
) -> Deadlines:
    sections = [layer.deadlines or DeadlinesSection() for layer in layers]
    default = Deadlines()
    load_s = _last((section.load for section in sections), 0.0)
    promised_s = ready_within_s or 0.0
    if 0 < load_s < promised_s:
        raise file.error(
            f"the load is given up after {format_duration_s(load_s)}, before the "
            f"{format_duration_s(promised_s)} that 'ready_within' promises; give it longer",
            (*place, "deadlines", "load"),
        )
    return Deadlines(
        pull_s=_last((section.pull for section in sections), default.pull_s),
        load_s=load_s or max(default.load_s, promised_s),
        answer_s=_last((section.answer for section in sections), default.answer_s),
    )
