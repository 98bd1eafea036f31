"""The weights of synthetic checkpoints: their shapes, and that their mechanism works."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hwval.synthetic.architecture import ARCHITECTURES
from hwval.synthetic.tokenizer import EOS_ID
from hwval.synthetic.tokenizer import speakable_ids
from hwval.synthetic.tokenizer import train_tokenizer
from hwval.synthetic.weights import PLACES
from hwval.synthetic.weights import VOICES
from hwval.synthetic.weights import build_weights
from hwval.synthetic.weights import to_bfloat16_bits

SPEAKABLE = speakable_ids(train_tokenizer(1024))
DENSE = ["llama", "qwen3", "gemma3", "mistral"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_all_values_are_finite_in_every_precision(name: str) -> None:
    """No weight overflows float16, the narrowest range."""
    for values in build_weights(ARCHITECTURES[name], SPEAKABLE).values():
        assert np.isfinite(values.astype(np.float16)).all()


@pytest.mark.parametrize("name", DENSE)
def test_shapes_follow_the_dimensions(name: str) -> None:
    """Projections have the shapes that the configuration promises."""
    model = ARCHITECTURES[name]
    weights = build_weights(model, SPEAKABLE)
    shapes = {
        key.removeprefix("model.layers.1."): value.shape
        for key, value in weights.items()
        if not key.startswith("model.layers.0.")
    }

    assert shapes["model.embed_tokens.weight"] == (model.vocab_size, model.hidden_size)
    assert shapes["lm_head.weight"] == (model.vocab_size, model.hidden_size)
    assert shapes["self_attn.q_proj.weight"] == (model.heads * model.head_dim, model.hidden_size)
    assert shapes["self_attn.k_proj.weight"] == (model.kv_heads * model.head_dim, model.hidden_size)
    assert shapes["self_attn.o_proj.weight"] == (model.hidden_size, model.heads * model.head_dim)
    assert shapes["mlp.down_proj.weight"] == (model.hidden_size, model.intermediate_size)
    assert ("self_attn.q_norm.weight" in shapes) == model.has_query_key_norm


def test_phi3_projections_are_fused() -> None:
    """Phi-3 keeps queries, keys and values in one matrix, gate and up in another."""
    model = ARCHITECTURES["phi3"]
    weights = build_weights(model, SPEAKABLE)
    rows = (model.heads + 2 * model.kv_heads) * model.head_dim

    assert weights["model.layers.0.self_attn.qkv_proj.weight"].shape == (rows, model.hidden_size)
    assert weights["model.layers.0.mlp.gate_up_proj.weight"].shape == (512, model.hidden_size)


def test_experts_have_their_own_weights() -> None:
    """Each expert of a mixture differs from the others."""
    weights = build_weights(ARCHITECTURES["qwen3-moe"], SPEAKABLE)
    experts = [weights[f"model.layers.0.mlp.experts.{n}.up_proj.weight"] for n in range(8)]

    assert weights["model.layers.0.mlp.gate.weight"].shape == (8, 128)
    assert len({expert.tobytes() for expert in experts}) == 8


def test_greedy_text_is_varied_and_has_clear_margins() -> None:
    """A plain forward pass of the Llama variant walks through all places and never ends."""
    spoken = _speak([1, SPEAKABLE[40], SPEAKABLE[300]], tokens=60)

    assert len(set(spoken.ids)) == PLACES
    assert set(spoken.ids) <= set(SPEAKABLE[: PLACES * VOICES])
    assert EOS_ID not in spoken.ids
    assert min(spoken.margins) > 1.5


def test_greedy_text_depends_on_the_whole_context() -> None:
    """The same last token leads to another text after another beginning."""
    texts = {tuple(_speak([1, first, SPEAKABLE[302]], tokens=4).ids) for first in SPEAKABLE[:32]}

    assert len(texts) >= 5


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        pytest.param(1.0, 0x3F80, id="exact"),
        pytest.param(-2.5, 0xC020, id="negative"),
        pytest.param(1.0 + 2**-8, 0x3F80, id="tie-to-even-down"),
        pytest.param(1.0 + 3 * 2**-8, 0x3F82, id="tie-to-even-up"),
        pytest.param(1.0 + 2**-8 + 2**-12, 0x3F81, id="above-tie"),
        pytest.param(0.0, 0, id="zero"),
    ],
)
def test_rounding_to_bfloat16(value: float, bits: int) -> None:
    """The nearest bfloat16 is taken, the even one of two."""
    assert to_bfloat16_bits(np.array([value]))[0] == bits


def test_bits_of_a_transposed_matrix_are_in_row_order() -> None:
    """What is written to the file follows the shape, whatever lies in memory."""
    bits = to_bfloat16_bits(np.arange(6.0).reshape(2, 3).T)

    assert bits.flags.c_contiguous


class _Spoken:
    def __init__(self) -> None:
        self.ids: list[int] = []
        self.margins: list[float] = []


def _speak(prompt: list[int], tokens: int) -> _Spoken:
    spoken = _Spoken()
    weights = build_weights(ARCHITECTURES["llama"], SPEAKABLE)
    for _ in range(tokens):
        logits = _llama(weights, prompt + spoken.ids)
        second, best = np.partition(logits, -2)[-2:]
        spoken.ids.append(int(np.argmax(logits)))
        spoken.margins.append(float(best - second))
    return spoken


def _llama(weights: dict[str, NDArray[np.floating]], ids: list[int]) -> NDArray[np.floating]:
    """Return the logits after ``ids``; positions are left out, they hardly matter here."""
    stream = weights["model.embed_tokens.weight"][ids]
    for layer in range(2):
        w = {
            key.removeprefix(f"model.layers.{layer}."): value
            for key, value in weights.items()
            if key.startswith(f"model.layers.{layer}.")
        }
        stream = stream + _attend(w, _rms(stream)) @ w["self_attn.o_proj.weight"].T
        x = _rms(stream)
        gate = x @ w["mlp.gate_proj.weight"].T
        inner = gate / (1 + np.exp(-gate)) * (x @ w["mlp.up_proj.weight"].T)
        stream = stream + inner @ w["mlp.down_proj.weight"].T
    logits: NDArray[np.floating] = _rms(stream)[-1] @ weights["lm_head.weight"].T
    return logits


def _attend(w: dict[str, NDArray[np.floating]], x: NDArray[np.floating]) -> NDArray[np.floating]:
    heads, size = ARCHITECTURES["llama"].heads, ARCHITECTURES["llama"].head_dim
    query, key, value = (x @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    mixed = []
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        shared = slice(head // 2 * size, (head // 2 + 1) * size)
        scores = query[:, own] @ key[:, shared].T / np.sqrt(size)
        scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        weight = np.exp(scores - scores.max(axis=1, keepdims=True))
        mixed.append(weight / weight.sum(axis=1, keepdims=True) @ value[:, shared])
    return np.concatenate(mixed, axis=1)


def _rms(x: NDArray[np.floating]) -> NDArray[np.floating]:
    normed: NDArray[np.floating] = x / np.sqrt((x**2).mean(axis=1, keepdims=True))
    return normed
