"""What engines took beside weights and cache lies within the bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import MemoryDevice
from hwval.planning.interval import GIB_BYTES
from hwval.planning.model_shape import ModelShape
from hwval.planning.model_shape import read_shape
from hwval.planning.overhead import activations_bytes
from hwval.planning.overhead import logits_bytes
from hwval.planning.overhead import overhead_of
from hwval.planning.parallelism import Parallelism
from tests.planning.configs import ALL
from tests.planning.configs import LLAMA_8B
from tests.planning.configs import LLAMA_70B
from tests.planning.configs import QWEN2_14B


@pytest.mark.parametrize(
    ("config", "settings", "capacity_gib", "name", "taken_gib"),
    [
        # Share - weights - cache of public logs: L4, A5000, and H100 eager and with graphs.
        (LLAMA_8B, {"version": (0, 11), "max_num_seqs": 128}, 22.05, "L4", 0.55),
        (QWEN2_14B, {"version": (0, 13)}, 23.6, "RTX A5000", 1.47),
        (
            LLAMA_70B,
            {"tensor": 8, "max_num_seqs": 64, "max_num_batched_tokens": 16384, "eager": True},
            79.18,
            "H100",
            2.21,
        ),
        (LLAMA_70B, {"tensor": 8, "max_num_batched_tokens": 16384}, 79.18, "H100", 4.44),
    ],
)
def test_engines_stayed_within(
    config: dict[str, Any],
    settings: dict[str, Any],
    capacity_gib: float,
    name: str,
    taken_gib: float,
) -> None:
    """Small cards and large ones."""
    engine = EngineSettings(
        version=settings.get("version"),
        parallelism=Parallelism(settings.get("tensor", 1)),
        max_num_seqs=settings.get("max_num_seqs"),
        max_num_batched_tokens=settings.get("max_num_batched_tokens"),
        enforce_eager=settings.get("eager", False),
    )
    device = MemoryDevice("cuda", int(capacity_gib * GIB_BYTES), name)

    bounds = overhead_of(read_shape(config), engine, device, 8192)

    assert bounds.low <= taken_gib * GIB_BYTES <= bounds.high


def test_every_part_has_its_reason() -> None:
    """Graphs, towers, shared memory and more ranks each add one."""
    text, image = read_shape(LLAMA_8B), read_shape(ALL["gemma3-4b"])
    card = MemoryDevice("cuda", 80 * GIB_BYTES)
    shared = MemoryDevice("cuda", 120 * GIB_BYTES, unified=True)
    plain, eager = EngineSettings(), EngineSettings(enforce_eager=True)
    two = EngineSettings(enforce_eager=True, parallelism=Parallelism(1, 2))

    def most_gib(shape: ModelShape, settings: EngineSettings, device: MemoryDevice) -> float:
        return overhead_of(shape, settings, device, 4096).high / GIB_BYTES

    least = most_gib(text, eager, card)

    assert most_gib(text, plain, card) == pytest.approx(least + 2)
    assert most_gib(text, eager, shared) == pytest.approx(least + 4)
    assert most_gib(text, two, card) == pytest.approx(least + 1.5)
    blind = most_gib(image, EngineSettings(text_only=True), card)
    assert most_gib(image, plain, card) == pytest.approx(blind + 8)


def test_embedding_models_have_no_logits() -> None:
    """Nothing is sampled."""
    shape = read_shape(LLAMA_8B | {"architectures": ["LlamaModel"]})

    assert logits_bytes(shape, 256).high == 0
    assert logits_bytes(read_shape(LLAMA_8B), 256).high == 36 * 256 * 128256


@given(st.sampled_from(sorted(ALL)), st.integers(1, 65536), st.integers(1, 65536))
def test_larger_steps_never_take_less(name: str, a: int, b: int) -> None:
    """And more ranks never more."""
    shape = read_shape(ALL[name])
    few, many = sorted((a, b))
    small, large = (activations_bytes(shape, tokens, 1, 2) for tokens in (few, many))
    divided = activations_bytes(shape, many, 2, 2)

    assert 0 < small.low <= large.low
    assert small.high <= large.high
    assert divided.low <= large.low
    assert divided.high <= large.high
