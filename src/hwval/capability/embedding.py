"""Vectors of texts: what is wrong with them, how close two are, and the file that keeps them.

The file is JSON, version 1: {"version": 1, "kind": "embeddings", "cell", "model", "texts",
"vectors"}.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hwval.errors import ResponseError
from hwval.errors import UsageError

__all__ = [
    "EMBEDDINGS_NAME",
    "SAME_COSINE",
    "TEXTS",
    "Embeddings",
    "cosine",
    "length",
    "load_embeddings",
    "lowest_cosine",
    "trouble_with",
]

Vector = Sequence[float]

EMBEDDINGS_NAME: Final = "embeddings.json"
"""Name of the file in the folder of the question that records it."""
_LONGER: Final = (
    "The train to the coast leaves every second hour from platform four, on Sundays from platform "
    "six, and takes the slow line through the hills whenever the tunnel is closed."
)
TEXTS: Final = (
    "A cat sleeps on the warm kitchen floor.",
    "In the kitchen a kitten has dozed off where the tiles are warm.",
    "Companies must file their tax returns by the end of March.",
    _LONGER,
)
"""The first two mean nearly the same, the third something else; the last is longer."""
SAME_COSINE: Final = 0.999
"""Cosine of two vectors of one text that rounding alone sets apart.

Source: vLLM's own tests allow 1e-3 (``check_embeddings_close`` in vllm-project/vllm,
tests/models/utils.py).
"""
_ALIKE_COSINE: Final = 0.9999
_LENGTH_TOLERANCE: Final = 1e-2
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of texts, of one cell."""

    cell: str
    model: str
    texts: tuple[str, ...]
    vectors: tuple[tuple[float, ...], ...]

    def least_cosine(self, vectors: Sequence[Vector], *, model: str) -> float:
        """Return the least cosine between these vectors and those of another cell.

        Args:
            vectors: Of the same texts, in their order.
            model: Whose they are. Another model of the same dimension is taken, as a quantized one
                is held against the one that it was made from.

        Raises:
            UsageError: They are of another model, of another dimension.
            ResponseError: They have no angle, or of the same model another dimension.
        """
        own, other = len(self.vectors[0]), {len(vector) for vector in vectors}
        if model != self.model and other != {own}:
            raise UsageError(
                f"the embeddings of {self.cell} are of the model {self.model} and have {own} "
                f"elements, those of {model} {' or '.join(map(str, sorted(other)))}; name another "
                "reference"
            )
        return lowest_cosine(self.vectors, vectors)

    def to_json(self) -> str:
        """Return the file's content."""
        content = {
            "version": _VERSION,
            "kind": "embeddings",
            "cell": self.cell,
            "model": self.model,
            "texts": list(self.texts),
            "vectors": [list(vector) for vector in self.vectors],
        }
        return json.dumps(content, ensure_ascii=False, allow_nan=False)


def length(vector: Vector) -> float:
    """Return the Euclidean length."""
    return math.hypot(*vector)


def cosine(one: Vector, other: Vector) -> float:
    """Return the cosine of the angle between two vectors, NaN if it has none.

    Args:
        one: Of the same number of elements as `other`, not all zero.
        other: The other one.
    """
    if len(one) != len(other):
        return math.nan
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    scale = length(one) * length(other)
    return product / scale if scale else math.nan


def lowest_cosine(ones: Sequence[Vector], others: Sequence[Vector]) -> float:
    """Return the least cosine of corresponding vectors.

    Raises:
        ResponseError: A pair has none: other numbers of elements, a length of 0 or of no number.
    """
    cosines = [cosine(one, other) for one, other in zip(ones, others, strict=True)]
    for place, (one, other) in enumerate(zip(ones, others, strict=True)):
        if not math.isfinite(cosines[place]):
            raise ResponseError(
                f"vectors {place} have no angle: {len(one)} and {len(other)} elements, lengths "
                f"{length(one):.4g} and {length(other):.4g}"
            )
    return min(cosines)


def trouble_with(vectors: Sequence[Vector], *, dimension: int | None, is_normalized: bool) -> str:
    """Return what is wrong with vectors of different texts, empty if nothing is.

    Args:
        vectors: One for each text, at least two.
        dimension: Elements that are promised, None if no number is.
        is_normalized: Whether length 1 is promised.
    """
    dimensions = {len(vector) for vector in vectors}
    if len(dimensions) > 1 or (dimension is not None and dimensions != {dimension}):
        return f"vectors have {sorted(dimensions)} elements, expected {dimension or 'one number'}"
    for place, vector in enumerate(vectors):
        size = length(vector)
        if not math.isfinite(size) or size == 0:
            return f"vector {place} has the length {size}"
        if is_normalized and abs(size - 1) > _LENGTH_TOLERANCE:
            return f"vector {place} has the length {size:.4g}, expected 1"
    closest = min(cosine(vectors[0], other) for other in vectors[1:])
    if closest > _ALIKE_COSINE:
        return f"vectors of different texts are all alike: cosine {closest:.6f} at least"
    return ""


def load_embeddings(path: Path) -> Embeddings:
    """Read vectors that an earlier run recorded.

    Raises:
        UsageError: No such file, or it is none, of other texts, or of vectors without an angle.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("kind") != "embeddings" or content.get("version") != _VERSION:
            raise UsageError(f"{path}: no embeddings of version {_VERSION}; record them anew")
        if tuple(content["texts"]) != TEXTS:
            raise UsageError(f"{path}: embeddings of other texts; record them anew")
        vectors = tuple(tuple(map(float, vector)) for vector in content["vectors"])
        if problem := _why_no_reference(vectors):
            raise UsageError(f"{path}: {problem}; record them anew")
        return Embeddings(str(content["cell"]), str(content["model"]), TEXTS, vectors)
    except OSError as error:
        raise UsageError(f"read the embeddings {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path}: {error!r}, expected embeddings that hwval wrote") from error


def _why_no_reference(vectors: Sequence[Vector]) -> str:
    """Return why nothing can be held against vectors, empty if something can."""
    if len(vectors) != len(TEXTS):
        return f"{len(vectors)} vectors of {len(TEXTS)} texts"
    dimensions = sorted({len(vector) for vector in vectors})
    if len(dimensions) > 1:
        return f"vectors of {' and '.join(map(str, dimensions))} elements"
    bad = [place for place, one in enumerate(vectors) if not 0 < length(one) < math.inf]
    return f"vector {bad[0]} has the length {length(vectors[bad[0]])}" if bad else ""
