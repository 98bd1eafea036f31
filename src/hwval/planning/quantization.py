"""How weights are stored: the ``quantization_config`` of a checkpoint, or ``--quantization``.

The bytes of each format are those of the tensors that vLLM 0.32.0 keeps on the device after loading
(``model_executor/layers/quantization``), which is what its log calls the model's size.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any
from typing import Final

from hwval.planning.config_values import ShapeError
from hwval.planning.config_values import first
from hwval.planning.config_values import optional
from hwval.planning.config_values import section

__all__ = ["Quantization", "WeightFormat", "of_flag", "read_quantization"]


class WeightFormat(StrEnum):
    """How the elements of a quantized matrix lie in memory."""

    FP8 = "fp8"
    """One byte, a scale for the tensor or for each output."""
    FP8_BLOCK = "fp8-block"
    """One byte, a float32 scale for each block."""
    INT8 = "int8"
    """One byte, a scale for each output."""
    INT4 = "int4"
    """Half a byte, a 16-bit scale for each group, perhaps a 4-bit zero point: AWQ, GPTQ."""
    MXFP4 = "mxfp4"
    """Half a byte, a one-byte scale for each 32 (OCP Microscaling Formats 1.0)."""
    NVFP4 = "nvfp4"
    """Half a byte, an FP8 scale for each 16."""
    NF4 = "nf4"
    """Half a byte, a float32 scale for each 64: bitsandbytes, arXiv:2305.14314."""
    UNKNOWN = "unknown"
    """Of a method whose bytes are not known: only the files tell."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """How a checkpoint is quantized.

    Attributes:
        method: vLLM's name of it: ``awq``, ``gptq``, ``fp8``, ``compressed-tensors``, ``quark``.
        format: How its matrices are stored.
        group: Inputs that share a scale; 0 where the format decides or there is one per output.
        block: Outputs that share a scale with ``group``; 1 unless scales are of blocks.
        zeros: Whether zero points are stored.
        ignored: Names or patterns of the modules that are not quantized.
        kv_cache: Data type of the cache that the checkpoint asks for, empty if it does not.
    """

    method: str
    format: WeightFormat
    group: int = 0
    block: int = 1
    zeros: bool = False
    ignored: tuple[str, ...] = ()
    kv_cache: str = ""

    def covers(self, module: str) -> bool:
        """Return whether the module of this name, ``layers.0.mlp.down_proj``, is quantized."""
        return _covered(self.ignored, module)


@lru_cache(maxsize=2**14)
def _covered(ignored: tuple[str, ...], module: str) -> bool:
    return not any(_matches(pattern, module) for pattern in ignored)


def _matches(pattern: str, module: str) -> bool:
    """Return whether ``pattern`` means a module.

    compressed-tensors writes names and ``re:`` expressions, Quark and ModelOpt globs, AWQ parts of
    names (vLLM 0.32.0, ``quantization/utils/quant_utils.py`` is_layer_skipped).
    """
    if pattern.startswith("re:"):
        try:
            return re.match(pattern[3:], module) is not None
        except re.error:
            return False
    if "*" in pattern:
        return fnmatchcase(module, pattern)
    return f".{pattern}." in f".{module}." or module.endswith(pattern)


_AWQ: Final = ("awq", "auto_awq", "awq_marlin")
_GPTQ: Final = ("gptq", "auto_gptq", "gptq_marlin", "gptq_bitblas")


def of_flag(method: str) -> Quantization:
    """Return what ``--quantization METHOD`` makes of a checkpoint in 16 bits.

    vLLM quantizes while loading for ``fp8`` and its relatives (a scale for each tensor) and for
    ``bitsandbytes``; other methods need a checkpoint of their own.

    Raises:
        ShapeError: The method cannot quantize while loading.
    """
    if method in {"fp8", "fp8_per_tensor", "fp8_per_channel", "ptpc_fp8"}:
        return Quantization(method, WeightFormat.FP8)
    if method == "fp8_per_block":
        return Quantization(method, WeightFormat.FP8_BLOCK, group=128, block=128)
    if method == "bitsandbytes":
        return Quantization(method, WeightFormat.NF4)
    raise ShapeError(f"--quantization {method} needs a checkpoint that is quantized so")


def read_quantization(config: Mapping[str, Any] | None) -> Quantization | None:
    """Return what a ``quantization_config`` says, None for a checkpoint without one.

    A method that is not known gives the format ``unknown``: its size is that of its files.

    Raises:
        ShapeError: A size in it is absurd.
    """
    if not config:
        return None
    method = str(config.get("quant_method") or config.get("producer") or "").lower()
    ignored = first(config, "modules_to_not_convert", "ignore", "ignored_layers", "exclude")
    names = ignored if isinstance(ignored, Sequence) and not isinstance(ignored, str) else ()
    patterns = tuple(str(name) for name in names)
    reader = _READERS.get(method, _by_name)
    return reader(method, config, patterns)


def _by_name(method: str, config: Mapping[str, Any], ignored: tuple[str, ...]) -> Quantization:
    known = {
        "mxfp4": WeightFormat.MXFP4,
        "gpt_oss_mxfp4": WeightFormat.MXFP4,
        "bitsandbytes": WeightFormat.NF4,
    }
    format_ = known.get(method, WeightFormat.UNKNOWN)
    if method == "bitsandbytes" and config.get("load_in_8bit") is True:
        format_ = WeightFormat.INT8
    return Quantization(method, format_, ignored=ignored)


def _int4(method: str, config: Mapping[str, Any], ignored: tuple[str, ...]) -> Quantization:
    bits = optional(config, "bits", "w_bit", high=16) or 4
    group = optional(config, "group_size", "q_group_size", low=-1, high=2**20)
    group = 128 if group is None else max(group, 0)
    if bits == 8:
        return Quantization(method, WeightFormat.INT8, group, ignored=ignored)
    if bits != 4:
        return Quantization(method, WeightFormat.UNKNOWN, ignored=ignored)
    # AWQ always stores zero points; symmetric GPTQ loses them when it is repacked for Marlin.
    zeros = method in _AWQ or config.get("sym") is False
    return Quantization(method, WeightFormat.INT4, group, zeros=zeros, ignored=ignored)


def _fp8(method: str, config: Mapping[str, Any], ignored: tuple[str, ...]) -> Quantization:
    if config.get("weight_block_size") is None:
        return Quantization(method, WeightFormat.FP8, ignored=ignored)
    rows, group = _block(config, "weight_block_size")
    return Quantization(method, WeightFormat.FP8_BLOCK, group, rows, ignored=ignored)


def _by_scheme(method: str, config: Mapping[str, Any], ignored: tuple[str, ...]) -> Quantization:
    """Return what the weights' scheme of compressed-tensors or Quark says, of its first group."""
    groups = section(config, "config_groups")
    if groups is not None:
        scheme = next((part for part in groups.values() if isinstance(part, Mapping)), {})
    else:
        scheme = section(config, "global_quant_config") or {}
    weights = section(scheme, "weights", "weight") or {}
    kv_scheme = section(config, "kv_cache_scheme", "kv_cache_quant_config")
    kv_cache = "fp8" if kv_scheme else ""
    group = max(optional(weights, "group_size", low=-1, high=2**20) or 0, 0)
    format_ = _format_of_scheme(weights, group)
    zeros = weights.get("symmetric") is False
    rows = 1
    if format_ is WeightFormat.FP8_BLOCK:
        rows, group = _block(weights, "block_structure")
    elif format_ is not WeightFormat.INT4:
        group = 0
    return Quantization(
        method, format_, group, rows, zeros=zeros, ignored=ignored, kv_cache=kv_cache
    )


def _block(weights: Mapping[str, Any], name: str) -> tuple[int, int]:
    """Return the outputs and the inputs that share a scale."""
    block = weights.get(name)
    if not (
        isinstance(block, Sequence)
        and len(block) == 2
        and all(isinstance(size, int) and 0 < size <= 2**20 for size in block)
    ):
        raise ShapeError(f"config.json: {name} is {block!r}; allowed: two sizes")
    return block[0], block[1]


def _format_of_scheme(weights: Mapping[str, Any], group: int) -> WeightFormat:
    kind = str(first(weights, "type", "dtype") or "").lower()
    bits = optional(weights, "num_bits", high=64)
    if kind == "fp4" or (kind.startswith("float") and bits == 4):
        return WeightFormat.NVFP4 if group == 16 else WeightFormat.MXFP4
    if kind.startswith(("float", "fp8")) and bits in {8, None}:
        return WeightFormat.FP8_BLOCK if weights.get("block_structure") else WeightFormat.FP8
    integers = {4: WeightFormat.INT4, 8: WeightFormat.INT8}
    return integers.get(bits or 0, WeightFormat.UNKNOWN) if kind == "int" else WeightFormat.UNKNOWN


def _modelopt(method: str, config: Mapping[str, Any], ignored: tuple[str, ...]) -> Quantization:
    inner = section(config, "quantization") or config
    names = first(inner, "exclude_modules")
    if isinstance(names, Sequence) and not isinstance(names, str):
        ignored = (*ignored, *(str(name) for name in names))
    algorithm = str(first(inner, "quant_algo") or "").upper()
    kv_cache = "fp8" if str(inner.get("kv_cache_quant_algo")).upper() == "FP8" else ""
    known = {"FP8": WeightFormat.FP8, "NVFP4": WeightFormat.NVFP4}
    format_ = known.get(algorithm, WeightFormat.UNKNOWN)
    return Quantization(method, format_, ignored=ignored, kv_cache=kv_cache)


_READERS: Final = {
    **dict.fromkeys((*_AWQ, *_GPTQ), _int4),
    "compressed-tensors": _by_scheme,
    "quark": _by_scheme,
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "modelopt": _modelopt,
}
