"""What a matrix file may say, as pydantic models; also its JSON Schema, for editors.

``python -m hwval.matrix > matrices/matrix.schema.json`` renews the schema that is shipped.
What needs the catalogue or other cells is checked by ``hwval.matrix``.
"""

from __future__ import annotations

from typing import Annotated
from typing import Any
from typing import Final

from pydantic import AfterValidator

from hwval.accuracy.promise import AccuracySection
from hwval.capability.promise import CapabilitiesSection
from hwval.catalogue.facts import Bytes
from hwval.catalogue.facts import CatalogueSection
from hwval.cell import Dtype
from hwval.cell import Weights
from hwval.matrix.values import Dtypes
from hwval.matrix.values import Engine
from hwval.matrix.values import Environment
from hwval.matrix.values import Names
from hwval.matrix.values import NonEmpty
from hwval.matrix.values import Privilege
from hwval.matrix.values import VariableName
from hwval.matrix.values import VariantName
from hwval.performance.promise import PerformanceSection
from hwval.quality.promise import GenerateSection
from hwval.units import format_duration_s
from hwval.yamlmodel import Duration
from hwval.yamlmodel import YamlModel

__all__ = [
    "AxesSection",
    "ContainerSection",
    "DeadlinesSection",
    "ExcludeRule",
    "IncludedCell",
    "MatrixFile",
    "Setup",
    "VariantSection",
    "matrix_json_schema",
]


# No process that imports torch is ready before.
_LEAST_START_S: Final = 1.0


def _check_start(start_s: float) -> float:
    if start_s < _LEAST_START_S:
        found, least = format_duration_s(start_s), format_duration_s(_LEAST_START_S)
        raise ValueError(f"found {found}, expected {least} or more: no engine starts as fast")
    return start_s


class LoadSection(YamlModel):
    """What is promised of the start."""

    ready_within: Annotated[Duration, AfterValidator(_check_start)] | None = None
    """From the start of the engine until it is healthy, without the pull of the image."""


class PromisesSection(YamlModel):
    """What is promised, suite by suite; what is not promised is not judged."""

    load: LoadSection = LoadSection()
    generate: GenerateSection = GenerateSection()
    accuracy: AccuracySection = AccuracySection()
    performance: PerformanceSection = PerformanceSection()
    capabilities: CapabilitiesSection = CapabilitiesSection()


class DeadlinesSection(YamlModel):
    """When to give up; a promise is missed, a deadline ends the wait."""

    pull: Duration | None = None
    """Until the image is on this host; 60 min if not set."""
    load: Duration | None = None
    """Until the engine is healthy; 30 min if not set, or what ``ready_within`` promises if more."""
    answer: Duration | None = None
    """Until a request is answered; 5 min if not set."""


class ContainerSection(YamlModel):
    """Limits of the engine's container; other engines have none."""

    memory: Bytes | None = None
    """Memory it may take before the kernel ends it; no limit if not set."""
    shm: Bytes | None = None
    """Size of its ``/dev/shm``, which tensor parallelism fills; 16 GiB if not set."""


class Setup(YamlModel):
    """How the engine is started; a variant's or an included cell's stands over the matrix's own."""

    engine: Engine | None = None
    """Flags of ``vllm serve`` without the leading dashes: ``max-model-len: 4096``."""
    environment: Environment | None = None
    """Environment variables of the engine; no secrets."""
    pass_environment: tuple[VariableName, ...] | None = None
    """Names of variables of the host that are passed on, for tokens."""
    promises: PromisesSection | None = None
    deadlines: DeadlinesSection | None = None
    weights: Weights | None = None
    """``dummy`` screens a model's shape without its weights."""
    partition_mode: NonEmpty | None = None
    """Mode that the devices must be in, as ``cpx/nps4``."""
    container: ContainerSection | None = None
    privileges: tuple[Privilege, ...] | None = None
    """Container privileges beyond what the vendor's devices need."""


class AxesSection(YamlModel):
    """The four axes; every combination is a cell."""

    hardware: Names
    """Catalogue names, with a count for several devices: ``gfx906-mi60 x2``."""
    image: Names
    """Container images with tag, ``venv:PACKAGE==VERSION`` or ``external:NAME``."""
    model: Names
    """Catalogue names, ``hub:ORG/NAME[@REVISION]``, ``synthetic:NAME`` or absolute paths."""
    dtype: Dtypes


class VariantSection(Setup):
    """One value of the fifth axis."""

    name: VariantName = ""
    """Last part of the cell's id; may be left out once."""


class IncludedCell(Setup):
    """One more cell; an axis that has a single value may be left out."""

    hardware: str | None = None
    image: str | None = None
    model: str | None = None
    dtype: Dtype | None = None
    name: VariantName = ""
    """Last part of the cell's id."""


class ExcludeRule(YamlModel):
    """Combinations that are left out; each given axis must match, ``*`` stands for anything."""

    hardware: Names | None = None
    """Without a count it matches any count."""
    image: Names | None = None
    model: Names | None = None
    dtype: Dtypes | None = None
    variant: Names | None = None
    because: NonEmpty
    """Why, in words; reports show it."""


class MatrixFile(Setup):
    """A matrix: what is to be validated, and what is promised of it."""

    axes: AxesSection | None = None
    variants: tuple[VariantSection, ...] | None = None
    """Fifth axis: every combination once with each of these."""
    include: tuple[IncludedCell, ...] = ()
    """Cells beside those of the axes; ``exclude`` does not touch them."""
    exclude: tuple[ExcludeRule, ...] = ()
    catalogue: CatalogueSection | None = None
    """Hardware, images and models that the shipped catalogue does not hold."""
    ledger: NonEmpty | None = None
    """Ledger file, relative to this one; ``ledger.yaml`` beside it if not set."""


def matrix_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a matrix file."""
    schema = MatrixFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
