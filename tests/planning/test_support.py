"""Which architecture computes what."""

from __future__ import annotations

from typing import Any

import pytest

from hwval.planning.quantization import Quantization
from hwval.planning.quantization import WeightFormat
from hwval.planning.support import environment_refusals
from hwval.planning.support import image_refusals
from hwval.planning.support import native_fp8
from hwval.planning.support import support_refusals

AWQ = Quantization("awq", WeightFormat.INT4, 128)
MARLIN = Quantization("awq_marlin", WeightFormat.INT4, 128)
GPTQ = Quantization("gptq", WeightFormat.INT4, 128)
FP8 = Quantization("fp8", WeightFormat.FP8)
MXFP4 = Quantization("mxfp4", WeightFormat.MXFP4)
QUARK = Quantization("quark", WeightFormat.FP8)
NVFP4 = Quantization("modelopt", WeightFormat.NVFP4)
NF4 = Quantization("bitsandbytes", WeightFormat.NF4)


@pytest.mark.parametrize(
    ("architecture", "dtype", "quantization", "expected"),
    [
        ("sm_75", "bfloat16", None, {("bfloat16", True)}),
        ("sm_75", "float16", AWQ, set()),
        ("sm_70", "float16", AWQ, {("quantization", True)}),
        ("sm_70", "float16", GPTQ, set()),
        ("sm_75", "float16", MXFP4, {("quantization", True), ("quantization-dtype", True)}),
        ("sm_86", "bfloat16", QUARK, {("quantization", True)}),
        ("sm_89", "bfloat16", QUARK, set()),
        ("sm_86", "bfloat16", FP8, set()),
        ("sm_90", "bfloat16", NVFP4, {("quantization", False)}),
        ("sm_120", "bfloat16", NVFP4, set()),
        ("gfx906", "bfloat16", None, {("bfloat16", False)}),
        ("gfx906", "float16", AWQ, set()),
        ("gfx906", "float16", FP8, {("quantization", False)}),
        ("gfx90a", "bfloat16", FP8, {("quantization", False)}),
        ("gfx1100", "bfloat16", FP8, {("quantization", True)}),
        ("gfx1151", "bfloat16", FP8, {("quantization", True)}),
        ("gfx942", "bfloat16", FP8, set()),
        ("gfx1201", "bfloat16", FP8, set()),
        ("gfx942", "bfloat16", AWQ, {("awq-dtype", False)}),
        ("gfx942", "float16", MARLIN, set()),
        ("gfx1030", "bfloat16", None, {("bfloat16", False)}),
        ("gfx942", "float16", NF4, {("quantization", False)}),
        ("gfx942", "bfloat16", NVFP4, {("quantization", False)}),
        ("x86_64", "bfloat16", AWQ, set()),
        ("x86_64", "bfloat16", FP8, {("quantization", True)}),
        ("aarch64", "bfloat16", MXFP4, {("quantization", False)}),
        ("v6e", "bfloat16", AWQ, {("quantization", False)}),
        ("v6e", "bfloat16", None, set()),
        ("v6e", "float16", None, {("float16", False)}),
    ],
)
def test_support(
    architecture: str, dtype: str, quantization: Any, expected: set[tuple[str, bool]]
) -> None:
    """What is refused for sure, and what is only not promised."""
    found = support_refusals(architecture, dtype=dtype, quantization=quantization)

    assert {(refusal.rule, refusal.is_certain) for refusal in found} == expected


@pytest.mark.parametrize(
    ("architecture", "rules"),
    [
        ("gfx1151", ["kv-cache-dtype"]),
        ("gfx942", []),
        ("sm_86", []),
        ("x86_64", ["kv-cache-dtype"]),
    ],
)
def test_fp8_cache(architecture: str, rules: list[str]) -> None:
    """Where nothing computes in FP8, kernels may unpack a cache or not."""
    found = support_refusals(architecture, dtype="float16", kv_cache_dtype="fp8")

    assert [refusal.rule for refusal in found] == rules
    assert not any(refusal.is_certain for refusal in found)


def test_versions_matter() -> None:
    """FP8 on Turing came later; an FP8 cache on CPUs differs."""
    old = support_refusals("sm_75", dtype="float16", quantization=FP8, version=(0, 9))
    cpu = support_refusals("x86_64", dtype="bfloat16", kv_cache_dtype="fp8")

    assert [refusal.text for refusal in old] == ["fp8 (fp8) needs sm_80, this is sm_75"]
    assert [refusal.rule for refusal in cpu] == ["kv-cache-dtype"]


@pytest.mark.parametrize(
    ("architecture", "is_native"),
    [("sm_80", False), ("sm_89", True), ("sm_120", True), ("gfx90a", False), ("gfx950", True)],
)
def test_native_fp8(architecture: str, is_native: bool) -> None:  # noqa: FBT001
    """Ada, CDNA 3 and RDNA 4 were the first."""
    assert native_fp8(architecture) is is_native


@pytest.mark.parametrize(
    ("architecture", "image", "version", "expected"),
    [
        ("gfx942", "vllm/vllm-openai-rocm:v0.32.0", (0, 32), []),
        ("gfx1151", "vllm/vllm-openai-rocm:v0.14.1", (0, 14), []),
        ("gfx1151", "rocm/vllm:old", (0, 9), [True]),
        ("gfx906", "vllm/vllm-openai-rocm:v0.32.0", (0, 32), [False]),
        ("gfx906", "nalanzeyu/vllm-gfx906:v0.11.2-rocm6.3", (0, 11), []),
        ("sm_90", "vllm/vllm-openai:v0.32.0", (0, 32), []),
        ("sm_87", "vllm/vllm-openai:v0.32.0", (0, 32), []),
        ("sm_70", "vllm/vllm-openai:v0.32.0", (0, 32), [False]),
        ("sm_70", "somebody/vllm", (0, 32), []),
        ("gfx1102", "rocm/vllm", None, [False]),
    ],
)
def test_kernels_in_images(
    architecture: str, image: str, version: Any, expected: list[bool]
) -> None:
    """Official images name what they contain; others are not judged."""
    found = image_refusals(architecture, image=image, version=version)

    assert [refusal.is_certain for refusal in found] == expected


@pytest.mark.parametrize(
    ("architecture", "environment", "expected"),
    [
        ("gfx1151", {"VLLM_ROCM_USE_AITER": "1"}, ["aiter"]),
        ("gfx1151", {"VLLM_ROCM_USE_AITER": "0"}, []),
        ("gfx942", {"VLLM_ROCM_USE_AITER": "1"}, []),
        ("gfx1151", {"HSA_OVERRIDE_GFX_VERSION": "11.0.0"}, ["gfx-override"]),
        ("gfx1151", {"HSA_OVERRIDE_GFX_VERSION": "11.5.1"}, []),
        ("gfx90a", {"HSA_OVERRIDE_GFX_VERSION": "9.0.10"}, []),
        ("gfx1102", {"HSA_OVERRIDE_GFX_VERSION": "eleven"}, []),
        ("sm_90", {"HSA_OVERRIDE_GFX_VERSION": "11.0.0", "VLLM_ROCM_USE_AITER": "1"}, []),
    ],
)
def test_variables_that_pretend(
    architecture: str, environment: dict[str, str], expected: list[str]
) -> None:
    """Kernels that are not there, and code of another architecture; neither is certain to fail."""
    found = environment_refusals(architecture, environment)

    assert [refusal.rule for refusal in found] == expected
    assert not any(refusal.is_certain for refusal in found)
