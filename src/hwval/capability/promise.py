"""What a matrix may promise of capabilities; `hwval.matrix` reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from typing import Final
from typing import Literal
from typing import Self

from pydantic import Field
from pydantic import StrictBool
from pydantic import StrictInt
from pydantic import model_validator

from hwval.capability.embedding import load_embeddings
from hwval.catalogue import Capability
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import problem_at

__all__ = ["QUESTIONS", "CapabilitiesSection", "EmbeddingsSection", "NeedleSection"]

_Count = Annotated[StrictInt, Field(gt=0)]
_Depth = Annotated[float, Field(ge=0, le=1, strict=True)]
_Name = Annotated[str, Field(min_length=1)]

# As long as the prompt that tells how many tokens a sentence has; beside it the sentence that is
# sought and the question take a tenth.
_LEAST_NEEDLE_TOKENS: Final = 512

QUESTIONS: Final = {
    "embedding_dimension": Capability.EMBEDDINGS,
    "embedding_repeats": Capability.EMBEDDINGS,
    "embedding_order": Capability.EMBEDDINGS,
    "embedding_batch": Capability.EMBEDDINGS,
    "embedding_meaning": Capability.EMBEDDINGS,
    "embedding_parity": Capability.EMBEDDINGS,
    "picture_seen": Capability.VISION,
    "picture_colour": Capability.VISION,
    "picture_shape": Capability.VISION,
    "audio_in": Capability.AUDIO_IN,
    "audio_heard": Capability.AUDIO_IN,
    "audio_out": Capability.AUDIO_OUT,
    "tool_named": Capability.TOOLS,
    "tool_required": Capability.TOOLS,
    "tool_chosen": Capability.TOOLS,
    "structured_output": Capability.STRUCTURED_OUTPUT,
    "needle": Capability.COMPLETIONS,
}
"""Question of ``suites/test_capabilities.py`` -> what must be promised for it to be asked."""


class EmbeddingsSection(YamlModel):
    """What is promised of vectors."""

    dimension: _Count | None = None
    """Numbers in each vector."""
    normalized: StrictBool = False
    """Whether each vector has length 1."""
    reference: _Name | None = None
    """An ``embeddings.json`` that an earlier run recorded, relative to the matrix."""
    cosine_at_least: _Depth = 0.99
    """Cosine between a vector and that of the reference."""


class NeedleSection(YamlModel):
    """What is promised of long contexts: a sentence in them is found again."""

    tokens: _Count
    """Length of the context, by the server's own count."""
    depths: tuple[_Depth, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    """Where the sentence stands: 0 is the beginning, 1 the end."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.tokens < _LEAST_NEEDLE_TOKENS:
            problem = f"{self.tokens} tokens are no long context, expected {_LEAST_NEEDLE_TOKENS}"
            raise problem_at("tokens", f"{problem} or more")
        if not self.depths:
            raise problem_at("depths", "names no depth, so that nothing would be asked")
        return self


class AudioSection(YamlModel):
    """How sound is asked for."""

    by: Literal["chat", "transcriptions"] | None = None
    """Which endpoint hears; chat if the model chats, as omni models do, else transcriptions."""
    voice: _Name | None = None
    """Voice that speaks; the server's own if not set."""


class CapabilitiesSection(YamlModel):
    """Can it do what image and model promise?"""

    add: tuple[Capability, ...] = ()
    """What is promised beyond what the catalogue says of image and model."""
    remove: tuple[Capability, ...] = ()
    """What is not promised although the catalogue says so."""
    embeddings: EmbeddingsSection = EmbeddingsSection()
    audio: AudioSection = AudioSection()
    needle: NeedleSection | None = None
    """Asked only where it is promised: how far a model finds is a matter of the model."""

    def promised(self, offered: frozenset[Capability]) -> frozenset[Capability]:
        """Return what is promised, given what image and model offer."""
        return (offered | set(self.add)) - set(self.remove)

    def asks(self, question: str, offered: frozenset[Capability]) -> bool:
        """Return whether a question of this suite is asked, given what image and model offer."""
        if question == "needle" and self.needle is None:
            return False
        if question == "embedding_parity" and self.embeddings.reference is None:
            return False
        return QUESTIONS[question] in self.promised(offered)

    @property
    def files(self) -> dict[tuple[str, ...], tuple[str, Callable[[Path], object]]]:
        """Keys inside this section -> file named there, relative to the matrix, and its reader."""
        file = self.embeddings.reference
        return {} if file is None else {("embeddings", "reference"): (file, load_embeddings)}

    @model_validator(mode="after")
    def _check(self) -> Self:
        both = set(self.add) & set(self.remove)
        if both:
            raise problem_at("remove", f"{min(both)!s} is both added and removed")
        return self
