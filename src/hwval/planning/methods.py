"""Which methods of quantization and which data types a release of vLLM takes at all.

What an architecture computes is another question (``support``). Sources: ``supported_quantization``
of ``vllm/platforms/rocm.py`` in every release from 0.6.5 to 0.33.0 (others raise "quantization is
currently not supported"); get_supported_act_dtypes of each method in 0.32.0, and of AWQ and GPTQ
before their ``auto_`` forms ("is not supported for quantization method"); for models
``_FLOAT16_NOT_SUPPORTED_MODELS`` of ``vllm/config/model.py``, which came with 0.9.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hwval.planning.engine_settings import Version
from hwval.planning.refusal import Refusal

__all__ = ["dtype_refusals", "rocm_method_refusals"]

# Method -> first release that takes it on ROCm, and the first that no longer does.
_ROCM: Final[dict[str, tuple[Version, Version | None]]] = {
    "awq": ((0, 6), None),
    "gptq": ((0, 6), None),
    "fp8": ((0, 6), None),
    "compressed-tensors": ((0, 6), None),
    "fbgemm_fp8": ((0, 6), None),
    "gguf": ((0, 6), (0, 24)),
    "quark": ((0, 7), None),
    "ptpc_fp8": ((0, 7), (0, 19)),
    "mxfp4": ((0, 10), None),
    "petit_nvfp4": ((0, 10), (0, 20)),
    "torchao": ((0, 10), None),
    "awq_marlin": ((0, 14), None),
    "gptq_marlin": ((0, 14), (0, 25)),
    "bitsandbytes": ((0, 17), (0, 28)),
    "gpt_oss_mxfp4": ((0, 20), None),
    "modelopt_fp4": ((0, 20), None),
    **dict.fromkeys(
        (
            *("modelopt", "modelopt_mixed", "modelopt_mxfp8", "mxfp8", "deepseek_v4_fp8"),
            *("fp8_per_tensor", "fp8_per_block", "online"),
        ),
        ((0, 21), None),
    ),
    "auto_gptq": ((0, 22), None),
    "auto_awq": ((0, 24), None),
    "fp8_per_channel": ((0, 24), None),
    "inc": ((0, 28), None),
}
_OLDEST_LIST: Final[Version] = (0, 6)
_NEWEST_LIST: Final[Version] = (0, 33)

_SIXTEEN_BITS: Final = frozenset({"float16", "bfloat16"})
_DTYPES: Final = {
    **dict.fromkeys(
        (
            *("awq", "auto_awq", "awq_marlin", "gptq", "auto_gptq", "gptq_marlin"),
            *("fp8", "fbgemm_fp8", "experts_int8", "moe_wna16", "modelopt", "modelopt_fp4"),
            *("quark", "inc", "fp8_per_tensor", "fp8_per_block", "fp8_per_channel"),
        ),
        _SIXTEEN_BITS,
    ),
    "mxfp4": frozenset({"bfloat16"}),
    "gpt_oss_mxfp4": frozenset({"bfloat16"}),
    "fp_quant": frozenset({"bfloat16"}),
}
# Before these releases the plain kernels, which ROCm runs, took float16 alone.
_FLOAT16_ALONE_BEFORE: Final[dict[str, Version]] = {"awq": (0, 24), "gptq": (0, 22)}

_NO_FLOAT16: Final = frozenset({"gemma2", "gemma3", "gemma3_text", "glm4"})
"""Families that vLLM refuses in float16: "Numerical instability"."""
_NO_FLOAT16_UNTIL: Final[dict[str, Version]] = {"plamo2": (0, 28)}
_NO_FLOAT16_SINCE: Final[Version] = (0, 10)


def rocm_method_refusals(method: str, version: Version | None) -> Iterator[Refusal]:
    """Yield why ROCm does not take a method; of an unknown release what the newest does.

    Args:
        method: vLLM's name of it.
        version: Release of vLLM; None for an unknown one.
    """
    at = version or _NEWEST_LIST
    since, until = _ROCM.get(method, (None, None))
    is_known = version is not None and _OLDEST_LIST < version <= _NEWEST_LIST
    name = "vLLM" if version is None else f"vLLM {at[0]}.{at[1]}"
    if since is None:
        yield Refusal(
            "quantization", f"{name} does not list {method} for ROCm", is_certain=is_known
        )
    elif at < since:
        text = f"{name} does not take {method} on ROCm, {since[0]}.{since[1]} and later do"
        yield Refusal("quantization", text, is_certain=is_known)
    elif until is not None and at >= until:
        text = f"{name} does not take {method} on ROCm, releases before {until[0]}.{until[1]} did"
        yield Refusal("quantization", text, is_certain=is_known)


def dtype_refusals(
    method: str,
    dtype: str,
    *,
    model_type: str = "",
    version: Version | None = None,
    is_amd: bool = False,
) -> Iterator[Refusal]:
    """Yield why a data type is refused for a method of quantization or a family of models.

    Args:
        method: vLLM's name of it; empty for none.
        dtype: ``--dtype`` as it comes out.
        model_type: transformers' name of the family.
        version: Release of vLLM; None for an unknown one.
        is_amd: Whether the plain kernels of AWQ and GPTQ run, rather than Marlin's.
    """
    allowed = _DTYPES.get(method)
    if allowed is not None and dtype not in allowed:
        yield Refusal("quantization-dtype", f"{method} takes {_or(allowed)}, not {dtype}")
    before = _FLOAT16_ALONE_BEFORE.get(method)
    if before is not None and is_amd and dtype == "bfloat16" and version and version < before:
        release = f"{before[0]}.{before[1]}"
        text = f"{method} on AMD takes float16 alone before vLLM {release}; use --dtype float16"
        yield Refusal("quantization-dtype", text)
    if dtype == "float16" and _refuses_float16(model_type, version):
        text = f"vLLM refuses float16 for {model_type}: numbers leave its range; use bfloat16"
        is_certain = version is None or version >= _NO_FLOAT16_SINCE
        yield Refusal("model-dtype", text, is_certain=is_certain)


def _refuses_float16(model_type: str, version: Version | None) -> bool:
    until = _NO_FLOAT16_UNTIL.get(model_type)
    if until is not None:
        return version is not None and version < until
    return model_type in _NO_FLOAT16


def _or(names: frozenset[str]) -> str:
    return " or ".join(sorted(names))
