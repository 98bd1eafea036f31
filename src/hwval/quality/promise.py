"""What a matrix may promise of generated text; `hwval.matrix` reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from typing import Final
from typing import Self

from pydantic import Field
from pydantic import model_validator

from hwval.catalogue import Capability
from hwval.quality.reference import load_reference
from hwval.yamlmodel import PART_SCHEMA
from hwval.yamlmodel import Part
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import problem_at

__all__ = ["GenerateSection", "PerplexitySection", "ReferenceSection"]

_Positive = Annotated[float, Field(gt=0, strict=True)]
_Ratio = Annotated[float, Part, Field(ge=0, le=1, strict=True), PART_SCHEMA]
# Of who foresees every token for certain it is 1.
_Perplexity = Annotated[float, Field(ge=1, strict=True)]
_Name = Annotated[str, Field(min_length=1)]
# Questions that are asked by chat requests, in `suites/test_generate.py`.
_CHAT: Final = frozenset({"chat", "stream_chat", "unicode"})


class PerplexitySection(YamlModel):
    """How well the fixed text must be foreseen; perplexities per token compare one tokenizer."""

    at_most: _Perplexity | None = None
    """Perplexity that is never exceeded."""
    reference: _Perplexity | None = None
    """Perplexity of the same model where it is known to work."""
    tolerance: _Ratio | None = None
    """How far above the reference it may be, as ``0.02`` or ``2 %``."""
    source: _Name
    """Where the figures are from."""

    @property
    def limit(self) -> float:
        """The lower of both bounds."""
        bounds = [self.at_most] if self.at_most is not None else []
        if self.reference is not None and self.tolerance is not None:
            bounds.append(self.reference * (1 + self.tolerance))
        return min(bounds)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.reference is None) is not (self.tolerance is None):
            raise problem_at("reference", "perplexity: 'reference' and 'tolerance' go together")
        if self.at_most is None and self.reference is None:
            raise problem_at("source", "perplexity: give 'at_most', or 'reference' and 'tolerance'")
        return self


class ReferenceSection(YamlModel):
    """Whose greedy answers a cell must agree with."""

    file: _Name | None = None
    """A ``reference.json`` that an earlier run recorded, relative to the matrix."""
    cell: _Name | None = None
    """Id of a cell that the same run asks before this one, or a glob that names it alone."""
    agreement: _Ratio = 1.0
    """Share of prompts at whose first difference, if there is one, each side must have the other's
    token among its likeliest five."""
    drift_nats: _Positive | None = None
    """Mean distance of log probabilities that is allowed; 0.2 if not set, 0.5 if quantized."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.file is None) is (self.cell is None):
            raise problem_at("file", "reference: give either 'file' or 'cell'")
        return self


class GenerateSection(YamlModel):
    """Is what it generates sound, not only text?"""

    perplexity: PerplexitySection | None = None
    """Of the fixed text; without it the text must only be foreseen better than by words alone."""
    reference: ReferenceSection | None = None
    """Whose greedy answers to agree with."""
    near_tie: _Positive | None = None
    """How many nats apart two tokens may be for a busy batch to swap them."""

    def asks(self, question: str, offered: frozenset[Capability]) -> bool:
        """Return whether a question of this suite is asked, given what image and model offer."""
        if Capability.COMPLETIONS not in offered:
            return False
        if question == "reference":
            return self.reference is not None
        return question not in _CHAT or Capability.CHAT in offered

    @property
    def files(self) -> dict[tuple[str, ...], tuple[str, Callable[[Path], object]]]:
        """Keys inside this section -> file named there, relative to the matrix, and its reader."""
        file = None if self.reference is None else self.reference.file
        return {} if file is None else {("reference", "file"): (file, load_reference)}

    @property
    def partners(self) -> frozenset[str]:
        """Cells that this one is held against, as the matrix names them."""
        cell = None if self.reference is None else self.reference.cell
        return frozenset() if cell is None else frozenset({cell})
