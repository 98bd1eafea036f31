"""What a catalogue entry may say of a hardware, an image or a model, as pydantic models."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator
from pydantic import BeforeValidator
from pydantic import Field
from pydantic import StrictBool
from pydantic import StrictInt
from pydantic import WithJsonSchema

from hwval.cell import Dtype
from hwval.cell import slug
from hwval.units import parse_bytes
from hwval.yamlmodel import YamlModel

__all__ = [
    "Bytes",
    "CatalogueSection",
    "EngineKind",
    "Entrypoint",
    "HardwareFacts",
    "ImageFacts",
    "ModelFacts",
    "Vendor",
]


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


def _read_bytes(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit; write '{value} GiB' or whatever it is")  # noqa: TRY004 - pydantic's
    return parse_bytes(value) if isinstance(value, str) else value


def _check_hardware_name(name: str) -> str:
    if not name or slug(name) != name:
        raise ValueError(f"{name!r} is no hardware name; allowed: a-z 0-9 . _ -")
    return name


Bytes = Annotated[
    StrictInt,
    BeforeValidator(_read_bytes),
    WithJsonSchema({"type": "string", "examples": ["16 GiB"]}),
]
_HardwareName = Annotated[str, AfterValidator(_check_hardware_name)]


class HardwareFacts(YamlModel):
    """One kind of device."""

    vendor: Vendor
    architecture: str
    """``gfx942``, ``sm_90``, ``x86_64``: what kernels are compiled for."""
    title: str
    """Name for people."""
    memory_bytes: Bytes | None = Field(default=None, alias="memory")
    """Memory of one device, ``16 GiB``; left out where it depends on the host."""
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
    docker_equivalent: str | None = None
    """Image that holds the same as this environment; ``{version}`` is vLLM's."""
    venv_equivalent: str | None = None
    """Environment that holds the same as this image; ``{version}`` is vLLM's."""
    hf_cache: str | None = "/root/.cache/huggingface"
    """Where the image keeps downloaded models."""
    vllm_cache: str | None = "/root/.cache/vllm"
    """Where the image keeps compiled code."""
    capabilities: tuple[str, ...] = ()
    """Linux capabilities that the image cannot do without."""
    source: str

    @property
    def serve_prefix(self) -> tuple[str, ...]:
        """What must stand in the command before the arguments of ``vllm serve``."""
        return ("vllm", "serve") if self.entrypoint is Entrypoint.SHELL else ()


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
    source: str


class CatalogueSection(YamlModel):
    """Catalogue entries of a matrix's own, for private images and models."""

    hardware: dict[_HardwareName, HardwareFacts] = Field(default_factory=dict)
    images: dict[str, ImageFacts] = Field(default_factory=dict)
    models: dict[str, ModelFacts] = Field(default_factory=dict)
