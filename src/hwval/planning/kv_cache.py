"""The KV cache of one rank: bytes a token, blocks, and how many tokens fit.

It mirrors vLLM 0.32.0, ``v1/kv_cache_interface.py`` (bytes of a page and blocks a request needs)
and ``v1/core/kv_cache_utils.py`` (groups of layers that share one pool of blocks). Its log prints
tokens in two ways; see ``KvCache.logged_tokens``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hwval.planning.config_values import ShapeError
from hwval.planning.layers import Attention
from hwval.planning.layers import LatentAttention
from hwval.planning.layers import Mamba
from hwval.planning.layers import Mixer
from hwval.planning.layers import StateSpace
from hwval.planning.matrices import ceil_div
from hwval.planning.model_shape import ModelShape
from hwval.planning.parallelism import Parallelism

__all__ = ["DEFAULT_BLOCK_TOKENS", "KvCache", "KvGroup", "kv_cache_of"]

DEFAULT_BLOCK_TOKENS: Final = 16
"""vLLM's ``--block-size`` on GPUs; 128 on CPUs."""
_SIXTEEN_BITS: Final = frozenset({"auto", "bfloat16", "float16", "half"})
_FP8: Final = frozenset({"fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc"})
_SCALED_HEADS: Final = frozenset({"fp8_per_token_head", "int8_per_token_head"})


@dataclass(frozen=True, slots=True)
class KvGroup:
    """Layers that take their blocks together.

    Attributes:
        count: How many such groups there are.
        block_tokens: Tokens in a block.
        window_tokens: Tokens that must be kept; None for all.
        is_state: Whether a request takes one block whatever its length.
    """

    count: int
    block_tokens: int
    window_tokens: int | None = None
    is_state: bool = False

    def blocks(self, length_tokens: int, batch_tokens: int) -> int:
        """Return the blocks that a request of this length takes of all these groups.

        Source: ``max_memory_usage_bytes`` of FullAttentionSpec, SlidingWindowSpec and MambaSpec.
        """
        if self.is_state:
            return self.count
        if self.window_tokens is None:
            return self.count * ceil_div(length_tokens, self.block_tokens)
        kept = min(self.window_tokens - 1 + batch_tokens, length_tokens)
        return self.count * (ceil_div(kept, self.block_tokens) + 1)


@dataclass(frozen=True, slots=True)
class KvCache:
    """How the cache of one rank is laid out.

    Attributes:
        block_bytes: Bytes of a block of the pool, all layers of a group together.
        groups: Groups that draw from the pool; empty for models without a cache.
    """

    block_bytes: int
    groups: tuple[KvGroup, ...]

    @property
    def token_bytes(self) -> float:
        """Bytes by which a request grows with each token once its windows are full."""
        growing = [group for group in self.groups if not group.is_state]
        endless = [group for group in growing if group.window_tokens is None] or growing
        return sum(self.block_bytes * group.count / group.block_tokens for group in endless)

    def blocks(self, available_bytes: float) -> int:
        """Return the blocks that fit; a negative memory fits none."""
        return max(0, int(available_bytes // self.block_bytes)) if self.block_bytes else 0

    def request_bytes(self, length_tokens: int, batch_tokens: int = 2048) -> int:
        """Return what one request of a length takes.

        Args:
            length_tokens: Prompt and answer together, >= 1.
            batch_tokens: ``--max-num-batched-tokens``: a sliding window holds them on top.
        """
        blocks = sum(group.blocks(length_tokens, batch_tokens) for group in self.groups)
        return blocks * self.block_bytes

    def concurrency(
        self, available_bytes: float, length_tokens: int, batch_tokens: int = 2048
    ) -> float:
        """Return how many requests of a length fit: vLLM's "Maximum concurrency"."""
        blocks = sum(group.blocks(length_tokens, batch_tokens) for group in self.groups)
        return self.blocks(available_bytes) / blocks if blocks else 0.0

    def logged_tokens(
        self,
        available_bytes: float,
        length_tokens: int,
        batch_tokens: int = 2048,
        *,
        by_concurrency: bool = True,
    ) -> int:
        """Return the tokens of vLLM's log line "GPU KV cache size".

        Newer versions print concurrency times ``--max-model-len``; older ones (up to 0.20) blocks
        divided by groups times the block size, which for hybrid models is not a capacity.
        """
        if not self.groups:
            return 0
        if by_concurrency:
            return int(
                self.concurrency(available_bytes, length_tokens, batch_tokens) * length_tokens
            )
        groups = sum(group.count for group in self.groups)
        sizes = [group.block_tokens for group in self.groups if not group.is_state]
        return self.blocks(available_bytes) // groups * min(sizes, default=0)

    def longest_request(
        self, available_bytes: float, limit_tokens: int, batch_tokens: int = 2048
    ) -> int:
        """Return the longest request that fits, at most ``limit_tokens``; 0 if none does.

        vLLM keeps one block of the pool back (``check_enough_kv_cache_memory``).
        """
        usable = available_bytes - self.block_bytes
        if not self.groups or self.request_bytes(limit_tokens, batch_tokens) <= usable:
            return limit_tokens
        lengths = range(1, limit_tokens)
        return bisect_right(lengths, usable, key=lambda n: self.request_bytes(n, batch_tokens))


@dataclass(frozen=True, slots=True)
class _LayerCache:
    """Cache of one layer: bytes a token, or a state of fixed size."""

    token_bytes: int
    window_tokens: int | None = None
    state_bytes: int = 0


def _kv_heads_per_rank(kv_heads: int, ranks: int) -> int:
    """Return the KV heads of a rank; with more ranks than heads they are repeated.

    vLLM 0.32.0, ``config/model.py`` get_num_kv_heads.
    """
    return max(1, kv_heads // ranks)


@lru_cache(maxsize=4096)
def kv_cache_of(
    shape: ModelShape,
    parallelism: Parallelism = Parallelism(),  # noqa: B008 - frozen
    *,
    dtype: str = "auto",
    item_bytes: int = 2,
    block_tokens: int = DEFAULT_BLOCK_TOKENS,
    windows_are_full: bool = False,
    draft: ModelShape | None = None,
) -> KvCache:
    """Return how the cache of the rank with most layers is laid out.

    Args:
        shape: The model.
        parallelism: How it is spread.
        dtype: vLLM's ``--kv-cache-dtype``.
        item_bytes: Bytes of an element of the model, which ``auto`` follows.
        block_tokens: ``--block-size``.
        windows_are_full: Whether sliding windows are stored like full attention: the old engine,
            and ``--disable-hybrid-kv-cache-manager``.
        draft: Draft model of speculative decoding, whose layers have caches too; it is divided
            like the model.

    Raises:
        ShapeError: The data type is unknown or does not go with the model.
    """
    layers: Counter[_LayerCache] = Counter()
    for part in (shape, draft):
        if part is None or part.is_encoder:
            continue
        stage = part.stage(parallelism.pipeline if part is shape else 1)
        for layer, count in stage.items():
            for cache in _caches(layer.mixer, parallelism.tensor, dtype, item_bytes):
                kept = None if windows_are_full else cache.window_tokens
                layers[_LayerCache(cache.token_bytes, kept, cache.state_bytes)] += count
    return _layout(layers, block_tokens)


def _caches(mixer: Mixer | None, ranks: int, dtype: str, item_bytes: int) -> list[_LayerCache]:
    if isinstance(mixer, Attention):
        if not mixer.keeps_kv:
            return []
        heads = _kv_heads_per_rank(mixer.kv_heads, ranks)
        head = _head_bytes(mixer.head_dim, dtype, item_bytes)
        value = _head_bytes(mixer.value_dim, dtype, item_bytes)
        return [_LayerCache(heads * (head + value), mixer.window_tokens)]
    if isinstance(mixer, LatentAttention):
        return _latent(mixer, dtype, item_bytes)
    if isinstance(mixer, StateSpace | Mamba):
        return [_LayerCache(0, None, _state_bytes(mixer, ranks, item_bytes))]
    return []


def _head_bytes(elements: int, dtype: str, item_bytes: int) -> int:
    """Return bytes of one head's key or value of a token (``AttentionSpec``, ``KVQuantMode``)."""
    if dtype in _SIXTEEN_BITS:
        return elements * (item_bytes if dtype == "auto" else 2)
    if dtype == "float32":
        return elements * 4
    if dtype in _FP8:
        return elements
    if dtype in _SCALED_HEADS:
        return elements + 4
    if dtype == "nvfp4":
        return elements // 2 + elements // 16
    raise ShapeError(f"--kv-cache-dtype {dtype}: bytes a token are not known for this attention")


def _latent(mixer: LatentAttention, dtype: str, item_bytes: int) -> list[_LayerCache]:
    """MLAAttentionSpec: one latent for all heads, whole on every rank.

    ``fp8_ds_mla`` keeps the latent in FP8 with a float32 scale for each 128 and the rotated part in
    16 bits (656 bytes for 512 + 64). The indexer of sparse attention caches FP8 keys with a scale
    for each 128 (``deepseek_v2.py`` DeepseekV32IndexerCache).
    """
    if dtype == "fp8_ds_mla":
        latent = mixer.kv_rank + 4 * ceil_div(mixer.kv_rank, 128) + 2 * mixer.rope_dim
    else:
        latent = _head_bytes(mixer.kv_rank + mixer.rope_dim, dtype, item_bytes)
    caches = [_LayerCache(latent)]
    if mixer.indexer_dim:
        caches.append(_LayerCache(mixer.indexer_dim + 4 * ceil_div(mixer.indexer_dim, 128)))
    return caches


def _state_bytes(mixer: StateSpace | Mamba, ranks: int, item_bytes: int) -> int:
    """Return bytes of convolution and recurrent state (``mamba/mamba_utils.py``, state shapes)."""
    recurrent = mixer.state_item_bytes or item_bytes
    if isinstance(mixer, StateSpace):
        mixed = 2 * mixer.key_dim * mixer.key_heads + mixer.value_dim * mixer.value_heads
        state = ceil_div(mixer.value_heads, ranks) * mixer.value_dim * mixer.key_dim
    else:
        groups = max(mixer.groups, ranks) if mixer.groups % ranks else mixer.groups
        mixed = mixer.heads * mixer.head_dim + 2 * groups * mixer.state
        state = ceil_div(mixer.heads, ranks) * mixer.head_dim * mixer.state
    return ceil_div(mixed, ranks) * (mixer.kernel - 1) * item_bytes + state * recurrent


def _layout(layers: Mapping[_LayerCache, int], block_tokens: int) -> KvCache:
    """Group layers as ``get_kv_cache_groups`` does.

    Layers of one kind, whatever their sizes, make one group. Layers of several kinds get pages of
    one size, a larger block for small ones and padding for states, and are dealt out to groups of
    as many layers as the rarest kind has (``_get_kv_cache_groups_uniform_page_size``).
    """
    if not layers:
        return KvCache(0, ())
    windows = {(layer.window_tokens, layer.state_bytes > 0) for layer in layers}
    if len(windows) == 1:
        window, is_state = next(iter(windows))
        size = sum(
            count * (layer.state_bytes or layer.token_bytes * block_tokens)
            for layer, count in layers.items()
        )
        return KvCache(size, (KvGroup(1, block_tokens, window, is_state),))
    return _hybrid(layers, block_tokens)


def _hybrid(layers: Mapping[_LayerCache, int], block_tokens: int) -> KvCache:
    state = max(layer.state_bytes for layer in layers)
    widest = max(layer.token_bytes for layer in layers)
    if state:  # Platform._align_hybrid_block_size: a page of attention holds a whole state
        block_tokens *= ceil_div(state, block_tokens * widest)
    page = widest * block_tokens
    buckets: Counter[KvGroup] = Counter()
    for layer, count in layers.items():
        own = layer.token_bytes * block_tokens
        ratio = page // own if own and page % own == 0 else 1
        group = KvGroup(1, block_tokens * ratio, layer.window_tokens, layer.state_bytes > 0)
        buckets[group] += count
    counts = buckets.values()
    size = max(counts) if max(counts) < 1.5 * min(counts) else min(counts)
    groups = tuple(
        KvGroup(ceil_div(count, size), group.block_tokens, group.window_tokens, group.is_state)
        for group, count in buckets.items()
    )
    return KvCache(page * size, groups)
