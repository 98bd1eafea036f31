"""The axes of a matrix with their names looked up in the catalogue, before anything is combined."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from typing import NamedTuple

from hwval.catalogue import Catalogue
from hwval.catalogue.facts import HardwareFacts
from hwval.catalogue.facts import ModelFacts
from hwval.cell import Dtype
from hwval.errors import UsageError
from hwval.matrix.resolution import EngineSetup
from hwval.matrix.resolution import resolve
from hwval.matrix.schema import IncludedCell
from hwval.matrix.schema import MatrixFile
from hwval.yamlfile import Place
from hwval.yamlfile import YamlFile

__all__ = [
    "AXES",
    "Axes",
    "Combination",
    "HardwareValue",
    "ModelValue",
    "NameLookup",
    "Variant",
]

AXES: Final = ("hardware", "image", "model", "dtype")
_HARDWARE: Final = re.compile(r"(\S+)(?:\s+x([1-9]\d{0,4}))?")


class HardwareValue(NamedTuple):
    """A kind of device and how many of them."""

    name: str
    device_count: int
    facts: HardwareFacts

    def __str__(self) -> str:
        return f"{self.name} x{self.device_count}"


class ModelValue(NamedTuple):
    """A model and what is known of it."""

    name: str
    facts: ModelFacts

    def __str__(self) -> str:
        return self.name


class Variant(NamedTuple):
    """A value of the fifth axis with its settings and where it stands."""

    name: str
    setup: EngineSetup
    source: str


@dataclass(frozen=True, slots=True)
class Axes:
    """The values of the axes, looked up."""

    hardware: tuple[HardwareValue, ...] = ()
    image: tuple[str, ...] = ()
    model: tuple[ModelValue, ...] = ()
    dtype: tuple[Dtype, ...] = ()


class Combination(NamedTuple):
    """One value of every axis."""

    hardware: HardwareValue
    image: str
    model: ModelValue
    dtype: Dtype
    variant: Variant


class NameLookup:
    """Looks names up and says where the unknown ones stand."""

    def __init__(self, file: YamlFile, catalogue: Catalogue) -> None:
        self._file = file
        self._catalogue = catalogue

    def axes(self, matrix: MatrixFile) -> Axes:
        """Return the axes of the matrix, empty if it has none."""
        axes = matrix.axes
        if axes is None:
            return Axes()
        return Axes(
            tuple(self._hardware(v, ("axes", "hardware", i)) for i, v in enumerate(axes.hardware)),
            tuple(self._image(v, ("axes", "image", i)) for i, v in enumerate(axes.image)),
            tuple(self._model(v, ("axes", "model", i)) for i, v in enumerate(axes.model)),
            axes.dtype,
        )

    def included(self, matrix: MatrixFile, axes: Axes, index: int) -> Combination:
        """Return an included cell, with the axes that have a single value filled in."""
        own: IncludedCell = matrix.include[index]
        place: Place = ("include", index)
        for axis in AXES:
            values = getattr(axes, axis)
            if getattr(own, axis) is None and len(values) != 1:
                have = f"that axis has {len(values)} values" if values else "there is no such axis"
                raise self._file.error(f"required key {axis!r} is missing; {have}", place)
        source = f"{self._file.name}:{self._file.line(place)}"
        return Combination(
            axes.hardware[0]
            if own.hardware is None
            else self._hardware(own.hardware, (*place, "hardware")),
            axes.image[0] if own.image is None else self._image(own.image, (*place, "image")),
            axes.model[0] if own.model is None else self._model(own.model, (*place, "model")),
            axes.dtype[0] if own.dtype is None else own.dtype,
            Variant(own.name, resolve(self._file, place, matrix, own), source),
        )

    def _hardware(self, text: str, place: Place) -> HardwareValue:
        match = _HARDWARE.fullmatch(text.strip())
        if match is None:
            raise self._file.error(
                f"{text!r} is no hardware; write NAME or NAME xCOUNT, as in gfx906-mi60 x2", place
            )
        try:
            return HardwareValue(match[1], int(match[2] or 1), self._catalogue.hardware(match[1]))
        except UsageError as error:
            raise self._file.error(str(error), place) from error

    def _image(self, reference: str, place: Place) -> str:
        try:
            self._catalogue.image(reference)
        except UsageError as error:
            raise self._file.error(str(error), place) from error
        return reference

    def _model(self, reference: str, place: Place) -> ModelValue:
        try:
            return ModelValue(reference, self._catalogue.model(reference))
        except UsageError as error:
            raise self._file.error(str(error), place) from error
