"""What the planner is told of a cell's engine."""

from __future__ import annotations

import json

import pytest

from hwval.catalogue import Vendor
from hwval.cell import ArgValue
from hwval.errors import UsageError
from hwval.forecast.settings import EngineSetup
from hwval.forecast.settings import read_setup
from hwval.planning.engine_settings import Version

GIB = 2**30


def read(
    arguments: dict[str, ArgValue] | None = None,
    environment: dict[str, str] | None = None,
    *,
    vendor: Vendor = Vendor.CUDA,
    version: Version | None = (0, 32),
) -> EngineSetup:
    return read_setup(
        tuple((arguments or {}).items()),
        tuple((environment or {}).items()),
        vendor=vendor,
        version=version,
    )


def test_flags_of_memory() -> None:
    """Every flag that decides memory arrives, in base units."""
    settings = read(
        {
            "tensor-parallel-size": 4,
            "pipeline-parallel-size": 2,
            "data-parallel-size": 3,
            "enable-expert-parallel": True,
            "max-model-len": 8192,
            "gpu-memory-utilization": 0.85,
            "max-num-seqs": 64,
            "max-num-batched-tokens": 4096,
            "kv-cache-dtype": "fp8",
            "kv-cache-memory-bytes": "10G",
            "block-size": 32,
            "enforce-eager": True,
            "cpu-offload-gb": 2,
            "disable-hybrid-kv-cache-manager": True,
            "language-model-only": True,
        }
    ).settings
    parallelism = settings.parallelism

    assert (parallelism.tensor, parallelism.pipeline, parallelism.data) == (4, 2, 3)
    assert parallelism.expert_parallel
    assert (settings.max_model_len_tokens, settings.gpu_memory_utilization) == (8192, 0.85)
    assert (settings.max_num_seqs, settings.max_num_batched_tokens) == (64, 4096)
    assert (settings.kv_cache_dtype, settings.kv_cache_memory_bytes) == ("fp8", 10 * GIB)
    assert (settings.block_tokens, settings.cpu_offload_bytes) == (32, 2 * GIB)
    assert settings.enforce_eager
    assert not settings.hybrid_cache
    assert settings.text_only


def test_nothing_said_is_vllms_default() -> None:
    """None stands for it."""
    setup = read()

    assert setup.settings.max_model_len_tokens is None
    assert setup.settings.gpu_memory_utilization is None
    assert (setup.quantization, setup.draft, setup.is_speculative) == (None, "", False)


@pytest.mark.parametrize(
    ("vendor", "version", "space", "expected"),
    [
        (Vendor.CPU, (0, 32), "8", 8 * GIB),
        (Vendor.CPU, (0, 32), None, None),
        (Vendor.CPU, (0, 11), None, 4 * GIB),
        (Vendor.CPU, (0, 32), "1 GiB", None),
        (Vendor.CUDA, (0, 32), "8", None),
    ],
)
def test_cache_of_processors(
    vendor: Vendor, version: Version, space: str | None, expected: int | None
) -> None:
    """The variable counts on processors alone; older engines took 4 GiB without it."""
    environment = {} if space is None else {"VLLM_CPU_KVCACHE_SPACE": space}
    settings = read({}, environment, vendor=vendor, version=version).settings

    assert settings.kv_cache_memory_bytes == expected


@pytest.mark.parametrize(
    ("vendor", "space", "expected", "key"),
    [
        (Vendor.CPU, "8", 8 * GIB, "VLLM_CPU_KVCACHE_SPACE"),
        (Vendor.CPU, "", 2 * GIB, "--kv-cache-memory-bytes"),
        (Vendor.CUDA, "8", 2 * GIB, "--kv-cache-memory-bytes"),
    ],
)
def test_variable_stands_over_the_flag(vendor: Vendor, space: str, expected: int, key: str) -> None:
    """On processors; reasons name the one that counts."""
    environment = {"VLLM_CPU_KVCACHE_SPACE": space}
    settings = read({"kv-cache-memory-bytes": "2G"}, environment, vendor=vendor).settings

    assert (settings.kv_cache_memory_bytes, settings.cache_key) == (expected, key)


def test_json_arguments() -> None:
    """A matrix writes mappings, which become JSON."""
    setup = read(
        {
            "speculative-config": json.dumps({"model": "a/b", "num_speculative_tokens": 3}),
            "hf-overrides": json.dumps({"num_hidden_layers": 2}),
            "compilation-config": json.dumps({"cudagraph_mode": "NONE"}),
            "limit-mm-per-prompt": json.dumps({"image": 0}),
            "quantization": "fp8",
        },
        {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"},
    )

    assert (setup.draft, setup.is_speculative, setup.quantization) == ("a/b", True, "fp8")
    assert setup.overrides == {"num_hidden_layers": 2}
    assert setup.settings.enforce_eager
    assert setup.settings.text_only
    assert setup.settings.expandable_segments is True


def test_speculation_without_a_draft_model() -> None:
    """N-grams take no memory; the old flag names the same."""
    assert read({"speculative-config": json.dumps({"method": "ngram"})}).draft == ""
    assert read({"speculative-model": "[ngram]"}).draft == ""
    assert read({"speculative-model": "a/b"}).draft == "a/b"


@pytest.mark.parametrize(("text", "tokens"), [("8192", 8192), ("32k", 32000), ("1K", 1024)])
def test_counts_as_vllm_writes_them(text: str, tokens: int) -> None:
    """Small letters are powers of 1000, capitals of 1024."""
    assert read({"max-model-len": text}).settings.max_model_len_tokens == tokens


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"max-model-len": "auto"}, "--max-model-len is 'auto'"),
        ({"max-model-len": -1}, "--max-model-len is -1"),
        ({"tensor-parallel-size": True}, "--tensor-parallel-size is True"),
        ({"gpu-memory-utilization": "much"}, "gpu-memory-utilization is 'much'"),
        ({"gpu-memory-utilization": 1.5}, "gpu-memory-utilization is 1.5"),
        ({"speculative-config": "[]"}, r"--speculative-config is '\[\]'"),
    ],
)
def test_what_is_not_understood_is_told(arguments: dict[str, ArgValue], problem: str) -> None:
    """By the flag and its value."""
    with pytest.raises(UsageError, match=problem):
        read(arguments)
