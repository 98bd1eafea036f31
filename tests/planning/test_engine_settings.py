"""Defaults of the command line, by version and device."""

from __future__ import annotations

from typing import Any

import pytest

from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import MemoryDevice
from hwval.planning.engine_settings import Version
from hwval.planning.engine_settings import parse_version
from hwval.planning.interval import GIB_BYTES
from hwval.planning.parallelism import Parallelism

SMALL = MemoryDevice("cuda", 24 * GIB_BYTES, "RTX 3090")
LARGE = MemoryDevice("cuda", 80 * GIB_BYTES, "H100")
HUGE = MemoryDevice("rocm", 192 * GIB_BYTES, "MI300X")
A100 = MemoryDevice("cuda", 80 * GIB_BYTES, "NVIDIA A100-SXM4-80GB")
CPU = MemoryDevice("cpu", 64 * GIB_BYTES)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0.32.0", (0, 32)),
        ("v0.11.2-rocm6.3", (0, 11)),
        ("0.7.x", (0, 7)),
        ("0.23.1rc1.dev1201+gd08eebad1", (0, 23)),
        ("0.1.dev15917+g0a6396b45", None),
        ("dev", None),
        ("", None),
        (None, None),
    ],
)
def test_versions(text: str | None, version: Version | None) -> None:
    """Builds without tags name no release."""
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("device", "version", "tokens", "seqs"),
    [
        (SMALL, (0, 32), 2048, 256),
        (LARGE, (0, 32), 8192, 1024),
        (A100, (0, 32), 2048, 256),
        (HUGE, (0, 32), 16384, 1024),
        (HUGE, (0, 10), 8192, 1024),
        (SMALL, (0, 6), 32768, 256),
        (CPU, (0, 32), 2048, 128),
        (MemoryDevice("tpu", 32 * GIB_BYTES, "Google TPU v6e (Trillium)"), (0, 32), 1024, 256),
        (MemoryDevice("tpu", 95 * GIB_BYTES, "Google TPU v5p"), (0, 32), 256, 256),
        (MemoryDevice("tpu", 32 * GIB_BYTES, "Google TPU v4"), (0, 32), 2048, 256),
        (LARGE, None, 8192, 1024),
    ],
)
def test_tokens_of_a_step(
    device: MemoryDevice, version: Version | None, tokens: int, seqs: int
) -> None:
    """By the memory of the device; once a whole prompt."""
    settings = EngineSettings(version=version)

    assert settings.batch_tokens(device, 32768) == tokens
    assert settings.seqs(device) == seqs
    assert EngineSettings(max_num_batched_tokens=512).batch_tokens(device, 32768) == 512
    assert EngineSettings(max_num_seqs=7).seqs(device) == 7


def test_defaults_change_with_versions() -> None:
    """Share of the device, graphs, windows and the log."""
    old, new = EngineSettings(version=(0, 9)), EngineSettings(version=(0, 32))

    assert (old.utilization, new.utilization) == (0.9, 0.92)
    assert (old.estimates_graphs, new.estimates_graphs) == (False, True)
    assert (old.windows_are_full, new.windows_are_full) == (True, False)
    assert (old.logs_by_concurrency, new.logs_by_concurrency) == (False, True)
    assert not EngineSettings(enforce_eager=True).estimates_graphs
    assert EngineSettings(hybrid_cache=False).windows_are_full
    assert EngineSettings(gpu_memory_utilization=0.5).utilization == 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"gpu_memory_utilization": 0},
        {"gpu_memory_utilization": 1.5},
        {"max_model_len_tokens": 0},
        {"max_num_seqs": -1},
    ],
)
def test_nonsense_is_refused(change: dict[str, Any]) -> None:
    """With the name and what is allowed."""
    with pytest.raises(ValueError, match="allowed"):
        EngineSettings(**change)


def test_devices_and_ranks_are_positive() -> None:
    """A device has memory, an engine has ranks."""
    with pytest.raises(ValueError, match="0 bytes of memory"):
        MemoryDevice("cuda", 0)
    with pytest.raises(ValueError, match="at least 1"):
        Parallelism(0)
    assert Parallelism(4, 2, 2).ranks == 16
    assert Parallelism(4, 1, 2, expert_parallel=True).expert_ranks == 8
    assert Parallelism(4).expert_ranks == 1
