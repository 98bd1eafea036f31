"""Runs, does not run, or honestly uncertain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import MemoryDevice
from hwval.planning.interval import GIB_BYTES
from hwval.planning.memory import Cause
from hwval.planning.memory import Fit
from hwval.planning.memory import MemoryPlan
from hwval.planning.memory import files_refusal
from hwval.planning.memory import plan_memory
from hwval.planning.model_shape import ShapeError
from hwval.planning.model_shape import read_shape
from hwval.planning.parallelism import Parallelism
from tests.planning.configs import ALL
from tests.planning.configs import AWQ
from tests.planning.configs import LLAMA_2_7B
from tests.planning.configs import LLAMA_8B
from tests.planning.configs import LLAMA_70B


def card(gib: float, **facts: Any) -> MemoryDevice:
    return MemoryDevice(facts.pop("vendor", "cuda"), int(gib * GIB_BYTES), **facts)


def planned(config: dict[str, Any], device: MemoryDevice, **settings: Any) -> MemoryPlan:
    shape = read_shape(config)
    engine = EngineSettings(version=(0, 32), **settings)
    return plan_memory(shape, engine, device, quantization=shape.quantization)


@pytest.mark.parametrize(
    ("config", "device", "settings", "fit"),
    [
        (LLAMA_8B, card(80), {}, Fit.RUN),
        (LLAMA_8B, card(16), {"max_model_len_tokens": 4096}, Fit.IMPOSSIBLE),
        (LLAMA_8B, card(24), {"max_model_len_tokens": 131072}, Fit.IMPOSSIBLE),
        (LLAMA_8B, card(24), {"max_model_len_tokens": 30000}, Fit.UNCERTAIN),
        (LLAMA_8B, card(24), {"max_model_len_tokens": 4096}, Fit.RUN),
        (LLAMA_2_7B, card(24, vendor="rocm"), {"max_model_len_tokens": 4096}, Fit.RUN),
        (LLAMA_70B, card(80), {"parallelism": Parallelism(1)}, Fit.IMPOSSIBLE),
        (LLAMA_70B, card(80), {"parallelism": Parallelism(4)}, Fit.RUN),
        (
            LLAMA_70B | {"quantization_config": AWQ},
            card(32, vendor="rocm"),
            {"parallelism": Parallelism(2), "max_model_len_tokens": 8192},
            Fit.RUN,
        ),
    ],
)
def test_verdicts(
    config: dict[str, Any], device: MemoryDevice, settings: dict[str, Any], fit: Fit
) -> None:
    """What is far from the border is decided, what straddles it is not."""
    assert planned(config, device, **settings).fit is fit


def test_seventy_billion_in_four_bits_on_two_cards() -> None:
    """18.5 GiB of weights each, 5 GiB for 32,768 tokens."""
    plan = planned(
        LLAMA_70B | {"quantization_config": AWQ},
        card(32, vendor="rocm"),
        parallelism=Parallelism(2),
        gpu_memory_utilization=0.9,
        max_model_len_tokens=32768,
    )

    assert plan.needed_bytes == 5 * GIB_BYTES
    assert plan.requested_bytes == pytest.approx(28.8 * GIB_BYTES)
    assert plan.margin_bytes.high > 0
    assert "5.00 GiB for one request" in plan.reason


def test_what_is_left_is_what_was_asked_less_what_is_taken() -> None:
    """The numbers add up."""
    plan = planned(LLAMA_8B, card(24), max_model_len_tokens=4096)
    required = plan.required_bytes

    assert plan.requested_bytes - required.high == pytest.approx(plan.margin_bytes.low)
    assert plan.requested_bytes - required.low == pytest.approx(plan.margin_bytes.high)
    assert plan.longest_tokens == (4096, 4096)


def test_length_that_would_fit_is_told() -> None:
    """It does fit, surely at its lower and perhaps at its upper end."""
    plan = planned(LLAMA_8B, card(24))
    surely, perhaps = plan.longest_tokens

    assert plan.fit is Fit.IMPOSSIBLE
    assert 0 < surely < perhaps < 131072
    assert planned(LLAMA_8B, card(24), max_model_len_tokens=surely).fit is Fit.RUN
    assert planned(LLAMA_8B, card(24), max_model_len_tokens=perhaps).fit is Fit.UNCERTAIN


def test_cache_of_a_given_size() -> None:
    """``--kv-cache-memory-bytes`` ignores the share, not the device."""
    fits = planned(LLAMA_8B, card(24), kv_cache_memory_bytes=2**30, max_model_len_tokens=8192)
    small = planned(LLAMA_8B, card(24), kv_cache_memory_bytes=2**30, max_model_len_tokens=8193)
    large = planned(LLAMA_8B, card(24), kv_cache_memory_bytes=2**34, max_model_len_tokens=8192)
    close = planned(LLAMA_8B, card(24), kv_cache_memory_bytes=7 * 2**30, max_model_len_tokens=8192)

    assert fits.fit is Fit.RUN
    assert fits.available_bytes.low == fits.available_bytes.high == 2**30
    assert small.fit is Fit.IMPOSSIBLE
    assert large.fit is Fit.IMPOSSIBLE
    assert large.available_bytes.high < 0
    assert close.fit is Fit.UNCERTAIN


@pytest.mark.parametrize("asked_gib", [None, 1, 4])
def test_needs_and_spare_add_up(asked_gib: int | None) -> None:
    """To what the engine may take, with a cache of a given size as without."""
    asked = asked_gib and asked_gib * GIB_BYTES
    plan = planned(LLAMA_8B, card(24), max_model_len_tokens=4096, kv_cache_memory_bytes=asked)

    assert plan.fit is Fit.RUN
    assert plan.required_bytes.high + plan.margin_bytes.low == pytest.approx(plan.requested_bytes)
    assert plan.margin_bytes.low >= 0


@pytest.mark.parametrize(
    ("asked_gib", "tokens", "missing_gib", "why"),
    [
        (100, 4096, 91.0, "--kv-cache-memory-bytes asks for 100 GiB of 24.0 GiB"),
        (12, 4096, 3.5, "--kv-cache-memory-bytes asks for 12.0 GiB, "),
        (1, 16384, 1.0, "for one request, --kv-cache-memory-bytes gives it 1.00 GiB"),
    ],
)
def test_what_is_wrong_with_a_given_size(
    asked_gib: int, tokens: int, missing_gib: float, why: str
) -> None:
    """It is named; what is left is never told as less than nothing."""
    asked = asked_gib * GIB_BYTES
    plan = planned(LLAMA_8B, card(24), max_model_len_tokens=tokens, kv_cache_memory_bytes=asked)

    assert plan.fit is Fit.IMPOSSIBLE
    assert why in plan.reason
    assert " -" not in plan.reason.replace(" --", "")
    assert -plan.margin_bytes.high / GIB_BYTES == pytest.approx(missing_gib, abs=1)


def test_cpus_have_larger_blocks() -> None:
    """128 tokens."""
    node = card(64, vendor="cpu")
    given_gib = {"kv_cache_memory_bytes": 4 * GIB_BYTES, "max_model_len_tokens": 4096}

    plan = planned(LLAMA_8B, node, **given_gib)

    assert plan.fit is Fit.RUN
    assert plan.cache.groups[0].block_tokens == 128


def test_graphs_outside_of_the_share_need_room() -> None:
    """Older engines capture them beside it."""
    shape, device = read_shape(LLAMA_8B), card(24)
    old = EngineSettings(version=(0, 11), max_model_len_tokens=4096, gpu_memory_utilization=0.99)

    plan = plan_memory(shape, old, device)

    assert (plan.fit, plan.cause) == (Fit.UNCERTAIN, Cause.GRAPHS)
    assert "graphs find only" in plan.reason
    assert plan_memory(shape, replace(old, enforce_eager=True), device).fit is Fit.RUN


def test_drafts_take_weights_and_cache() -> None:
    """More of both than the model alone."""
    shape, draft = read_shape(LLAMA_70B), read_shape(LLAMA_8B)
    settings = EngineSettings(parallelism=Parallelism(8), max_model_len_tokens=8192)

    alone = plan_memory(shape, settings, card(80))
    both = plan_memory(shape, settings, card(80), draft=draft)

    assert both.weights.per_rank_bytes > alone.weights.per_rank_bytes
    assert both.needed_bytes > alone.needed_bytes


def test_offloaded_weights_are_elsewhere() -> None:
    """``--cpu-offload-gb`` makes room on the device, never less than none."""
    settings = EngineSettings(max_model_len_tokens=4096, cpu_offload_bytes=8 * GIB_BYTES)

    plan = plan_memory(read_shape(LLAMA_8B), settings, card(16))

    assert plan.fit is Fit.RUN
    everything = replace(settings, cpu_offload_bytes=99 * GIB_BYTES)
    assert plan_memory(read_shape(LLAMA_8B), everything, card(16)).weights.per_rank_bytes == 0


def test_a_length_must_be_known() -> None:
    """From the model or from the engine."""
    shape = read_shape(LLAMA_8B | {"max_position_embeddings": None})

    with pytest.raises(ShapeError, match="how long a request may be"):
        plan_memory(shape, EngineSettings(), card(80))


def test_files_alone_may_be_too_much() -> None:
    """For models of unknown shape."""
    settings = EngineSettings(parallelism=Parallelism(2), gpu_memory_utilization=0.9)

    refusal = files_refusal(140 * 10**9, settings, card(48))

    assert refusal is not None
    assert "a rank of 43.2 GiB" in refusal.text
    assert files_refusal(80 * 10**9, settings, card(48)) is None


@given(
    st.sampled_from(sorted(ALL)),
    st.floats(4, 200),
    st.floats(0, 100),
    st.integers(0, 4),
    st.sampled_from([2048, 32768, 131072]),
)
def test_verdicts_only_get_better_with_memory(
    name: str, gib: float, more_gib: float, power: int, length: int
) -> None:
    """A larger device of the same kind never loses a cell; a shorter request neither."""
    shape = read_shape(ALL[name])
    settings = EngineSettings(
        parallelism=Parallelism(2**power),
        max_model_len_tokens=length,
        max_num_batched_tokens=2048,
        max_num_seqs=64,
    )
    rank = [Fit.IMPOSSIBLE, Fit.UNCERTAIN, Fit.RUN]

    small = plan_memory(shape, settings, card(gib)).fit
    large = plan_memory(shape, settings, card(gib + more_gib)).fit
    short = plan_memory(shape, replace(settings, max_model_len_tokens=1024), card(gib)).fit

    assert rank.index(small) <= rank.index(large)
    assert rank.index(small) <= rank.index(short)
