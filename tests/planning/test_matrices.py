"""What each rank holds of a layer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.planning.matrices import layer_matrices
from hwval.planning.matrices import padded_vocab
from hwval.planning.model_shape import read_shape
from tests.planning.configs import ALL
from tests.planning.configs import LLAMA_8B
from tests.planning.configs import QWEN3_30B_A3B


def test_fused_projections_of_a_llama() -> None:
    """q|k|v, o, gate|up, down: 4096 wide, 8 KV heads."""
    layer = read_shape(LLAMA_8B).kinds[0]

    sizes = {m.module: (m.outputs, m.inputs) for m in layer_matrices(layer, 4096, 2)}

    assert sizes == {
        "self_attn.q_proj": (16 * 128 + 2 * 4 * 128, 4096),
        "self_attn.o_proj": (4096, 16 * 128),
        "mlp.gate_proj": (14336, 4096),
        "mlp.down_proj": (4096, 7168),
    }


def test_kv_heads_are_repeated_on_more_ranks() -> None:
    """Sixteen ranks for eight heads hold one each."""
    layer = read_shape(LLAMA_8B).kinds[0]

    fused = layer_matrices(layer, 4096, 16)[0]

    assert fused.outputs == 2 * 128 + 2 * 1 * 128


def test_experts_are_split_or_spread() -> None:
    """Same bytes either way, but whole experts keep their width."""
    layer = read_shape(QWEN3_30B_A3B).kinds[0]
    split = [m for m in layer_matrices(layer, 2048, 4) if m.routed]
    spread = [m for m in layer_matrices(layer, 2048, 4, 4) if m.routed]

    assert [m.copies for m in split] == [128, 128]
    assert [m.copies for m in spread] == [32, 32]
    assert sum(m.elements for m in split) == sum(m.elements for m in spread)


@given(st.sampled_from(sorted(ALL)), st.integers(0, 5))
def test_more_ranks_never_hold_more(name: str, power: int) -> None:
    """And all of them together at least the whole."""
    shape = read_shape(ALL[name])
    ranks = 2**power
    for layer in shape.kinds:
        one = sum(m.elements for m in layer_matrices(layer, shape.hidden, 1))
        some = sum(m.elements for m in layer_matrices(layer, shape.hidden, ranks))
        more = sum(m.elements for m in layer_matrices(layer, shape.hidden, 2 * ranks))

        assert more <= some <= one <= some * ranks


@pytest.mark.parametrize(
    ("vocab", "ranks", "rows"), [(128256, 1, 128256), (151665, 1, 151680), (32001, 4, 8016)]
)
def test_vocabulary_is_padded(vocab: int, ranks: int, rows: int) -> None:
    """To a multiple of 64, before it is divided."""
    assert padded_vocab(vocab, ranks) == rows
