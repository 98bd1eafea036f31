"""Whether a model can be divided so: heads, widths, quantization groups, stages, devices.

Rules of vLLM 0.32.0: heads in ``config/model.py`` verify_with_parallel_config, the rest in
``distributed/utils.py`` divide and in the create_weights of each quantization method.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from hwval.planning.layers import Attention
from hwval.planning.layers import Experts
from hwval.planning.layers import LatentAttention
from hwval.planning.layers import Layer
from hwval.planning.layers import Mamba
from hwval.planning.layers import Mlp
from hwval.planning.layers import StateSpace
from hwval.planning.matrices import Matrix
from hwval.planning.matrices import Split
from hwval.planning.matrices import layer_matrices
from hwval.planning.model_shape import ModelShape
from hwval.planning.parallelism import Parallelism
from hwval.planning.quantization import Quantization
from hwval.planning.quantization import WeightFormat
from hwval.planning.refusal import Refusal

__all__ = ["division_refusals", "tensor_sizes"]

_PACKED: Final = 8
"""Four-bit elements in a 32-bit word (pack factor of AWQ and GPTQ)."""


@lru_cache(maxsize=4096)
def division_refusals(
    shape: ModelShape,
    parallelism: Parallelism,
    *,
    quantization: Quantization | None = None,
    device_count: int | None = None,
    pads_groups: bool = False,
) -> tuple[Refusal, ...]:
    """Return what stands against dividing a model like this; nothing if it can be done.

    Args:
        shape: The model.
        parallelism: How it is to be spread.
        quantization: How its weights are quantized; None for not at all.
        device_count: Devices that the cell has; None if that is asked elsewhere.
        pads_groups: Whether kernels pad groups that do not divide: Marlin from vLLM 0.32 on
            (``allow_tile_padding``), so that the group rule is no certain refusal.
    """
    found = dict.fromkeys(
        _all(shape, parallelism, quantization, device_count, pads_groups=pads_groups)
    )
    return tuple(found)


def _all(
    shape: ModelShape,
    parallelism: Parallelism,
    quantization: Quantization | None,
    device_count: int | None,
    *,
    pads_groups: bool,
) -> Iterator[Refusal]:
    ranks = parallelism.tensor
    if device_count is not None and parallelism.ranks > device_count:
        yield Refusal("devices", _too_many(parallelism, device_count))
    if parallelism.pipeline > shape.layer_count:
        yield Refusal(
            "stages", f"{shape.layer_count} layers make no {parallelism.pipeline} pipeline stages"
        )
    for layer in shape.kinds:
        yield from _heads(layer, ranks)
        yield from _widths(layer, parallelism)
        if quantization is not None:
            yield from _groups(
                layer, shape.hidden, parallelism, quantization, pads_groups=pads_groups
            )


def _too_many(parallelism: Parallelism, device_count: int) -> str:
    sizes = {
        "tensor-parallel-size": parallelism.tensor,
        "pipeline-parallel-size": parallelism.pipeline,
        "data-parallel-size": parallelism.data,
    }
    lower = " or ".join(name for name, size in sizes.items() if size > 1)
    return (
        f"the engine takes {parallelism.ranks} devices, the cell has {device_count}; "
        f"write a smaller {lower}, or more devices: `hardware: NAME xN`"
    )


def _heads(layer: Layer, ranks: int) -> Iterator[Refusal]:
    mixer = layer.mixer
    if isinstance(mixer, Attention | LatentAttention) and mixer.heads % ranks:
        sizes = ", ".join(map(str, tensor_sizes(mixer.heads)))
        yield Refusal(
            "heads", f"{mixer.heads} attention heads for {ranks} ranks; possible: {sizes}"
        )
    if isinstance(mixer, Attention) and mixer.kv_heads % ranks and ranks % mixer.kv_heads:
        yield Refusal(
            "kv-heads",
            f"{mixer.kv_heads} KV heads can neither be divided among nor repeated on {ranks} ranks",
        )
    if isinstance(mixer, StateSpace) and (mixer.value_heads % ranks or mixer.key_heads % ranks):
        yield Refusal(
            "state-heads",
            f"{mixer.key_heads} and {mixer.value_heads} linear-attention heads for {ranks} ranks",
        )
    if isinstance(mixer, Mamba) and mixer.heads % ranks:
        yield Refusal("state-heads", f"{mixer.heads} Mamba heads for {ranks} ranks")


def _widths(layer: Layer, parallelism: Parallelism) -> Iterator[Refusal]:
    feed = layer.feed_forward
    ranks = parallelism.tensor
    widths = []
    if isinstance(feed, Mlp):
        widths = [feed.width]
    elif isinstance(feed, Experts):
        widths = [feed.shared_width, feed.dense_width]
        if not parallelism.expert_parallel:
            widths.append(feed.width)
    for width in widths:
        if width % ranks:
            yield Refusal("width", f"an inner width of {width} for {ranks} ranks")


def _groups(
    layer: Layer,
    hidden: int,
    parallelism: Parallelism,
    quantization: Quantization,
    *,
    pads_groups: bool,
) -> Iterator[Refusal]:
    """Yield matrices whose part on a rank is no whole number of quantization groups.

    Row-parallel layers of AWQ and GPTQ: inputs on a rank by the group size, outputs by the eight
    elements of a word ("The input size is not aligned with the quantized weight shape"). FP8 in
    blocks: both by the block ("is not divisible by weight quantization block").
    """
    matrices = layer_matrices(layer, hidden, parallelism.tensor, parallelism.expert_ranks)
    for matrix in matrices:
        if not matrix.quantized or parallelism.tensor == 1:
            continue
        if quantization.format is WeightFormat.INT4:
            yield from _int4(matrix, parallelism.tensor, quantization, pads_groups=pads_groups)
        elif quantization.format is WeightFormat.FP8_BLOCK:
            yield from _blocks(matrix, parallelism, quantization)


def _int4(
    matrix: Matrix,
    ranks: int,
    quantization: Quantization,
    *,
    pads_groups: bool,
) -> Iterator[Refusal]:
    group = quantization.group
    if matrix.split is Split.INPUT and group and matrix.inputs % group:
        yield Refusal(
            "group-size",
            f"{matrix.module}: {matrix.inputs * ranks} inputs on {ranks} ranks are "
            f"{matrix.inputs} each, no whole number of groups of {group}; take fewer ranks",
            is_certain=not pads_groups,
        )
    if matrix.split is Split.OUTPUT and matrix.outputs % _PACKED:
        yield Refusal(
            "packing",
            f"{matrix.module}: {matrix.outputs} outputs on each of {ranks} ranks do not fill "
            f"words of {_PACKED}; take fewer ranks",
            is_certain=not pads_groups,
        )


def _blocks(
    matrix: Matrix, parallelism: Parallelism, quantization: Quantization
) -> Iterator[Refusal]:
    ranks = parallelism.tensor
    split = matrix.inputs if matrix.split is Split.INPUT else matrix.outputs
    size = quantization.group if matrix.split is Split.INPUT else quantization.block
    # gate and up are two matrices in one tensor, and each must divide.
    if matrix.module.endswith("gate_proj"):
        split //= 2
    is_mlp = matrix.module.startswith("mlp") and matrix.split is not Split.NONE
    spread = matrix.routed and parallelism.expert_parallel
    if is_mlp and not spread and size and split % size:
        yield Refusal(
            "block-size",
            f"{matrix.module}: {split} on each of {ranks} ranks is no whole number of blocks of "
            f"{size}; take fewer ranks or --enable-expert-parallel",
        )


def tensor_sizes(heads: int, most: int = 64) -> tuple[int, ...]:
    """Return the tensor-parallel sizes that divide so many heads, up to ``most``.

    Example:
        >>> tensor_sizes(40)
        (1, 2, 4, 5, 8, 10, 20, 40)
    """
    return tuple(size for size in range(1, min(heads, most) + 1) if heads % size == 0)
