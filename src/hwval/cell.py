"""One cell of a matrix: a (hardware, image, model, dtype) and its variant.

A cell is a value: equal cells are the same cell, its ``repr`` is its id (Allure hashes it), and
nothing in it depends on the machine it runs on. The id is stable over releases as long as the
names stay; ``fingerprint`` changes with anything that could change a result.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

__all__ = ["ArgValue", "Cell", "Dtype", "Weights", "slug"]

ArgValue = str | int | float | bool
"""Value of an engine argument; True stands for a bare flag, False for its ``--no-`` form."""

_NOT_IN_ID = re.compile(r"[^a-z0-9._-]+")


class Dtype(StrEnum):
    """What vLLM's ``--dtype`` takes; ``auto`` follows the checkpoint."""

    AUTO = "auto"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT32 = "float32"


class Weights(StrEnum):
    """Where the weights come from."""

    REAL = "real"
    DUMMY = "dummy"
    """vLLM's ``--load-format dummy``: the shapes of the model, random numbers inside."""


@lru_cache(maxsize=2**14)  # the ids of a large matrix are made of few names, asked for often
def slug(text: str) -> str:
    """Return ``text`` in the alphabet of cell ids, ``[a-z0-9._-]``.

    Example:
        >>> slug("vllm/vllm-openai:v0.33.0")
        'vllm-vllm-openai-v0.33.0'
    """
    return re.sub(r"-{2,}|_{2,}", "-", _NOT_IN_ID.sub("-", text.lower())).strip("-_")


@dataclass(frozen=True, slots=True, repr=False)
class Cell:
    """What is validated, without the promises made about it.

    The alphabet and the ``__`` between fields keep ids safe in pytest node ids, Allure, JUnit,
    file names and container names.
    """

    hardware: str
    """Key of the hardware catalogue, for example ``gfx906-mi60``."""
    device_count: int
    """How many such devices the cell needs, >= 1."""
    image: str
    """Container image reference, ``venv:PACKAGE==VERSION`` or ``external:NAME``."""
    model: str
    """Catalogue key, ``hub:ORG/NAME[@REVISION]``, absolute path or ``synthetic:NAME``."""
    dtype: Dtype
    variant: str = ""
    """Short name of what sets this cell apart from others with the same four axes; may be empty."""
    engine_args: tuple[tuple[str, ArgValue], ...] = ()
    """Engine flags in vLLM's spelling without the leading dashes, sorted by name."""
    environment: tuple[tuple[str, str], ...] = ()
    """Environment variables of the engine, sorted by name; no secrets."""
    weights: Weights = Weights.REAL
    partition_mode: str = ""
    """Partition mode that the devices must be in, for example ``cpx/nps4``; empty: any."""
    privileges: tuple[str, ...] = ()
    """Container privileges that the matrix asks for by name, beyond what the vendor needs."""
    memory_bytes: int | None = None
    """Limit of the container's memory, without swap; None for none."""
    shm_bytes: int | None = None
    """Size of the container's ``/dev/shm``; None for the default of engine containers."""

    @property
    def id(self) -> str:
        """Name of this cell: ``hardware__image__model__dtype[__variant]``.

        Example:
            >>> Cell("gfx942-mi300x", 8, "a/b:c", "m/n", Dtype.FLOAT16, "fp8").id
            'gfx942-mi300x-x8__a-b-c__m-n__float16__fp8'
        """
        hardware = (
            f"{self.hardware}-x{self.device_count}" if self.device_count > 1 else self.hardware
        )
        fields = (hardware, self.image, self.model, self.dtype, self.variant)
        return "__".join(slug(field) for field in fields if field)

    @property
    def fingerprint(self) -> str:
        """First 12 hex digits of a hash over everything that could change a result."""
        fields = [getattr(self, name) for name in self.__dataclass_fields__ if name != "variant"]
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def arg(self, name: str) -> ArgValue | None:
        """Return the value of engine argument ``name``, None where the cell does not set it."""
        return dict(self.engine_args).get(name)

    @property
    def tensor_parallel_size(self) -> int:
        """Devices that one copy of the weights is split over."""
        return int(self.arg("tensor-parallel-size") or 1)

    @property
    def max_model_len_tokens(self) -> int | None:
        """Context length that the cell asks for; None leaves it to the model."""
        value = self.arg("max-model-len")
        return None if value is None else int(value)

    @property
    def quantization(self) -> str | None:
        """Value of ``--quantization``; None leaves it to the checkpoint."""
        value = self.arg("quantization")
        return None if value is None else str(value)

    def __repr__(self) -> str:
        return self.id

    def __str__(self) -> str:
        return self.id
