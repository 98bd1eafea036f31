"""What a catalogue entry may say of a hardware, an image or a model, as pydantic models."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated
from typing import Any
from typing import Final
from typing import Literal
from typing import Self
from typing import TypeVar

from pydantic import AfterValidator
from pydantic import BeforeValidator
from pydantic import Field
from pydantic import StrictBool
from pydantic import StrictFloat
from pydantic import StrictInt
from pydantic import WithJsonSchema
from pydantic import model_validator

from hwval.catalogue.architectures import ArchitecturesSection
from hwval.catalogue.engine_flags import EngineFlagsSection
from hwval.cell import Dtype
from hwval.cell import slug
from hwval.planning.model_shape import ShapeError
from hwval.planning.model_shape import read_shape
from hwval.planning.partition import parse_partition
from hwval.resources import resource_path
from hwval.units import parse_bytes
from hwval.yamlfile import load_yaml
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import problem_at
from hwval.yamlmodel import validate

__all__ = [
    "Bytes",
    "Capability",
    "CatalogueFile",
    "CatalogueSection",
    "EngineKind",
    "Entrypoint",
    "HardwareFacts",
    "ImageFacts",
    "ModelFacts",
    "Server",
    "Vendor",
    "catalogue_json_schema",
    "shipped_section",
]

_Section = TypeVar("_Section", bound=YamlModel)


class Vendor(StrEnum):
    """Whose software stack drives the hardware; also the name of its pytest marker."""

    CPU = "cpu"
    ROCM = "rocm"
    CUDA = "cuda"
    TPU = "tpu"


class EngineKind(StrEnum):
    """What starts the server that an image stands for."""

    DOCKER = "docker"
    VENV = "venv"
    EXTERNAL = "external"


class Entrypoint(StrEnum):
    """What a container image starts by itself."""

    VLLM_SERVE = "vllm serve"
    API_SERVER = "api_server"
    """``python3 -m vllm.entrypoints.openai.api_server``: takes the model by ``--model`` only."""
    SHELL = "shell"
    """A shell or nothing: the command must begin with ``vllm serve``."""
    REPLACED = "replaced"
    """Differs between tags: the run puts ``vllm serve`` in its place."""
    OWN = "own"
    """A server other than vLLM, whose own arguments follow: ``infinity_emb``."""


class Server(StrEnum):
    """What program answers; only vLLM's flags, memory and logs are known well."""

    VLLM = "vllm"
    INFINITY = "infinity"
    LLAMA_CPP = "llama.cpp"
    OLLAMA = "ollama"
    SGLANG = "sglang"
    OTHER = "other"


class Capability(StrEnum):
    """What a server of an image, or a model, can be asked for.

    A cell is asked for what both its image and its model promise.
    """

    COMPLETIONS = "completions"
    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    VISION = "vision"
    AUDIO_IN = "audio-in"
    AUDIO_OUT = "audio-out"
    TOOLS = "tools"
    STRUCTURED_OUTPUT = "structured-output"


def _read_bytes(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit; write '{value} GiB' or whatever it is")  # noqa: TRY004 - pydantic's
    return parse_bytes(value) if isinstance(value, str) else value


def _read_bandwidth(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} has no unit; write '1024 GB/s' or whatever it is")  # noqa: TRY004 - pydantic's
    size, slash, second = value.rpartition("/")
    if not slash or second.strip() != "s":
        raise ValueError(f"{value!r} is no bandwidth; write '1024 GB/s'")
    return parse_bytes(size)


def _read_flops(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} has no unit; write '181 TFLOPS' or whatever it is")  # noqa: TRY004 - pydantic's
    match = _FLOPS.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is no number of operations a second; write '181 TFLOPS'")
    return float(match[1]) * _FLOPS_UNITS[match[2]]


def _check_hardware_name(name: str) -> str:
    if not name or slug(name) != name:
        raise ValueError(f"{name!r} is no hardware name; allowed: a-z 0-9 . _ -")
    return name


def _check_image_name(name: str) -> str:
    if name.startswith("external:") and not EXTERNAL_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no server outside; write external:NAME")
    return name


Bytes = Annotated[
    StrictInt,
    BeforeValidator(_read_bytes),
    WithJsonSchema({"type": "string", "examples": ["16 GiB"]}),
]
EXTERNAL_NAME: Final = re.compile(r"external:[A-Za-z0-9][\w.-]*")
_FLOPS: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(TFLOPS|PFLOPS)\s*")
_FLOPS_UNITS: Final = {"TFLOPS": 1e12, "PFLOPS": 1e15}
_Bandwidth = Annotated[
    StrictInt,
    BeforeValidator(_read_bandwidth),
    Field(gt=0),
    WithJsonSchema({"type": "string", "examples": ["1024 GB/s"]}),
]
_Flops = Annotated[
    StrictFloat,
    BeforeValidator(_read_flops),
    Field(gt=0),
    WithJsonSchema({"type": "string", "examples": ["181 TFLOPS"]}),
]
_PeakOf = Literal["float32", "float16", "bfloat16", "fp8", "int8", "fp4"]
_Count = Annotated[StrictInt, Field(gt=0)]
_EXTERNAL: Final = "external:"
_ImageName = Annotated[str, AfterValidator(_check_image_name)]
_HardwareName = Annotated[str, AfterValidator(_check_hardware_name)]


def _check_partition_mode(mode: str) -> str:
    parse_partition(mode)
    return mode


_PartitionMode = Annotated[str, AfterValidator(_check_partition_mode)]


class HardwareFacts(YamlModel):
    """One kind of device."""

    vendor: Vendor
    architecture: str
    """``gfx942``, ``sm_90``, ``x86_64``: what kernels are compiled for."""
    title: str
    """Name for people."""
    memory_bytes: Bytes | None = Field(default=None, alias="memory")
    """Memory of one device, ``16 GiB``; left out where it depends on the host."""
    memory_at_most_bytes: Bytes | None = Field(default=None, alias="memory_at_most")
    """Most that one device can be given, where ``memory`` depends on the host."""
    unified: StrictBool = False
    """Whether that is the host's own memory, which other processes use too."""
    bandwidth_bytes_per_s: _Bandwidth | None = Field(default=None, alias="bandwidth")
    """Data-sheet peak of that memory, ``1024 GB/s``."""
    peak_flops_per_s: dict[_PeakOf, _Flops] = Field(default_factory=dict, alias="peak")
    """Data type -> dense peak without sparsity, ``181 TFLOPS``; left out what it cannot compute."""
    dies: _Count | None = None
    """Compute dies that partition modes deal out; left out where there are no such modes."""
    partition_mode: _PartitionMode = ""
    """Of an entry that is one partition of an accelerator: the mode, ``cpx/nps4``."""
    source: str
    uncertain: StrictBool = False
    """Whether a figure was not found in a source of its own."""


class ImageFacts(YamlModel):
    """One container image (without its tag), virtual environment or server outside."""

    vendors: tuple[Vendor, ...]
    engine: EngineKind = EngineKind.DOCKER
    entrypoint: Entrypoint = Entrypoint.VLLM_SERVE
    entrypoint_before: dict[str, Entrypoint] = Field(default_factory=dict)
    """vLLM version -> entrypoint of the versions below it."""
    vllm: str | None = None
    """Version of vLLM inside, where the tag does not say it."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Tag -> version of vLLM inside; for a virtual environment all versions there are."""
    fork: StrictBool = False
    """Whether its vLLM is no release of vLLM's own, so that its flags may differ."""
    note: str = ""
    """What whoever uses it should know; `hwval plan` tells it."""
    tag_notes: dict[str, str] = Field(default_factory=dict)
    """Tag -> what whoever uses that one should know: that it moved, or is gone."""
    docker_equivalent: str | None = None
    """Image that holds the same as this environment; ``{version}`` is vLLM's."""
    venv_equivalent: str | None = None
    """Environment that holds the same as this image; ``{version}`` is vLLM's."""
    port: Annotated[StrictInt, Field(gt=0, lt=2**16)] = 8000
    """Port that its server listens on if it is not told another."""
    server: Server = Server.VLLM
    """What program answers."""
    capabilities: tuple[Capability, ...] = (
        Capability.COMPLETIONS,
        Capability.CHAT,
        Capability.EMBEDDINGS,
        Capability.VISION,
        Capability.AUDIO_IN,
        Capability.TOOLS,
        Capability.STRUCTURED_OUTPUT,
    )
    """What its server can be asked for, given a model that can."""
    source: str

    @property
    def serve_prefix(self) -> tuple[str, ...]:
        """What must stand in the command before the arguments of ``vllm serve``."""
        return ("vllm", "serve") if self.entrypoint is Entrypoint.SHELL else ()

    @property
    def entrypoint_override(self) -> tuple[str, ...] | None:
        """What the run puts in place of the image's entrypoint; None keeps it."""
        return ("vllm", "serve") if self.entrypoint is Entrypoint.REPLACED else None


class ModelFacts(YamlModel):
    """One model; None is unknown, as for models that the catalogue does not hold."""

    architecture: str | None = None
    """Class name as in config.json."""
    dtype: Dtype | None = None
    """Of the checkpoint; what ``dtype: auto`` comes to."""
    quantization: str | None = None
    """``quant_method`` of the checkpoint, None for one that is not quantized."""
    max_context_tokens: StrictInt | None = None
    gated: StrictBool | None = None
    """Whether its files need a token."""
    weights_bytes: Bytes | None = Field(default=None, alias="weights")
    """Size of the files that are loaded, ``16.1 GB``."""
    parameters: _Count | None = None
    """Parameters of the language model, towers left out."""
    config: dict[str, Any] | None = None
    """What of its config.json decides its size, in that file's own words."""
    quantization_config: dict[str, Any] | None = None
    """The section of that name in its config.json."""
    capabilities: tuple[Capability, ...] | None = None
    """What it can be asked for; None is unknown: text alone is asked for."""
    exists: StrictBool = True
    """False for a name that people write and that no model has; ``note`` says which is meant."""
    note: str = ""
    """What whoever uses it should know; `hwval plan` tells it."""
    source: str
    uncertain: StrictBool = False
    """Whether a figure was not found in a source of its own."""

    @property
    def full_config(self) -> Mapping[str, Any] | None:
        """``config`` with its ``quantization_config``; None if it is not known."""
        if self.config is None or self.quantization_config is None:
            return self.config
        return {**self.config, "quantization_config": self.quantization_config}

    @model_validator(mode="after")
    def _check_config(self) -> Self:
        if self.full_config is not None:
            try:
                read_shape(self.full_config)
            except ShapeError as error:
                problem = str(error).removeprefix("config.json: ")
                raise problem_at("config", f"config: {problem}") from error
        elif self.quantization_config is not None:
            raise problem_at("quantization_config", "a quantization_config without a config")
        return self


class CatalogueSection(YamlModel):
    """Catalogue entries of a matrix's own, for private images and models."""

    hardware: dict[_HardwareName, HardwareFacts] = Field(default_factory=dict)
    images: dict[_ImageName, ImageFacts] = Field(default_factory=dict)
    models: dict[str, ModelFacts] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_external(self) -> Self:
        for name, facts in self.images.items():
            if name.startswith(_EXTERNAL) is not (facts.engine is EngineKind.EXTERNAL):
                text = "'external:NAME' and 'engine: external' go together"
                raise problem_at("images", f"images: {name}: {text}")
        return self


class CatalogueFile(CatalogueSection):
    """One file of the shipped catalogue: any of its parts."""

    architectures: ArchitecturesSection | None = None
    engine_flags: EngineFlagsSection | None = None


def catalogue_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file of the catalogue."""
    schema = CatalogueFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def shipped_section(name: str, section_of: Callable[[CatalogueFile], _Section | None]) -> _Section:
    """Return what the shipped catalogue says in a file of its own.

    Args:
        name: Of the section and its file.
        section_of: Takes it from the file.

    Raises:
        MatrixError: The file is wrong, or holds no such section.
    """
    file = load_yaml(resource_path(f"matrices/catalogue/{name}.yaml"))
    section = section_of(validate(file, CatalogueFile))
    if section is None:
        raise file.error(f"required key {name!r} is missing", ())
    return section
