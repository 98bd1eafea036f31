"""Which release takes which method and data type."""

from __future__ import annotations

import pytest

from hwval.planning.engine_settings import Version
from hwval.planning.methods import dtype_refusals
from hwval.planning.methods import rocm_method_refusals


@pytest.mark.parametrize(
    ("method", "version", "expected"),
    [
        ("awq", (0, 33), []),
        ("awq", None, []),
        ("quark", (0, 7), []),
        ("mxfp4", (0, 9), [True]),
        ("awq_marlin", (0, 13), [True]),
        ("awq_marlin", (0, 14), []),
        ("bitsandbytes", (0, 16), [True]),
        ("bitsandbytes", (0, 17), []),
        ("bitsandbytes", (0, 28), [True]),
        ("bitsandbytes", None, [False]),
        ("gguf", (0, 24), [True]),
        ("exl2", (0, 32), [True]),
        ("exl2", (0, 40), [False]),
    ],
)
def test_methods_on_rocm(method: str, version: Version | None, expected: list[bool]) -> None:
    """Lists of the releases that were looked at decide; of others nothing is certain."""
    found = list(rocm_method_refusals(method, version))

    assert [refusal.is_certain for refusal in found] == expected


def test_sentences_name_the_releases() -> None:
    """What is not taken, and which releases do."""
    (early,) = rocm_method_refusals("mxfp4", (0, 9))
    (late,) = rocm_method_refusals("gguf", (0, 24))

    assert early.text == "vLLM 0.9 does not take mxfp4 on ROCm, 0.10 and later do"
    assert late.text == "vLLM 0.24 does not take gguf on ROCm, releases before 0.24 did"


@pytest.mark.parametrize(
    ("method", "dtype", "family", "version", "expected"),
    [
        ("", "float16", "gemma3", (0, 32), [("model-dtype", True)]),
        ("", "float16", "gemma3_text", None, [("model-dtype", True)]),
        ("", "float16", "gemma2", (0, 9), [("model-dtype", False)]),
        ("", "bfloat16", "gemma3", (0, 32), []),
        ("", "float32", "gemma3", (0, 32), []),
        ("", "float16", "plamo2", (0, 20), [("model-dtype", True)]),
        ("", "float16", "plamo2", (0, 28), []),
        ("", "float16", "llama", (0, 32), []),
        ("mxfp4", "float16", "", None, [("quantization-dtype", True)]),
        ("fp8", "float32", "", None, [("quantization-dtype", True)]),
        ("compressed-tensors", "float32", "", None, []),
        ("", "float32", "llama", None, []),
    ],
)
def test_dtypes(
    method: str,
    dtype: str,
    family: str,
    version: Version | None,
    expected: list[tuple[str, bool]],
) -> None:
    """vLLM checks methods and families before it loads anything."""
    found = dtype_refusals(method, dtype, model_type=family, version=version)

    assert [(refusal.rule, refusal.is_certain) for refusal in found] == expected


@pytest.mark.parametrize(
    ("version", "is_amd", "expected"),
    [((0, 23), True, 1), ((0, 24), True, 0), ((0, 23), False, 0), (None, True, 0)],
)
def test_plain_awq_takes_float16_alone(
    version: Version | None,
    is_amd: bool,  # noqa: FBT001
    expected: int,
) -> None:
    """On NVIDIA Marlin's kernels take its place, and from 0.24 on AWQ's own take both."""
    found = list(dtype_refusals("awq", "bfloat16", version=version, is_amd=is_amd))

    assert len(found) == expected
