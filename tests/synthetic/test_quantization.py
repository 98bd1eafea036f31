"""Quantized forms of synthetic weights: true to the weights, and damaged as asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwval.synthetic.architecture import ARCHITECTURES
from hwval.synthetic.architecture import Packing
from hwval.synthetic.architecture import hf_config
from hwval.synthetic.quantization import AWQ_ORDER
from hwval.synthetic.quantization import GROUP_SIZE
from hwval.synthetic.quantization import e4m3_values
from hwval.synthetic.quantization import quantize
from hwval.synthetic.quantization import to_e4m3
from hwval.synthetic.tokenizer import speakable_ids
from hwval.synthetic.tokenizer import train_tokenizer
from hwval.synthetic.weights import build_weights

PACKED = {Packing.FP8: "llama-fp8", Packing.AWQ: "llama-awq", Packing.INT8: "llama-int8"}
MODULES = ("model.layers.1.self_attn.q_proj", "model.layers.0.mlp.down_proj")


def dequantize(
    tensors: Mapping[str, NDArray[Any]], module: str, packing: Packing
) -> NDArray[np.floating]:
    """Return the weight [out, in] of a module as an engine computes with it."""
    if packing is Packing.AWQ:
        numbers = _unpack(tensors[f"{module}.qweight"]).astype(float)
        zeros = _unpack(tensors[f"{module}.qzeros"]).repeat(GROUP_SIZE, axis=0)
        scales = tensors[f"{module}.scales"].astype(float).repeat(GROUP_SIZE, axis=0)
        weight: NDArray[np.floating] = ((numbers - zeros) * scales).T
        return weight
    values = tensors[f"{module}.weight"]
    numbers = e4m3_values()[values] if packing is Packing.FP8 else values.astype(float)
    scaled: NDArray[np.floating] = numbers * tensors[f"{module}.weight_scale"]
    return scaled


def _unpack(packed: NDArray[np.int32]) -> NDArray[np.int64]:
    columns = np.zeros((*packed.shape, 8), dtype=np.int64)
    for place, column in enumerate(AWQ_ORDER):
        columns[:, :, column] = (packed.view(np.uint32) >> np.uint32(4 * place)) & 0xF
    return columns.reshape(len(packed), -1)


@pytest.fixture(scope="module")
def weights() -> dict[str, NDArray[np.floating]]:
    return build_weights(ARCHITECTURES["llama"], speakable_ids(train_tokenizer(1024)))


@pytest.mark.parametrize(
    ("packing", "error"),
    [(Packing.FP8, 2**-4), (Packing.AWQ, 1 / 14), (Packing.INT8, 1 / 250)],
)
@pytest.mark.parametrize("module", MODULES)
def test_weights_come_back(
    weights: dict[str, NDArray[np.floating]], packing: Packing, error: float, module: str
) -> None:
    """Up to the coarseness of the form: what an engine computes with is what was meant."""
    tensors = quantize(ARCHITECTURES[PACKED[packing]], weights)
    expected = weights[f"{module}.weight"]
    found = dequantize(tensors, module, packing)

    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= error * np.abs(expected).max()


@pytest.mark.parametrize("name", PACKED.values())
def test_only_linear_weights_are_packed(
    weights: dict[str, NDArray[np.floating]], name: str
) -> None:
    """Embedding, norms and output layer stay what they are."""
    tensors = quantize(ARCHITECTURES[name], weights)
    kept = [key for key in weights if not key.endswith("_proj.weight")]

    assert all(tensors[key] is weights[key] for key in kept)
    assert not any(values.dtype == np.float64 for key, values in tensors.items() if "_proj." in key)


@pytest.mark.parametrize("name", PACKED.values())
def test_missing_scales_are_all_that_is_missing(
    weights: dict[str, NDArray[np.floating]], name: str
) -> None:
    """The rest is the sound checkpoint's, byte for byte."""
    sound = quantize(ARCHITECTURES[name], weights)
    damaged = quantize(ARCHITECTURES[f"{name}-no-scales"], weights)
    missing = sound.keys() - damaged.keys()

    assert damaged.keys() < sound.keys()
    assert all(key.endswith((".weight_scale", ".scales")) for key in missing)
    assert all(damaged[key].tobytes() == sound[key].tobytes() for key in damaged)


@pytest.mark.parametrize("name", PACKED.values())
def test_unit_scales_are_all_that_differs(
    weights: dict[str, NDArray[np.floating]], name: str
) -> None:
    """Form and type stay, so that every loader takes them."""
    sound = quantize(ARCHITECTURES[name], weights)
    damaged = quantize(ARCHITECTURES[f"{name}-unit-scales"], weights)
    changed = [key for key in sound if sound[key].tobytes() != damaged[key].tobytes()]

    assert list(damaged) == list(sound)
    assert all(key.endswith((".weight_scale", ".scales")) for key in changed)
    assert all((damaged[key] == 1).all() for key in changed)
    assert all(damaged[key].dtype == sound[key].dtype for key in changed)


def test_nan_stands_in_one_norm(weights: dict[str, NDArray[np.floating]]) -> None:
    """One tensor is no number, and that is enough for every logit."""
    tensors = quantize(ARCHITECTURES["llama-nan"], weights)
    broken = [key for key, values in tensors.items() if not np.isfinite(values).all()]

    assert broken == ["model.layers.1.input_layernorm.weight"]
    assert np.isfinite(weights[broken[0]]).all()


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("llama-fp8", "fp8"),
        ("llama-awq", "awq"),
        ("llama-int8", "compressed-tensors"),
        ("llama-bitsandbytes", "bitsandbytes"),
    ],
)
def test_config_names_the_method(name: str, method: str) -> None:
    """An engine chooses its kernels by it; a damaged checkpoint says the same."""
    ids = {"bos_id": 1, "eos_id": 2, "pad_id": 0}
    told: Any = hf_config(ARCHITECTURES[name], **ids)["quantization_config"]

    assert told["quant_method"] == method
    damaged = ARCHITECTURES.get(f"{name}-no-scales")
    assert damaged is None or hf_config(damaged, **ids)["quantization_config"] == told


def test_sound_models_have_no_quantization_config() -> None:
    """A NaN is no quantization."""
    ids = {"bos_id": 1, "eos_id": 2, "pad_id": 0}

    assert "quantization_config" not in hf_config(ARCHITECTURES["llama-nan"], **ids)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        pytest.param(0.0, 0x00, id="zero"),
        pytest.param(2.0**-9, 0x01, id="smallest"),
        pytest.param(2.0**-6, 0x08, id="smallest-normal"),
        pytest.param(1.0, 0x38, id="one"),
        pytest.param(-1.125, 0xB9, id="negative"),
        pytest.param(1.06, 0x38, id="rounded-down"),
        pytest.param(1.07, 0x39, id="rounded-up"),
        pytest.param(448.0, 0x7E, id="largest"),
    ],
)
def test_rounding_to_e4m3(value: float, code: int) -> None:
    """The nearest of the 253 numbers."""
    assert to_e4m3(np.array([value]))[0] == code
