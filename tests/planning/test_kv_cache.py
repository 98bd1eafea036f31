"""The cache against what engines logged, and against itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.planning.interval import GIB_BYTES
from hwval.planning.kv_cache import KvCache
from hwval.planning.kv_cache import kv_cache_of
from hwval.planning.model_shape import ShapeError
from hwval.planning.model_shape import read_shape
from hwval.planning.parallelism import Parallelism
from tests.planning.configs import ALL
from tests.planning.configs import DEEPSEEK_V3
from tests.planning.configs import GEMMA3_4B
from tests.planning.configs import GPT_OSS_20B
from tests.planning.configs import LLAMA_2_7B
from tests.planning.configs import LLAMA_8B
from tests.planning.configs import LLAMA_70B
from tests.planning.configs import QWEN2_14B
from tests.planning.configs import QWEN35_MOE

CACHES = st.builds(
    lambda name, ranks: kv_cache_of(read_shape(ALL[name]), Parallelism(ranks)),
    st.sampled_from(sorted(ALL)),
    st.sampled_from([1, 2, 4, 8]),
)


@pytest.mark.parametrize(
    ("config", "ranks", "dtype", "token_bytes"),
    [
        (LLAMA_2_7B, 1, "auto", 524_288),
        (LLAMA_8B, 1, "auto", 131_072),
        (LLAMA_8B, 1, "fp8", 65_536),
        (LLAMA_8B, 1, "float32", 262_144),
        (LLAMA_70B, 1, "auto", 327_680),
        (LLAMA_70B, 8, "auto", 40_960),
        (LLAMA_70B, 16, "auto", 40_960),  # heads are repeated
        (QWEN2_14B, 1, "bfloat16", 196_608),
        (LLAMA_8B, 1, "fp8_per_token_head", 65_536 + 32 * 8 * 2 * 4),
        (DEEPSEEK_V3, 1, "auto", 61 * 576 * 2),
        (DEEPSEEK_V3, 8, "auto", 61 * 576 * 2),  # whole on every rank
        (DEEPSEEK_V3, 1, "fp8_ds_mla", 61 * 656),
    ],
)
def test_bytes_a_token(config: dict[str, Any], ranks: int, dtype: str, token_bytes: int) -> None:
    """Grouped, multi-head and latent attention; types; ranks."""
    cache = kv_cache_of(read_shape(config), Parallelism(ranks), dtype=dtype)

    assert cache.token_bytes == token_bytes


def test_unknown_types_are_refused() -> None:
    """And so is a type that is of latent attention only."""
    for dtype in ("fp3", "fp8_ds_mla"):
        with pytest.raises(ShapeError, match=f"--kv-cache-dtype {dtype}"):
            kv_cache_of(read_shape(LLAMA_8B), dtype=dtype)


@pytest.mark.parametrize(
    ("config", "ranks", "available_gib", "length", "tokens"),
    [
        # "Available KV cache memory" and "GPU KV cache size" of public logs.
        (LLAMA_8B, 1, 4.75, 32000, 38_944),
        (LLAMA_70B, 8, 46.4, 16384, 1_216_256),
        (QWEN2_14B, 4, 12.79, 16384, 279_408),
        (QWEN35_MOE, 1, 47.55, 131072, 623_040),
    ],
)
def test_engines_logged_the_same_tokens(
    config: dict[str, Any], ranks: int, available_gib: float, length: int, tokens: int
) -> None:
    """Given the memory, to one in a thousand: the log rounds it."""
    cache = kv_cache_of(read_shape(config), Parallelism(ranks))

    logged = cache.logged_tokens(available_gib * GIB_BYTES, length, by_concurrency=False)

    assert logged == pytest.approx(tokens, rel=0.001)


def test_indexer_of_sparse_attention_has_a_cache() -> None:
    """GLM-5.2: 78 x 656 + 21 x 132 bytes, as three logs show."""
    config = DEEPSEEK_V3 | {
        "num_hidden_layers": 78,
        "index_head_dim": 128,
        "index_n_heads": 32,
        "index_topk_freq": 4,
        "index_skip_topk_offset": 3,
    }

    cache = kv_cache_of(read_shape(config), Parallelism(4), dtype="fp8_ds_mla")

    assert cache.token_bytes == 53_940


def test_states_make_large_blocks() -> None:
    """Qwen3.5-35B-A3B with an FP8 cache: "Setting attention block size to 2096 tokens"."""
    cache = kv_cache_of(read_shape(QWEN35_MOE), dtype="fp8")

    assert {group.block_tokens for group in cache.groups} == {2096}
    assert {(group.count, group.is_state) for group in cache.groups} == {(3, True), (1, False)}
    assert cache.token_bytes == 10 * 2 * 2 * 256


def test_windows_need_less_than_full_attention() -> None:
    """Gemma 3: six groups with windows to one without; older engines store all."""
    shape = read_shape(GEMMA3_4B)
    windows, full = kv_cache_of(shape), kv_cache_of(shape, windows_are_full=True)

    assert full.token_bytes == 34 * 4 * 256 * 2 * 2
    assert windows.request_bytes(131072) < full.request_bytes(131072) / 4
    assert windows.request_bytes(512) >= full.request_bytes(512)


def test_windows_hold_the_tokens_of_a_step_too() -> None:
    """One layer kind in two: the window, a step, and a block for where it begins."""
    group = next(
        group for group in kv_cache_of(read_shape(GPT_OSS_20B)).groups if group.window_tokens
    )

    assert group.blocks(10_000, 2048) == -(-(127 + 2048) // 16) + 1
    assert group.blocks(100, 2048) == -(-100 // 16) + 1


def test_drafts_and_encoders() -> None:
    """A draft's layers are cached too; an encoder's are not."""
    shape = read_shape(LLAMA_70B)
    draft = read_shape(LLAMA_8B)
    encoder = read_shape(LLAMA_8B | {"model_type": "nomic_bert"})

    both = kv_cache_of(shape, draft=draft)

    assert both.token_bytes == 327_680 + 131_072
    assert kv_cache_of(encoder) == KvCache(0, ())
    assert kv_cache_of(encoder).longest_request(0, 512) == 512
    assert kv_cache_of(encoder).logged_tokens(10**9, 512) == 0


def test_stages_hold_their_own_layers() -> None:
    """The largest decides: 14 of 27."""
    shape = read_shape(LLAMA_8B | {"num_hidden_layers": 27})

    assert kv_cache_of(shape, Parallelism(1, 2)).token_bytes == 14 * 4096


@given(CACHES, st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 65536))
def test_longer_requests_never_need_less(cache: KvCache, a: int, b: int, batch: int) -> None:
    """In whole blocks, of any kind of layers."""
    short, long = sorted((a, b))

    assert 0 < cache.request_bytes(short, batch) <= cache.request_bytes(long, batch)


@given(CACHES, st.integers(0, 10**12), st.integers(1, 10**6), st.integers(1, 65536))
def test_longest_request_fits_and_the_next_does_not(
    cache: KvCache, available: int, limit: int, batch: int
) -> None:
    """One block of the pool is kept back."""
    longest = cache.longest_request(available, limit, batch)

    assert 0 <= longest <= limit
    usable = available - cache.block_bytes
    assert longest == 0 or cache.request_bytes(longest, batch) <= usable
    assert longest == limit or cache.request_bytes(longest + 1, batch) > usable


@given(CACHES, st.integers(-(10**9), 10**12), st.integers(0, 10**11), st.booleans())
def test_more_memory_never_holds_fewer_tokens(
    cache: KvCache,
    available: int,
    more: int,
    by_concurrency: bool,  # noqa: FBT001
) -> None:
    """Whichever way they are counted."""
    tokens = [
        cache.logged_tokens(size, 8192, by_concurrency=by_concurrency)
        for size in (available, available + more)
    ]

    assert 0 <= tokens[0] <= tokens[1]


@given(st.sampled_from(sorted(ALL)), st.integers(0, 3))
def test_more_ranks_never_cache_more_a_token(name: str, power: int) -> None:
    """Latent attention and repeated heads are the same on each rank, all else is less."""
    shape = read_shape(ALL[name])

    one, two = (kv_cache_of(shape, Parallelism(ranks)) for ranks in (2**power, 2 ** (power + 1)))

    assert two.token_bytes <= one.token_bytes
