"""The parts that decoder layers are made of, as values: what mixes tokens, and what follows it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Attention",
    "Experts",
    "LatentAttention",
    "Layer",
    "Mamba",
    "Mixer",
    "Mlp",
    "StateSpace",
]


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention with keys and values per head: multi-head, grouped or multi-query.

    Attributes:
        heads: Query heads.
        kv_heads: Key and value heads, 1..heads.
        head_dim: Elements of a query or key head.
        value_dim: Elements of a value head.
        window_tokens: Tokens that a query sees, by a sliding window or a chunk; None for all.
        biased: Whether queries, keys and values have biases.
        normed: Whether queries and keys are normalised.
        gated: Whether the output is gated, which doubles the query projection.
        keeps_kv: Whether it has a cache of its own; False where it reads an earlier layer's.
    """

    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    window_tokens: int | None = None
    biased: bool = False
    normed: bool = False
    gated: bool = False
    keeps_kv: bool = True


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): one latent for all heads.

    Attributes:
        heads: Query heads.
        kv_rank: Elements of the latent.
        rope_dim: Elements of the shared key that carry the position.
        nope_dim: Elements of a head's key that do not.
        value_dim: Elements of a head's value.
        query_rank: Elements of the compressed query; None if it is not compressed.
        indexer_dim: Elements of a key of the sparse attention's indexer (DeepSeek-V3.2); 0 without.
        indexer_heads: Query heads of that indexer.
    """

    heads: int
    kv_rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    query_rank: int | None = None
    indexer_dim: int = 0
    indexer_heads: int = 0


@dataclass(frozen=True, slots=True)
class StateSpace:
    """Gated delta net, linear attention with a state of fixed size (arXiv:2412.06464).

    Attributes:
        key_heads: Heads of queries and keys.
        value_heads: Heads of values.
        key_dim: Elements of a key.
        value_dim: Elements of a value.
        kernel: Taps of the convolution before it.
        state_item_bytes: Bytes of an element of the recurrent state; 0 for the model's dtype.
    """

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int
    state_item_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Mamba:
    """Mamba-2 mixer (arXiv:2405.21060).

    Attributes:
        heads: Heads of the state.
        head_dim: Elements of a head.
        groups: Groups that share B and C.
        state: Elements of the state of each head element.
        kernel: Taps of the convolution before it.
        state_item_bytes: Bytes of an element of the recurrent state; 0 for the model's dtype.
    """

    heads: int
    head_dim: int
    groups: int
    state: int
    kernel: int
    state_item_bytes: int = 0


Mixer = Attention | LatentAttention | StateSpace | Mamba
"""What lets tokens of a layer see each other."""


@dataclass(frozen=True, slots=True)
class Mlp:
    """A dense feed-forward network.

    Attributes:
        width: Inner width.
        gated: Whether it has a gate beside the up projection (SwiGLU and its like).
    """

    width: int
    gated: bool = True


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of experts.

    Attributes:
        count: Routed experts.
        active: Routed experts that see a token, 1..count.
        width: Inner width of a routed expert.
        shared_width: Inner width of all shared experts together; 0 without.
        dense_width: Inner width of a dense network beside the experts (Gemma 4); 0 without.
        gated: Whether experts have a gate projection.
        biased: Whether experts have biases.
    """

    count: int
    active: int
    width: int
    shared_width: int = 0
    dense_width: int = 0
    gated: bool = True
    biased: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer; layers of hybrid models may have only one of the two."""

    mixer: Mixer | None
    feed_forward: Mlp | Experts | None
