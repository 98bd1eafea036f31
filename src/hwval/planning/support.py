"""Which data types and quantizations an architecture computes, and which images contain it.

Sources: vLLM 0.32.0 ``platforms/cuda.py`` (bfloat16 from 8.0, FP8 from 8.9), ``platforms/rocm.py``
(supported_quantization), get_min_capability of each method, the table "Supported Hardware" of its
documentation, and ``PYTORCH_ROCM_ARCH`` of ``docker/Dockerfile.rocm_base`` in releases 0.8.5 to
0.33.0; for AMD's formats the LLVM target descriptions and ROCm's precision table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from hwval.planning.engine_settings import Version
from hwval.planning.methods import dtype_refusals
from hwval.planning.methods import rocm_method_refusals
from hwval.planning.quantization import Quantization
from hwval.planning.quantization import WeightFormat
from hwval.planning.refusal import Refusal

__all__ = [
    "capability",
    "environment_refusals",
    "image_refusals",
    "native_fp8",
    "support_refusals",
]

_TPU: Final = re.compile(r"v\d+[a-z]?")
_SM: Final = re.compile(r"sm_(\d+?)(\d)a?")
_OVERRIDE: Final = re.compile(r"(\d{1,2})\.(\d)\.(\d{1,2})")
_AITER: Final = frozenset({"gfx942", "gfx950"})
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
# Methods that ask for more than others of their format: Quark multiplies in FP8 or not at all.
_MIN_OF_METHOD: Final = {
    ("fbgemm_fp8", WeightFormat.FP8): 80,
    ("quark", WeightFormat.FP8): 89,
    ("modelopt", WeightFormat.FP8): 80,
}
# torch_cuda_arch_list of docker/Dockerfile, 0.32.0 and 0.33.0.
_CUDA_IMAGE: Final = (75, 80, 86, 89, 90, 100, 110, 120)
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
    model_type: str = "",
) -> tuple[Refusal, ...]:
    """Return what an architecture cannot compute; nothing if all is supported or unknown.

    Args:
        architecture: ``gfx942``, ``sm_90``, ``x86_64``, ``v6e``: what kernels are compiled for.
        dtype: ``--dtype`` as it comes out: ``bfloat16``, ``float16`` or ``float32``.
        quantization: How the weights are quantized; None for not at all.
        kv_cache_dtype: ``--kv-cache-dtype``.
        version: Release of vLLM; None for an unknown one.
        model_type: transformers' name of the model's family; empty for an unknown one.
    """
    is_amd = architecture.startswith("gfx")
    if capability(architecture) is not None:
        found = _nvidia(architecture, dtype, quantization, version)
    elif is_amd:
        found = _amd(architecture, dtype, quantization, kv_cache_dtype, version)
    elif architecture in {"x86_64", "amd64", "aarch64", "arm64"}:
        found = _cpu(architecture, quantization, kv_cache_dtype)
    else:
        found = _others(architecture, dtype, quantization)
    method = quantization.method if quantization is not None else ""
    return (
        *found,
        *dtype_refusals(method, dtype, model_type=model_type, version=version, is_amd=is_amd),
    )


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
    least = _MIN_OF_METHOD.get((quantization.method, format_), least)
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


def _amd(
    architecture: str,
    dtype: str,
    quantization: Quantization | None,
    kv_cache_dtype: str,
    version: Version | None,
) -> Iterator[Refusal]:
    if kv_cache_dtype.startswith("fp8") and architecture not in _AMD_FP8:
        text = f"{architecture} has no FP8; whether its kernels unpack an FP8 cache differs"
        yield Refusal("kv-cache-dtype", text, is_certain=False)
    if dtype == "bfloat16" and architecture in _AMD_WITHOUT_BF16:
        # vLLM asks for capability 8.0, which gfx9 and gfx10 have by their numbers; its kernels are
        # another matter.
        yield Refusal(
            "bfloat16",
            f"{architecture} has no bfloat16 in hardware; use float16",
            is_certain=False,
        )
    if quantization is None:
        return
    yield from rocm_method_refusals(quantization.method, version)
    yield from _amd_formats(architecture, dtype, quantization)


def _amd_formats(architecture: str, dtype: str, quantization: Quantization) -> Iterator[Refusal]:
    """Yield what speaks against the format of the weights, whatever the release."""
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
        text = f"{architecture} has no NVFP4; weights are decompressed, if at all"
        yield Refusal("quantization", text, is_certain=False)
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


def _others(architecture: str, dtype: str, quantization: Quantization | None) -> Iterator[Refusal]:
    if dtype == "float16" and _TPU.fullmatch(architecture):
        # vLLM 0.10.2, ``platforms/tpu.py``: a warning, and bfloat16 in its place.
        text = "a TPU computes in bfloat16, which vLLM takes in place of float16"
        yield Refusal("float16", text, is_certain=False)
    if quantization is not None:
        yield Refusal(
            "quantization",
            f"whether {architecture} runs {quantization.method} is not known",
            is_certain=False,
        )


def environment_refusals(architecture: str, environment: Mapping[str, str]) -> tuple[Refusal, ...]:
    """Return variables that make an AMD device run what it is not.

    AITER's kernels are built for ``AITER_ROCM_ARCH`` of ``docker/Dockerfile.rocm_base`` (0.32.0).
    ``HSA_OVERRIDE_GFX_VERSION`` makes ROCm load the code of another architecture: 11.0.0 that of
    gfx1100, whatever the device is.

    Args:
        architecture: ``gfx1151``.
        environment: Variables of the engine.
    """
    if not architecture.startswith("gfx"):
        return ()
    found = []
    if environment.get("VLLM_ROCM_USE_AITER", "0").lower() in {"1", "true"} and (
        architecture not in _AITER
    ):
        text = f"AITER has kernels for {' and '.join(sorted(_AITER))}, this is {architecture}"
        found.append(Refusal("aiter", text, is_certain=False))
    override = _OVERRIDE.fullmatch(environment.get("HSA_OVERRIDE_GFX_VERSION", ""))
    if override is not None:
        # gfx90a is 9.0.10: the last digit is hexadecimal.
        other = f"gfx{override[1]}{override[2]}{int(override[3]):x}"
        if other != architecture:
            text = (
                f"HSA_OVERRIDE_GFX_VERSION={override[0]} runs code of {other} on {architecture}; "
                "memory access faults are a frequent report"
            )
            found.append(Refusal("gfx-override", text, is_certain=False))
    return tuple(found)


def image_refusals(
    architecture: str, *, image: str, version: Version | None
) -> tuple[Refusal, ...]:
    """Return whether an image contains kernels for an architecture.

    Only vLLM's and AMD's own images are judged; others are their makers' affair. A binary for one
    architecture of NVIDIA's runs on later ones of the same major number.

    Args:
        architecture: ``gfx1151``.
        image: Reference of the image.
        version: Release of vLLM inside; None for an unknown one.
    """
    official = ("vllm/vllm-openai-rocm", "rocm/vllm", "rocm/vllm-dev")
    name = image.partition("@")[0].rpartition(":")[0] or image
    sm = capability(architecture)
    if sm is not None and name == "vllm/vllm-openai":
        if any(sm // 10 == known // 10 and sm >= known for known in _CUDA_IMAGE):
            return ()
        known_ones = ", ".join(f"sm_{known}" for known in _CUDA_IMAGE)
        text = f"{name} has no kernels for {architecture} of late; 0.33 has {known_ones}"
        return (Refusal("image-architecture", text, is_certain=False),)
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
