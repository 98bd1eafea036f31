"""The weights of synthetic checkpoints: random numbers around a small mechanism that can be read.

Purely random weights make near-ties: the two best tokens differ by less than bfloat16 resolves, and
greedy decoding flips with the batch size. Here greedy decoding has a reason:

- The residual stream is spanned by 128 orthogonal directions (a Hadamard matrix, all entries 1 or
  -1). Some have a meaning, the rest carry noise; random weights read all and write only noise.
- A token that can be spoken has a *place* (0-39) and a *voice* (0-15). Its embedding holds the
  place that follows in its voice's cycle, its own voice, and a *rank*.
- One head of the last layer finds the token of the highest rank in the context and copies its
  voice. The output layer then speaks the token of the next place in that voice.

So the text depends on the last token and on the whole context, walks through 40 tokens before it
repeats, and never says the end token by itself; the best token leads by about 4 nats in every
precision, while sampling at temperature 1 takes it only about half of the time. All other parts of
the network run at full width and show in the log probabilities.

Everything is integer arithmetic on hash output until the last rounding to bfloat16, so that the
bytes are the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwval.synthetic.architecture import SyntheticModel
from hwval.synthetic.tokenizer import SPECIAL_TOKENS

__all__ = [
    "PLACES",
    "VOICES",
    "build_weights",
    "noise_writer",
    "random_matrix",
    "to_bfloat16_bits",
]

Matrix = NDArray[np.floating]
Integers = NDArray[np.int64]

PLACES: Final = 40
VOICES: Final = 16
# Steps around the circle of places, one for each voice: coprime to PLACES, so that each visits all.
_STEPS: Final = tuple(step for step in range(1, PLACES) if step % 2 and step % 5)
_RANKS: Final = 128

# Directions by their row in the Hadamard matrix.
_PLACE: Final = slice(0, PLACES)
_VOICE_IN: Final = slice(PLACES, PLACES + VOICES)
_VOICE_OUT: Final = slice(_VOICE_IN.stop, _VOICE_IN.stop + VOICES)
_CONSTANT: Final = _VOICE_OUT.stop
_RANK: Final = _CONSTANT + 1
_RANK_REST: Final = _CONSTANT + 2
_NOISE: Final = slice(_CONSTANT + 3, None)

# Embedding coefficients are multiples of 1 / _FIXED_POINT.
_FIXED_POINT: Final = 4096
_QUERY_GAIN: Final = 128.0
_KEY_GAIN: Final = 64.0
_VALUE_GAIN: Final = 4.0
_WRITE_GAIN: Final = 0.75
# Squared: the gain of a head whose queries and keys are normalised.
_NORM_GAIN: Final = 4.0
# Gemma multiplies embeddings by sqrt(hidden size) = 11.3; this brings them near 1 again.
_GEMMA_EMBEDDING_SCALE: Final = 1 / 8
_GEMMA_MODE_NORM: Final = 1.5
_GEMMA_NOISE_NORM: Final = 0.4


def build_weights(model: SyntheticModel, speakable: Sequence[int]) -> dict[str, Matrix]:
    """Return every tensor of ``model`` by its name in the checkpoint, in order.

    Args:
        model: What to build.
        speakable: Ids of tokens that the model may say, at least ``PLACES * VOICES``.
    """
    weights = {"model.embed_tokens.weight": _embedding(model, speakable)}
    for layer in range(model.layers):
        prefix = f"model.layers.{layer}."
        weights |= {prefix + name: value for name, value in _layer(model, layer).items()}
    weights["model.norm.weight"] = _norm(model, model.hidden_size)
    weights["lm_head.weight"] = _output(model, speakable)
    return weights


def to_bfloat16_bits(values: Matrix) -> NDArray[np.uint16]:
    """Round to bfloat16, ties to even, and return the bit patterns; values must be finite."""
    bits = values.astype("<f4", order="C").view("<u4")
    rounded: NDArray[np.uint16] = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return rounded


def noise_writer(model: SyntheticModel, seed: str, inner: int, *, exponent: int) -> Matrix:
    """Return a random output projection that leaves the directions with a meaning alone.

    Args:
        model: Whose family and width count.
        seed: Name of the tensor.
        inner: Columns; the rows are the width of the residual stream.
        exponent: As of `random_matrix`.
    """
    directions = _hadamard(model.hidden_size)[_NOISE]
    random = _random_integers(f"{model.model_type}.{seed}", len(directions), inner)
    return (directions.T @ random) * 2.0**exponent


def random_matrix(
    model: SyntheticModel, seed: str, rows: int, columns: int, *, exponent: int
) -> Matrix:
    """Return numbers of -128 to 127 (standard deviation 74), times 2 to the ``exponent``.

    Args:
        model: Whose family counts.
        seed: Name of the tensor; with the family it makes the numbers.
        rows: Of the matrix.
        columns: Of the matrix.
        exponent: Of the common factor.
    """
    return _random_integers(f"{model.model_type}.{seed}", rows, columns) * 2.0**exponent


def _layer(model: SyntheticModel, layer: int) -> dict[str, Matrix]:
    width, inner = model.hidden_size, model.heads * model.head_dim
    listens = layer == model.layers - 1
    tensors = _attention(model, layer, listens=listens)
    tensors["self_attn.o_proj.weight"] = _attention_output(model, layer, inner, listens=listens)
    tensors |= _experts(model, layer) if model.experts else _mlp(model, f"{layer}.mlp", "mlp")
    tensors["input_layernorm.weight"] = _norm(model, width)
    if model.is_gemma:
        attention_norm = _GEMMA_MODE_NORM if listens else _GEMMA_NOISE_NORM
        tensors["post_attention_layernorm.weight"] = _norm(model, width, attention_norm)
        tensors["pre_feedforward_layernorm.weight"] = _norm(model, width)
        tensors["post_feedforward_layernorm.weight"] = _norm(model, width, _GEMMA_NOISE_NORM)
    else:
        tensors["post_attention_layernorm.weight"] = _norm(model, width)
    return tensors


def _attention(model: SyntheticModel, layer: int, *, listens: bool) -> dict[str, Matrix]:
    head = model.head_dim
    query = random_matrix(model, f"{layer}.q", model.heads * head, model.hidden_size, exponent=-10)
    key = random_matrix(model, f"{layer}.k", model.kv_heads * head, model.hidden_size, exponent=-10)
    value = random_matrix(
        model, f"{layer}.v", model.kv_heads * head, model.hidden_size, exponent=-10
    )
    # Rotary embedding hardly turns the last elements of a half head: there distance plays no role.
    slow, slower = head // 2 - 2, head // 2 - 1
    if listens:
        basis = _hadamard(model.hidden_size) / model.hidden_size
        query[:head] = key[:head] = value[:head] = 0.0
        query[slower::head] = query[slow::head] = 0.0
        query[slower] = _QUERY_GAIN * basis[_CONSTANT]
        key[slower] = _KEY_GAIN * basis[_RANK]
        key[slow] = _KEY_GAIN * basis[_RANK_REST]
        value[:VOICES] = _VALUE_GAIN * basis[_VOICE_IN]
    if model.model_type == "phi3":
        return {"self_attn.qkv_proj.weight": np.concatenate([query, key, value])}
    projections = {"q": query, "k": key, "v": value}
    tensors = {f"self_attn.{name}_proj.weight": value for name, value in projections.items()}
    if model.has_query_key_norm:
        gain = _norm(model, head)
        if listens:
            gain[[slow, slower]] += _NORM_GAIN - 1.0
        tensors |= {f"self_attn.{name}_norm.weight": gain for name in ("q", "k")}
    return tensors


def _attention_output(model: SyntheticModel, layer: int, inner: int, *, listens: bool) -> Matrix:
    output = noise_writer(model, f"{layer}.o", inner, exponent=-13)
    if listens:
        output[:, : model.head_dim] = 0.0
        output[:, :VOICES] = _WRITE_GAIN * _hadamard(model.hidden_size)[_VOICE_OUT].T
    return output


def _mlp(model: SyntheticModel, seed: str, prefix: str) -> dict[str, Matrix]:
    inner = model.intermediate_size
    gate = random_matrix(model, f"{seed}.gate", inner, model.hidden_size, exponent=-10)
    up = random_matrix(model, f"{seed}.up", inner, model.hidden_size, exponent=-10)
    down = noise_writer(model, f"{seed}.down", inner, exponent=-14)
    if model.model_type == "phi3":
        fused = np.concatenate([gate, up])
        return {f"{prefix}.gate_up_proj.weight": fused, f"{prefix}.down_proj.weight": down}
    return {
        f"{prefix}.gate_proj.weight": gate,
        f"{prefix}.up_proj.weight": up,
        f"{prefix}.down_proj.weight": down,
    }


def _experts(model: SyntheticModel, layer: int) -> dict[str, Matrix]:
    router = random_matrix(model, f"{layer}.router", model.experts, model.hidden_size, exponent=-9)
    tensors = {"mlp.gate.weight": router}
    for expert in range(model.experts):
        tensors |= _mlp(model, f"{layer}.expert.{expert}", f"mlp.experts.{expert}")
    return tensors


def _embedding(model: SyntheticModel, speakable: Sequence[int]) -> Matrix:
    ids = np.arange(model.vocab_size)
    place, voice = _places_and_voices(model, speakable)
    draws = _random_integers(f"{model.model_type}.rank", model.vocab_size, 1)[:, 0]
    rank = 1 + VOICES * (draws % (_RANKS // VOICES)) + voice
    rank[: len(SPECIAL_TOKENS)] = 0  # the chat template shall not outrank the prompt
    level = 2 * rank / _RANKS - 1
    coefficients = np.zeros((model.vocab_size, model.hidden_size), dtype=np.int64)
    following = (place + np.array(_STEPS)[voice]) % PLACES
    coefficients[ids, _PLACE.start + following] = _FIXED_POINT
    coefficients[ids, _VOICE_IN.start + voice] = _FIXED_POINT // 2
    coefficients[:, _CONSTANT] = _FIXED_POINT // 2
    coefficients[:, _RANK] = np.rint(level * (_FIXED_POINT // 2))
    coefficients[:, _RANK_REST] = np.rint(np.sqrt(1 - level**2) * (_FIXED_POINT // 2))
    noise = coefficients[:, _NOISE]
    noise[:] = 4 * _random_integers(f"{model.model_type}.embedding", *noise.shape)
    scale = _GEMMA_EMBEDDING_SCALE if model.is_gemma else 1.0
    return (coefficients @ _hadamard(model.hidden_size)) * (scale / _FIXED_POINT)


def _output(model: SyntheticModel, speakable: Sequence[int]) -> Matrix:
    place, voice = _places_and_voices(model, speakable)
    rows = random_matrix(model, "output", model.vocab_size, model.hidden_size, exponent=-11)
    basis = _hadamard(model.hidden_size)
    spoken = np.array(speakable[: PLACES * VOICES])
    heard = basis[_PLACE][place[spoken]] + basis[_VOICE_OUT][voice[spoken]]
    silent = np.setdiff1d(np.arange(model.vocab_size), spoken)
    rows[spoken] += heard / 16
    rows[silent] -= basis[_CONSTANT] / 4
    return rows


def _places_and_voices(
    model: SyntheticModel, speakable: Sequence[int]
) -> tuple[Integers, Integers]:
    """Number the tokens that can be spoken first; the others borrow a place and a voice."""
    order = np.arange(model.vocab_size, dtype=np.int64)
    order[list(speakable[: PLACES * VOICES])] = np.arange(PLACES * VOICES)
    return (order // VOICES) % PLACES, order % VOICES


def _norm(model: SyntheticModel, size: int, value: float = 1.0) -> Matrix:
    return np.full(size, value - 1.0 if model.is_gemma else value)


def _random_integers(seed: str, rows: int, columns: int) -> Integers:
    """Return integers of -128 to 127 (standard deviation 74) that depend on ``seed`` alone."""
    digest = hashlib.shake_256(seed.encode()).digest(rows * columns)
    return np.frombuffer(digest, dtype=np.int8).astype(np.int64).reshape(rows, columns)


def _hadamard(size: int) -> Integers:
    """Sylvester's matrix; ``size`` is a power of two."""
    matrix = np.ones((1, 1), dtype=np.int64)
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix
