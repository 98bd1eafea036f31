"""The matrices that one rank of a tensor-parallel engine holds, as vLLM lays them out.

Sources, all vLLM 0.32.0: fused projections and their split in ``model_executor/layers/linear.py``
(QKVParallelLinear, MergedColumnParallelLinear, RowParallelLinear), the padded vocabulary in
``vocab_parallel_embedding.py``, experts in ``fused_moe/layer.py``, latent attention in
``attention/mla_attention.py``, state spaces in ``mamba/mamba_mixer2.py`` and the models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from hwval.planning.layers import Attention
from hwval.planning.layers import Experts
from hwval.planning.layers import LatentAttention
from hwval.planning.layers import Layer
from hwval.planning.layers import Mamba
from hwval.planning.layers import Mlp
from hwval.planning.layers import StateSpace

__all__ = ["Matrix", "Split", "ceil_div", "layer_matrices", "padded_vocab"]

_VOCAB_PADDING: Final = 64
"""Rows that the vocabulary is padded to (DEFAULT_VOCAB_PADDING_SIZE)."""


class Split(StrEnum):
    """How a matrix is divided among the ranks."""

    OUTPUT = "output"
    """Column parallel: each rank has some of the outputs."""
    INPUT = "input"
    """Row parallel: each rank has some of the inputs."""
    NONE = "none"
    """Each rank has all of it."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A tensor of one rank: matrices of one size, one behind the other.

    Attributes:
        module: Name below the layer of the (first) module of the checkpoint that is in it.
        outputs: Output features on this rank.
        inputs: Input features on this rank.
        split: How it came to this size.
        copies: Matrices in the tensor; the experts of a rank.
        quantized: Whether a quantized checkpoint quantizes it, unless it says otherwise.
        routed: Whether it belongs to routed experts, which a token uses in part.
    """

    module: str
    outputs: int
    inputs: int
    split: Split = Split.OUTPUT
    copies: int = 1
    quantized: bool = True
    routed: bool = False

    @property
    def elements(self) -> int:
        """Elements of the tensor."""
        return self.outputs * self.inputs * self.copies


def ceil_div(number: int, divisor: int) -> int:
    """Return the quotient, rounded up."""
    return -(-number // divisor)


def padded_vocab(vocab: int, ranks: int = 1) -> int:
    """Return the rows of the embedding on one of ``ranks`` ranks.

    vLLM 0.32.0, ``vocab_parallel_embedding.py``: padded to a multiple of 64, then divided.
    """
    return ceil_div(ceil_div(vocab, _VOCAB_PADDING) * _VOCAB_PADDING, ranks)


@lru_cache(maxsize=1024)
def layer_matrices(
    layer: Layer, hidden: int, ranks: int = 1, expert_ranks: int = 1
) -> tuple[Matrix, ...]:
    """Return the matrices of one layer on one rank.

    Args:
        layer: The layer.
        hidden: Width of the residual stream.
        ranks: Tensor-parallel size, >= 1.
        expert_ranks: Ranks that experts are spread over whole (``--enable-expert-parallel``); 1 to
            split every expert like any other layer.
    """
    return (*_mixer(layer, hidden, ranks), *_feed_forward(layer, hidden, ranks, expert_ranks))


def _mixer(layer: Layer, hidden: int, ranks: int) -> Iterator[Matrix]:
    mixer = layer.mixer
    if isinstance(mixer, Attention):
        yield from _attention(mixer, hidden, ranks)
    elif isinstance(mixer, LatentAttention):
        yield from _latent(mixer, hidden, ranks)
    elif isinstance(mixer, StateSpace):
        yield from _state_space(mixer, hidden, ranks)
    elif isinstance(mixer, Mamba):
        yield from _mamba(mixer, hidden, ranks)


def _attention(mixer: Attention, hidden: int, ranks: int) -> Iterator[Matrix]:
    heads = ceil_div(mixer.heads, ranks)
    kv_heads = max(1, ceil_div(mixer.kv_heads, ranks)) if mixer.keeps_kv else 0
    queries = heads * mixer.head_dim * (2 if mixer.gated else 1)
    outputs = queries + kv_heads * (mixer.head_dim + mixer.value_dim)
    yield Matrix("self_attn.q_proj", outputs, hidden)
    yield Matrix("self_attn.o_proj", hidden, heads * mixer.value_dim, Split.INPUT)
    if mixer.biased:
        yield Matrix("self_attn.q_proj.bias", outputs, 1, quantized=False)


def _latent(mixer: LatentAttention, hidden: int, ranks: int) -> Iterator[Matrix]:
    heads = ceil_div(mixer.heads, ranks)
    key_dim = mixer.nope_dim + mixer.rope_dim
    latent = mixer.kv_rank + mixer.rope_dim
    if mixer.query_rank is None:
        yield Matrix("self_attn.q_proj", heads * key_dim, hidden)
        yield Matrix("self_attn.kv_a_proj_with_mqa", latent, hidden, Split.NONE)
    else:
        yield Matrix("self_attn.q_a_proj", mixer.query_rank + latent, hidden, Split.NONE)
        yield Matrix("self_attn.q_b_proj", heads * key_dim, mixer.query_rank)
    unpacked = heads * (mixer.nope_dim + mixer.value_dim)
    yield Matrix("self_attn.kv_b_proj", unpacked, mixer.kv_rank)
    # W_UK and W_UV: kv_b_proj a second time, in 16 bits, for decoding in the latent space.
    yield Matrix("self_attn.absorbed", unpacked, mixer.kv_rank, quantized=False)
    yield Matrix("self_attn.o_proj", hidden, heads * mixer.value_dim, Split.INPUT)
    if mixer.indexer_dim:
        query = mixer.query_rank or hidden
        keys = mixer.indexer_heads * mixer.indexer_dim
        yield Matrix("self_attn.indexer.wq_b", keys, query, Split.NONE)
        yield Matrix("self_attn.indexer.wk", mixer.indexer_dim, hidden, Split.NONE)
        yield Matrix(
            "self_attn.indexer.weights_proj",
            mixer.indexer_heads,
            hidden,
            Split.NONE,
            quantized=False,
        )


def _state_space(mixer: StateSpace, hidden: int, ranks: int) -> Iterator[Matrix]:
    keys = 2 * ceil_div(mixer.key_heads, ranks) * mixer.key_dim
    value_heads = ceil_div(mixer.value_heads, ranks)
    values = value_heads * mixer.value_dim
    yield Matrix("linear_attn.in_proj_qkvz", keys + 2 * values, hidden)
    yield Matrix("linear_attn.in_proj_ba", 2 * value_heads, hidden)
    yield Matrix("linear_attn.conv1d", keys + values, mixer.kernel, quantized=False)
    yield Matrix("linear_attn.out_proj", hidden, values, Split.INPUT)


def _mamba(mixer: Mamba, hidden: int, ranks: int) -> Iterator[Matrix]:
    heads = ceil_div(mixer.heads, ranks)
    inner = heads * mixer.head_dim
    mixed = inner + 2 * ceil_div(mixer.groups, ranks) * mixer.state
    yield Matrix("mixer.in_proj", inner + mixed + heads, hidden)
    yield Matrix("mixer.conv1d", mixed, mixer.kernel, quantized=False)
    yield Matrix("mixer.out_proj", hidden, inner, Split.INPUT)


def _feed_forward(layer: Layer, hidden: int, ranks: int, expert_ranks: int) -> Iterator[Matrix]:
    feed = layer.feed_forward
    if isinstance(feed, Mlp):
        yield from _mlp("mlp", feed.width, hidden, ranks, gated=feed.gated)
    elif isinstance(feed, Experts):
        yield from _experts(feed, hidden, ranks, expert_ranks)


def _mlp(name: str, width: int, hidden: int, ranks: int, *, gated: bool) -> Iterator[Matrix]:
    share = ceil_div(width, ranks)
    yield Matrix(f"{name}.{'gate' if gated else 'up'}_proj", share * (1 + gated), hidden)
    yield Matrix(f"{name}.down_proj", hidden, share, Split.INPUT)


def _experts(feed: Experts, hidden: int, ranks: int, expert_ranks: int) -> Iterator[Matrix]:
    spread = expert_ranks > 1
    count = ceil_div(feed.count, expert_ranks) if spread else feed.count
    width = feed.width if spread else ceil_div(feed.width, ranks)
    up = width * (1 + feed.gated)
    yield Matrix("mlp.experts.0.gate_proj", up, hidden, copies=count, routed=True)
    yield Matrix("mlp.experts.0.down_proj", hidden, width, Split.INPUT, count, routed=True)
    if feed.biased:
        yield Matrix("mlp.experts.0.bias", up + hidden, 1, copies=count, quantized=False)
    yield Matrix("mlp.gate", feed.count, hidden, Split.NONE, quantized=False)
    if feed.shared_width:
        name = "mlp.shared_experts"
        yield from _mlp(name, feed.shared_width, hidden, ranks, gated=feed.gated)
    if feed.dense_width:
        yield from _mlp("mlp", feed.dense_width, hidden, ranks, gated=feed.gated)
