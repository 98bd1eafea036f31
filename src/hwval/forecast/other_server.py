"""Cells whose server is not started by this project, or is not vLLM: physics, and nothing more.

How such a server uses its memory is its own affair. What holds for all of them is that weights
have to lie somewhere, and that no step is faster than the memory they are read from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hwval.catalogue import EngineKind
from hwval.catalogue import ImageFacts
from hwval.catalogue import Server
from hwval.forecast.model import KnownModel
from hwval.planning.config_values import ShapeError
from hwval.planning.engine_settings import EngineSettings
from hwval.planning.parallelism import Parallelism
from hwval.planning.plan import Accelerator
from hwval.planning.plan import Plan
from hwval.planning.plan import PlanVerdict
from hwval.planning.refusal import Refusal
from hwval.planning.weights import stored_bytes
from hwval.units import format_bytes

__all__ = ["is_other_server", "of_other_server", "spread_over"]

# These keep layers in the host's memory where the device has no room for them.
_OFFLOADING: Final = frozenset({Server.LLAMA_CPP, Server.OLLAMA, Server.OTHER})
# Files may hold a tenth that is not loaded (``memory.files_refusal``).
_LOADED: Final = 0.9


def is_other_server(image: ImageFacts) -> bool:
    """Return whether vLLM's rules of memory and flags do not decide over an image's cells."""
    return image.engine is EngineKind.EXTERNAL or image.server is not Server.VLLM


def spread_over(device_count: int, settings: EngineSettings) -> EngineSettings:
    """Return settings under which every device of a cell reads at the same time."""
    return replace(settings, parallelism=Parallelism(tensor=device_count))


def of_other_server(
    found: Plan, image: ImageFacts, model: KnownModel, accelerator: Accelerator
) -> Plan:
    """Return what physics says of a cell, of what would be planned if vLLM ran it.

    Args:
        found: The plan of a vLLM, whose ceiling holds for every server.
        image: Facts of its image.
        model: Its model.
        accelerator: What it runs on.
    """
    name = "" if image.server is Server.OTHER else f"{image.server}, "
    what = "a server that already runs" if image.engine is EngineKind.EXTERNAL else "not vLLM"
    text = f"{name}{what}: what it reserves is its own affair"
    reasons = [Refusal("server", text, is_certain=False)]
    memory = accelerator.memory
    everything_bytes = memory.capacity_bytes * accelerator.count
    may_offload = image.server in _OFFLOADING and not (memory.unified or memory.vendor == "cpu")
    weights_bytes = _least_bytes(model)
    if weights_bytes > everything_bytes:
        sizes = f"{format_bytes(round(weights_bytes))} of {format_bytes(everything_bytes)}"
        text = f"the weights alone take {sizes}"
        if may_offload:
            text = f"{text}; the rest would lie in the host's memory, which is much slower"
        reasons.insert(0, Refusal("memory", text, is_certain=not may_offload))
    is_impossible = any(reason.is_certain for reason in reasons)
    verdict = PlanVerdict.IMPOSSIBLE if is_impossible else PlanVerdict.UNCERTAIN
    return replace(
        found, verdict=verdict, reasons=tuple(reasons), memory=None, advice=(), tensor_parallel=None
    )


def _least_bytes(model: KnownModel) -> float:
    """Return what its weights take at least; 0 where nothing is known."""
    if model.files_bytes is not None:
        return _LOADED * model.files_bytes
    if model.shape is None:
        return 0.0
    try:
        return float(stored_bytes(model.shape, model.shape.quantization))
    except ShapeError:
        return 0.0
