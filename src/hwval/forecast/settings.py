"""From a cell's engine arguments and variables to what the planner is told of the engine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from functools import lru_cache
from typing import Any
from typing import Final

from hwval.catalogue import Vendor
from hwval.cell import ArgValue
from hwval.errors import UsageError
from hwval.forecast.processor import CACHE_SPACE
from hwval.forecast.processor import space_gib
from hwval.planning.engine_settings import KV_CACHE_FLAG
from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import Version
from hwval.planning.interval import GIB_BYTES
from hwval.planning.parallelism import Parallelism

__all__ = ["EngineSetup", "read_setup"]

# As vLLM's human_readable_int: small letters are powers of 1000, capitals of 1024.
_WRITTEN: Final = re.compile(r"(\d+(?:\.\d+)?)([kmgt]?)", re.IGNORECASE)
_SUFFIXES: Final = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
    "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40,
}  # fmt: skip
_ALLOCATOR_VARIABLES: Final = (
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_HIP_ALLOC_CONF",
)
# A CPU engine before 0.25 that is told no size takes this much (vLLM 0.11.0, ``platforms/cpu.py``).
_OLD_CPU_CACHE_BYTES: Final = 4 * GIB_BYTES


@dataclass(frozen=True, slots=True)
class EngineSetup:
    """What a cell says of its engine.

    Attributes:
        settings: What the planner takes.
        quantization: ``--quantization``; None leaves it to the checkpoint.
        draft: Model of speculative decoding as the cell names it; empty without one.
        is_speculative: Whether a step may answer more than one token.
        overrides: ``--hf-overrides``.
        may_exceed_positions: Whether requests longer than the model's positions are allowed.
    """

    settings: EngineSettings
    quantization: str | None = None
    draft: str = ""
    is_speculative: bool = False
    overrides: Mapping[str, Any] = field(default_factory=dict)
    may_exceed_positions: bool = False


@lru_cache(maxsize=4096)
def read_setup(
    engine_args: tuple[tuple[str, ArgValue], ...],
    variables: tuple[tuple[str, str], ...],
    *,
    vendor: Vendor,
    version: Version | None,
) -> EngineSetup:
    """Return what the planner is told of a cell's engine.

    Args:
        engine_args: As in the cell.
        variables: The engine's environment, as in the cell.
        vendor: Whose software drives its hardware.
        version: Release of vLLM in its image; None for an unknown one.

    Raises:
        UsageError: A value that vLLM would not take, or that is not understood here.
    """
    arguments, environment = dict(engine_args), dict(variables)
    speculative = _object(arguments, "speculative-config")
    overrides = _object(arguments, "hf-overrides")
    draft = speculative.get("model") or arguments.get("speculative-model") or ""
    long = environment.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "0").lower() not in {"", "0", "false"}
    quantization = arguments.get("quantization")
    return EngineSetup(
        settings=_settings(arguments, environment, vendor, version),
        quantization=None if quantization in {None, "none", "None"} else str(quantization),
        draft="" if str(draft).startswith("[") else str(draft),
        is_speculative=bool(speculative or arguments.get("speculative-model")),
        overrides=overrides,
        may_exceed_positions=long or "rope-scaling" in arguments,
    )


def _settings(
    arguments: Mapping[str, ArgValue],
    environment: Mapping[str, str],
    vendor: Vendor,
    version: Version | None,
) -> EngineSettings:
    allocator = ",".join(environment.get(name, "") for name in _ALLOCATOR_VARIABLES)
    offload_gib = _number(arguments, "cpu-offload-gb") or 0
    try:
        return EngineSettings(
            version=version,
            parallelism=Parallelism(
                tensor=_count(arguments, "tensor-parallel-size") or 1,
                pipeline=_count(arguments, "pipeline-parallel-size") or 1,
                data=_count(arguments, "data-parallel-size") or 1,
                expert_parallel=arguments.get("enable-expert-parallel") is True,
            ),
            max_model_len_tokens=_count(arguments, "max-model-len"),
            gpu_memory_utilization=_number(arguments, "gpu-memory-utilization"),
            max_num_seqs=_count(arguments, "max-num-seqs"),
            max_num_batched_tokens=_count(arguments, "max-num-batched-tokens"),
            kv_cache_dtype=str(arguments.get("kv-cache-dtype") or "auto"),
            kv_cache_memory_bytes=_cache_bytes(arguments, environment, vendor, version),
            cache_key=_cache_key(arguments, environment, vendor),
            block_tokens=_count(arguments, "block-size"),
            enforce_eager=_is_eager(arguments),
            expandable_segments=True if "expandable_segments:True" in allocator else None,
            hybrid_cache=arguments.get("disable-hybrid-kv-cache-manager") is not True,
            cpu_offload_bytes=int(offload_gib * GIB_BYTES),
            text_only=_is_text_only(arguments),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def _cache_bytes(
    arguments: Mapping[str, ArgValue],
    environment: Mapping[str, str],
    vendor: Vendor,
    version: Version | None,
) -> int | None:
    space = space_gib(environment)
    if vendor is Vendor.CPU and space is not None:
        return space * GIB_BYTES
    asked = _count(arguments, "kv-cache-memory-bytes")
    if asked is not None or vendor is not Vendor.CPU:
        return asked
    return _OLD_CPU_CACHE_BYTES if version is not None and version < (0, 25) else None


def _cache_key(
    arguments: Mapping[str, ArgValue], environment: Mapping[str, str], vendor: Vendor
) -> str:
    """Return what decides the size of the cache: on processors the variable before the flag."""
    flag_alone = space_gib(environment) is None and "kv-cache-memory-bytes" in arguments
    return KV_CACHE_FLAG if flag_alone or vendor is not Vendor.CPU else CACHE_SPACE


def _is_eager(arguments: Mapping[str, ArgValue]) -> bool:
    if arguments.get("enforce-eager") is True:
        return True
    # Without graphs there is no memory for them either.
    mode = arguments.get("compilation-config.cudagraph_mode")
    mode = mode or _object(arguments, "compilation-config").get("cudagraph_mode")
    return str(mode).upper() == "NONE" if mode else False


def _is_text_only(arguments: Mapping[str, ArgValue]) -> bool:
    limits = _object(arguments, "limit-mm-per-prompt")
    nothing = bool(limits) and not any(limits.values())
    return nothing or arguments.get("language-model-only") is True


def _object(arguments: Mapping[str, ArgValue], name: str) -> Mapping[str, Any]:
    """Return an argument that is JSON; a matrix writes it as a mapping."""
    text = arguments.get(name)
    if text is None or isinstance(text, bool):
        return {}
    try:
        value = json.loads(str(text))
    except (ValueError, RecursionError):
        value = text
    if isinstance(value, Mapping):
        return value
    # The numbers of compilation-config are levels, which say nothing of memory.
    if isinstance(value, int):
        return {}
    raise UsageError(f"--{name} is {text!r}, expected a JSON object")


def _count(arguments: Mapping[str, ArgValue], name: str) -> int | None:
    value = arguments.get(name)
    if value is None:
        return None
    match = _WRITTEN.fullmatch(str(value))
    if match is None or isinstance(value, bool):
        raise UsageError(f"--{name} is {value!r}, expected a number such as 8192, 8k or 8K")
    return int(float(match[1]) * _SUFFIXES[match[2]]) if match[2] else int(float(match[1]))


def _number(arguments: Mapping[str, Any], name: str) -> float | None:
    value = arguments.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < 2**20:
        raise UsageError(f"--{name} is {value!r}, expected a number from 0 on")
    return number
