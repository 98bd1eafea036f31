"""Quantized forms of synthetic weights, whole or damaged: what silent garbage is made of.

A checkpoint without its scales is what a broken conversion leaves, and an engine may load it
without a word. Embedding, norms and output layer stay as they are, as in checkpoints of the Hub.

Formats, as vLLM 0.32.0 loads them (``vllm/model_executor/layers/quantization``):

- ``fp8``: ``weight`` in E4M3 [out, in] and one float32 ``weight_scale`` each (``fp8.py``).
- ``awq``: ``qweight`` and ``qzeros`` of eight 4-bit numbers in an int32, ``scales`` in float16
  [in / group, out] (``auto_awq.py``, AutoAWQ's ``gemm`` version).
- ``int8``: ``weight`` in int8 [out, in] and ``weight_scale`` [out, 1]
  (``compressed_tensors_w8a8_int8.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwval.synthetic.architecture import Damage
from hwval.synthetic.architecture import Packing
from hwval.synthetic.architecture import SyntheticModel

__all__ = ["AWQ_ORDER", "GROUP_SIZE", "e4m3_values", "quantize", "to_e4m3"]

Matrix = NDArray[np.floating]
Tensors = dict[str, NDArray[Any]]

GROUP_SIZE: Final = 32
"""Inputs that share a scale in the ``awq`` form."""
_E4M3_MAX: Final = 448.0
# Of the eight columns in an int32 of AutoAWQ's gemm version, by their place from the lowest bits.
AWQ_ORDER: Final = (0, 2, 4, 6, 1, 3, 5, 7)
_SCALE_NAMES: Final = (".weight_scale", ".scales")


def quantize(model: SyntheticModel, weights: Mapping[str, Matrix]) -> Tensors:
    """Return the tensors of ``model`` as its checkpoint holds them, by name, in order.

    Those that are left in floating point come back as they are.

    Args:
        model: Says the form and the damage.
        weights: All tensors by name.
    """
    tensors: Tensors = {}
    for name, values in weights.items():
        pack = _PACKERS.get(model.packing) if _is_linear(name) else None
        packed = pack(name.removesuffix(".weight"), values) if pack else [(name, values)]
        tensors.update(packed)
    return dict(_damaged(model, tensors))


def to_e4m3(values: Matrix) -> NDArray[np.uint8]:
    """Round to the nearest E4M3 number and return the bit patterns; ties go to the smaller one.

    Args:
        values: Of at most 448 in magnitude.

    Source: Micikevicius et al., FP8 Formats for Deep Learning (2022), table 1.
    """
    positive = e4m3_values()[:127]
    middles = (positive[1:] + positive[:-1]) / 2
    codes = np.searchsorted(middles, np.abs(values)).astype(np.uint8)
    return codes | np.where(np.signbit(values), 0x80, 0).astype(np.uint8)


def _damaged(model: SyntheticModel, tensors: Tensors) -> Iterator[tuple[str, NDArray[Any]]]:
    last_norm = f"model.layers.{model.layers - 1}.input_layernorm.weight"
    for name, values in tensors.items():
        if _is_scale(name) and model.damage is Damage.UNIT_SCALES:
            yield name, np.ones_like(values)
        elif name == last_norm and model.damage is Damage.NAN:
            yield name, np.full_like(values, np.nan)
        elif not (_is_scale(name) and model.damage is Damage.NO_SCALES):
            yield name, values


def _is_linear(name: str) -> bool:
    return name.endswith("_proj.weight")


def _is_scale(name: str) -> bool:
    return name.endswith(_SCALE_NAMES)


def e4m3_values() -> Matrix:
    """Return what each of the 256 patterns stands for; 0x7f and 0xff are no number."""
    codes = np.arange(256)
    exponent, fraction = (codes >> 3) & 0xF, codes & 0x7
    normal = (1 + fraction / 8) * 2.0 ** (exponent - 7)
    magnitude = np.where(exponent == 0, fraction / 8 * 2.0**-6, normal)
    magnitude[[0x7F, 0xFF]] = np.nan
    values: Matrix = np.where(codes & 0x80, -magnitude, magnitude)
    return values


def _pack_fp8(module: str, weight: Matrix) -> Iterator[tuple[str, NDArray[Any]]]:
    scale = np.abs(weight).max() / _E4M3_MAX
    yield f"{module}.weight", to_e4m3(np.clip(weight / scale, -_E4M3_MAX, _E4M3_MAX))
    yield f"{module}.weight_scale", np.array(scale, dtype=np.float32)


def _pack_int8(module: str, weight: Matrix) -> Iterator[tuple[str, NDArray[Any]]]:
    scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-6) / 127
    yield f"{module}.weight", np.rint(weight / scale).astype(np.int8)
    yield f"{module}.weight_scale", scale.astype(np.float32)


def _pack_awq(module: str, weight: Matrix) -> Iterator[tuple[str, NDArray[Any]]]:
    grouped = weight.T.reshape(-1, GROUP_SIZE, len(weight))
    low, high = np.minimum(grouped.min(axis=1), 0), np.maximum(grouped.max(axis=1), 0)
    scales = np.maximum((high - low) / 15, 1e-4).astype(np.float16)
    zeros = np.clip(np.rint(-low / scales), 0, 15)
    numbers = np.clip(np.rint(grouped / scales[:, None]) + zeros[:, None], 0, 15)
    yield f"{module}.qweight", _pack(numbers.reshape(-1, len(weight)))
    yield f"{module}.qzeros", _pack(zeros)
    yield f"{module}.scales", scales


def _pack(numbers: Matrix) -> NDArray[np.int32]:
    columns = numbers.astype(np.uint32).reshape(len(numbers), -1, 8)
    packed = np.zeros(columns.shape[:2], dtype=np.uint32)
    for place, column in enumerate(AWQ_ORDER):
        packed |= columns[:, :, column] << np.uint32(4 * place)
    return packed.view(np.int32)


_Packer = Callable[[str, Matrix], Iterator[tuple[str, NDArray[Any]]]]
_PACKERS: Final[Mapping[Packing | None, _Packer]] = {
    Packing.FP8: _pack_fp8,
    Packing.AWQ: _pack_awq,
    Packing.INT8: _pack_int8,
}
