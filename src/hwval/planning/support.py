"""Which data types and quantizations an architecture computes, and which images contain it.

Sources: vLLM 0.32.0 ``platforms/cuda.py`` (bfloat16 from 8.0, FP8 from 8.9), ``platforms/rocm.py``
(supported_quantization), get_min_capability of each method, the table "Supported Hardware" of its
documentation, and ``PYTORCH_ROCM_ARCH`` of ``docker/Dockerfile.rocm_base`` in releases 0.8.5 to
0.33.0; for AMD's formats the LLVM target descriptions and ROCm's precision table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from hwval.planning.engine_settings import Version
from hwval.planning.quantization import Quantization
from hwval.planning.quantization import WeightFormat
from hwval.planning.refusal import Refusal

__all__ = ["capability", "image_refusals", "native_fp8", "support_refusals"]

_SM: Final = re.compile(r"sm_(\d+?)(\d)a?")
_AMD_FP8: Final = frozenset({"gfx942", "gfx950", "gfx1200", "gfx1201", "gfx1250"})
_AMD_WITHOUT_BF16: Final = frozenset({"gfx900", "gfx906", "gfx1010", "gfx1030"})
_MIN_CAPABILITY: Final = {
    WeightFormat.INT4: 75,
    WeightFormat.FP8: 75,
    WeightFormat.FP8_BLOCK: 75,
    WeightFormat.MXFP4: 80,
    WeightFormat.NVFP4: 80,
    WeightFormat.INT8: 75,
    WeightFormat.NF4: 70,
}
# Releases whose official ROCm image first contained an architecture.
_ROCM_IMAGE_SINCE: Final[dict[str, Version]] = {
    "gfx90a": (0, 0),
    "gfx942": (0, 0),
    "gfx1100": (0, 0),
    "gfx1101": (0, 0),
    "gfx1200": (0, 8),
    "gfx1201": (0, 8),
    "gfx950": (0, 11),
    "gfx1150": (0, 11),
    "gfx1151": (0, 11),
}


@lru_cache(maxsize=256)
def capability(architecture: str) -> int | None:
    """Return the compute capability of an NVIDIA architecture, None of any other.

    Example:
        >>> [capability(name) for name in ("sm_89", "sm_120", "gfx942")]
        [89, 120, None]
    """
    match = _SM.fullmatch(architecture)
    return int(match[1] + match[2]) if match else None


def native_fp8(architecture: str) -> bool:
    """Return whether an architecture multiplies in FP8 rather than decompressing it."""
    sm = capability(architecture)
    return sm >= 89 if sm is not None else architecture in _AMD_FP8


def support_refusals(
    architecture: str,
    *,
    dtype: str,
    quantization: Quantization | None = None,
    kv_cache_dtype: str = "auto",
    version: Version | None = None,
) -> tuple[Refusal, ...]:
    """Return what an architecture cannot compute; nothing if all is supported or unknown.

    Args:
        architecture: ``gfx942``, ``sm_90``, ``x86_64``, ``v6e``: what kernels are compiled for.
        dtype: ``--dtype`` as it comes out: ``bfloat16``, ``float16`` or ``float32``.
        quantization: How the weights are quantized; None for not at all.
        kv_cache_dtype: ``--kv-cache-dtype``.
        version: Release of vLLM; None for an unknown one.
    """
    if capability(architecture) is not None:
        found = _nvidia(architecture, dtype, quantization, version)
    elif architecture.startswith("gfx"):
        found = _amd(architecture, dtype, quantization)
    elif architecture in {"x86_64", "amd64", "aarch64", "arm64"}:
        found = _cpu(architecture, quantization, kv_cache_dtype)
    else:
        found = _others(architecture, quantization)
    return tuple(found)


def _nvidia(
    architecture: str, dtype: str, quantization: Quantization | None, version: Version | None
) -> Iterator[Refusal]:
    sm = capability(architecture) or 0
    if dtype == "bfloat16" and sm < 80:
        yield Refusal("bfloat16", f"{architecture} has no bfloat16 (from sm_80 on); use float16")
    if quantization is None:
        return
    format_ = quantization.format
    least = _MIN_CAPABILITY.get(format_, 0)
    if format_ is WeightFormat.INT4 and quantization.method.startswith("gptq"):
        least = 60
    # Decompressing FP8 on Turing is newer than doing so on Ampere.
    if format_ in {WeightFormat.FP8, WeightFormat.FP8_BLOCK} and version and version < (0, 12):
        least = 80
    if sm < least:
        yield Refusal(
            "quantization",
            f"{quantization.method} ({format_}) needs sm_{least}, this is {architecture}",
        )
    if format_ is WeightFormat.NVFP4 and least <= sm < 100:
        yield Refusal(
            "quantization",
            f"{architecture} has no FP4 (from sm_100 on); weights are decompressed",
            is_certain=False,
        )


def _amd(architecture: str, dtype: str, quantization: Quantization | None) -> Iterator[Refusal]:
    if dtype == "bfloat16" and architecture in _AMD_WITHOUT_BF16:
        # vLLM takes gfx9 for capability 9.0 and lets it pass; its kernels are another matter.
        yield Refusal(
            "bfloat16",
            f"{architecture} has no bfloat16 in hardware; use float16",
            is_certain=not architecture.startswith("gfx9"),
        )
    if quantization is None:
        return
    format_ = quantization.format
    if format_ in {WeightFormat.FP8, WeightFormat.FP8_BLOCK} and architecture not in _AMD_FP8:
        known = ", ".join(sorted(_AMD_FP8))
        # Likewise: for any gfx9 vLLM 0.32 believes that FP8 is there.
        yield Refusal(
            "quantization",
            f"{architecture} has no FP8; those that have: {known}",
            is_certain=not architecture.startswith("gfx9"),
        )
    if format_ is WeightFormat.NF4:
        yield Refusal("quantization", "vLLM does not promise bitsandbytes on AMD", is_certain=False)
    if format_ is WeightFormat.NVFP4:
        yield Refusal("quantization", f"{architecture} has no NVFP4 kernels in vLLM")
    if format_ is WeightFormat.INT4 and "marlin" in quantization.method:
        yield Refusal("quantization", "Marlin kernels are NVIDIA's; use awq or gptq on AMD")
    is_awq = format_ is WeightFormat.INT4 and quantization.method in {"awq", "auto_awq"}
    if is_awq and dtype == "bfloat16":
        yield Refusal(
            "awq-dtype",
            "AWQ on AMD runs on Triton kernels for float16; use --dtype float16",
            is_certain=False,
        )


def _cpu(
    architecture: str, quantization: Quantization | None, kv_cache_dtype: str
) -> Iterator[Refusal]:
    refused = {
        WeightFormat.FP8,
        WeightFormat.FP8_BLOCK,
        WeightFormat.NVFP4,
        WeightFormat.NF4,
    }
    if quantization is not None and quantization.format in refused:
        yield Refusal("quantization", f"vLLM has no {quantization.format} kernels for CPUs")
    if quantization is not None and quantization.format is WeightFormat.MXFP4:
        yield Refusal("quantization", "MXFP4 on CPUs differs by version", is_certain=False)
    if kv_cache_dtype.startswith("fp8"):
        yield Refusal(
            "kv-cache-dtype", f"an FP8 cache on {architecture} differs by version", is_certain=False
        )


def _others(architecture: str, quantization: Quantization | None) -> Iterator[Refusal]:
    if quantization is not None:
        yield Refusal(
            "quantization",
            f"whether {architecture} runs {quantization.method} is not known",
            is_certain=False,
        )


def image_refusals(
    architecture: str, *, image: str, version: Version | None
) -> tuple[Refusal, ...]:
    """Return whether an image contains kernels for an architecture.

    Only vLLM's and AMD's own ROCm images are judged; others are their makers' affair.

    Args:
        architecture: ``gfx1151``.
        image: Reference of the image.
        version: Release of vLLM inside; None for an unknown one.
    """
    official = ("vllm/vllm-openai-rocm", "rocm/vllm", "rocm/vllm-dev")
    name = image.partition("@")[0].rpartition(":")[0] or image
    if not architecture.startswith("gfx") or name not in official:
        return ()
    since = _ROCM_IMAGE_SINCE.get(architecture)
    if since is None:
        known = ", ".join(_ROCM_IMAGE_SINCE)
        text = f"{name} has no kernels for {architecture}; it has {known}"
        return (Refusal("image-architecture", text, is_certain=False),)
    if version is not None and version < since:
        text = f"{architecture} is in {name} from vLLM {since[0]}.{since[1]} on, this is "
        return (Refusal("image-architecture", f"{text}{version[0]}.{version[1]}"),)
    return ()
