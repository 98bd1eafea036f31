"""One cell planned: may it run, does it fit, what would have to change, and how fast at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Any
from typing import Final

from hwval.planning.advice import advice_of
from hwval.planning.config_values import ShapeError
from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import MemoryDevice
from hwval.planning.layers import Attention
from hwval.planning.layers import LatentAttention
from hwval.planning.memory import Fit
from hwval.planning.memory import MemoryPlan
from hwval.planning.memory import plan_memory
from hwval.planning.model_shape import ModelShape
from hwval.planning.parallel import division_refusals
from hwval.planning.parallel import tensor_sizes
from hwval.planning.partition import Partition
from hwval.planning.partition import partition_notes
from hwval.planning.partition import partition_refusals
from hwval.planning.quantization import Quantization
from hwval.planning.quantization import of_flag
from hwval.planning.refusal import Note
from hwval.planning.refusal import Refusal
from hwval.planning.roofline import Ceiling
from hwval.planning.roofline import Speed
from hwval.planning.roofline import ceiling_of
from hwval.planning.support import image_refusals
from hwval.planning.support import native_fp8
from hwval.planning.support import support_refusals

__all__ = ["Accelerator", "Plan", "PlanVerdict", "effective_quantization", "plan"]

# Values of --quantization that mean kernels for a checkpoint's method rather than a method.
_SAME_METHOD: Final = {
    "awq": {"awq", "auto_awq", "awq_marlin", "moe_wna16"},
    "gptq": {"gptq", "auto_gptq", "gptq_marlin", "gptq_bitblas", "moe_wna16"},
    "mxfp4": {"mxfp4", "gpt_oss_mxfp4"},
    "modelopt": {"modelopt", "modelopt_fp4", "modelopt_mixed", "modelopt_mxfp8"},
    "fp8": {"fp8", "deepseek_v4_fp8"},
}
_MOST_RANKS: Final = 64


class PlanVerdict(StrEnum):
    """What is known of a cell before it runs."""

    RUN = "run"
    UNCERTAIN = "uncertain"
    IMPOSSIBLE = "impossible"
    UNKNOWN = "unknown"
    """The shape of the model is not known, or not understood."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What a cell runs on.

    Attributes:
        architecture: ``gfx942``, ``sm_90``, ``x86_64``.
        memory: Memory of one device.
        speed: Data-sheet figures of one device; None where they are not known.
        count: Devices that the cell has, >= 1.
        partition: What part of an accelerator each of them is; None for a whole one.
    """

    architecture: str
    memory: MemoryDevice
    speed: Speed | None = None
    count: int = 1
    partition: Partition | None = None

    def partitioned(self, partition: Partition) -> Accelerator:
        """Return the devices that a partition mode makes of each of these."""
        capacity_bytes = int(partition.share(self.memory.capacity_bytes))
        speed = self.speed and Speed(
            partition.share(self.speed.bandwidth_bytes_per_s),
            {name: partition.share(peak) for name, peak in self.speed.peak_flops_per_s.items()},
        )
        return replace(
            self,
            memory=replace(self.memory, capacity_bytes=capacity_bytes),
            speed=speed,
            count=self.count * partition.instances,
            partition=partition if partition.instances > 1 else None,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a cell before it runs.

    Attributes:
        verdict: Whether it may run.
        reasons: What speaks against it.
        memory: The memory of one rank; None where the model's shape is not known.
        ceiling: How fast at most; None where shape or speed are not known.
        advice: What to change so that it fits; empty if it does or nothing would help.
        tensor_parallel: The smallest tensor-parallel size that surely fits; None if none does.
        notes: What else is to be known; decides nothing.
    """

    verdict: PlanVerdict
    reasons: tuple[Refusal, ...]
    memory: MemoryPlan | None = None
    ceiling: Ceiling | None = None
    advice: tuple[str, ...] = ()
    tensor_parallel: int | None = None
    notes: tuple[Note, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return verdict, reasons, memory and ceiling in base units.

        Bounds are given by their upper end, with the lower one beside it: a cell runs for sure if
        ``required_bytes`` is within ``budget_bytes``. How memory adds up is a reason where it fits,
        too.
        """
        reasons = [{"rule": reason.rule, "text": reason.text} for reason in self.reasons]
        if self.memory is not None and self.memory.fit is Fit.RUN:
            reasons.append({"rule": "memory", "text": self.memory.reason})
        return {
            "verdict": str(self.verdict),
            "reasons": reasons,
            "notes": [note._asdict() for note in self.notes],
            "advice": list(self.advice),
            "memory": self.memory and _memory_json(self.memory),
            "ceiling": self.ceiling
            and {
                "decode_tokens_per_s": self.ceiling.decode_tokens_per_s,
                "prefill_tokens_per_s": self.ceiling.prefill_tokens_per_s,
            },
        }


def _memory_json(memory: MemoryPlan) -> dict[str, Any]:
    overhead, required = memory.overhead_bytes, memory.required_bytes
    return {
        "weights_bytes": memory.weights.per_rank_bytes,
        "kv_bytes_per_token": round(memory.cache.token_bytes),
        "kv_bytes": memory.needed_bytes,
        "overhead_bytes": round(overhead.high),
        "overhead_low_bytes": round(overhead.low),
        "required_bytes": round(required.high),
        "required_low_bytes": round(required.low),
        "available_bytes": round(memory.available_bytes.low),
        "available_high_bytes": round(memory.available_bytes.high),
        "budget_bytes": memory.requested_bytes,
        "capacity_bytes": memory.capacity_bytes,
        "max_model_len": memory.length_tokens,
        "max_model_len_that_fits": memory.longest_tokens[0],
    }


def effective_quantization(shape: ModelShape, flag: str | None) -> Quantization | None:
    """Return how weights are quantized once they are loaded.

    Args:
        shape: The model, with the quantization of its checkpoint.
        flag: Value of ``--quantization``; None leaves it to the checkpoint.

    Raises:
        ShapeError: The flag contradicts the checkpoint (vLLM 0.32.0, ``config/model.py``
            _verify_quantization), or needs a checkpoint of its own.
    """
    stored = shape.quantization
    if flag is None or stored is None:
        return stored if flag is None else of_flag(flag)
    method = stored.method
    allowed = _SAME_METHOD.get(method, {method}) | {method}
    if flag not in allowed:
        raise ShapeError(
            f"--quantization {flag} does not match the checkpoint's {method!r}; leave it out"
        )
    return replace(stored, method=flag)


def plan(
    shape: ModelShape,
    settings: EngineSettings,
    accelerator: Accelerator,
    *,
    dtype: str = "bfloat16",
    quantization_flag: str | None = None,
    image: str = "",
    draft: ModelShape | None = None,
    files_bytes: int | None = None,
) -> Plan:
    """Return what is known of a cell before it runs.

    Args:
        shape: The model.
        settings: How the engine is started.
        accelerator: What it runs on.
        dtype: ``--dtype`` as it comes out: ``bfloat16``, ``float16`` or ``float32``.
        quantization_flag: ``--quantization``; None leaves it to the checkpoint.
        image: Reference of the image, whose kernels are looked at if it is an official one.
        draft: Draft model of speculative decoding.
        files_bytes: Size of the checkpoint's tensors, if it is known.
    """
    # Copies are made only of what changes: most of the planner's time goes into them.
    if dtype == "float32":
        settings = replace(settings, item_bytes=4)
    device, has_fp8 = accelerator.memory, native_fp8(accelerator.architecture)
    if device.native_fp8 is not has_fp8:
        device = replace(device, native_fp8=has_fp8)
    quantization, mismatch = _loaded_as(shape, quantization_flag)
    refusals = (
        *mismatch,
        *image_refusals(accelerator.architecture, image=image, version=settings.version),
        *partition_refusals(accelerator.partition, settings.parallelism.ranks, settings.version),
        *_refusals(shape, settings, accelerator, dtype, quantization),
    )
    fill = partial(
        plan_memory, shape, device=device, quantization=quantization, files_bytes=files_bytes
    )
    try:
        memory = fill(settings, draft=draft)
    except (ShapeError, ValueError) as error:
        impossible = any(refusal.is_certain for refusal in refusals)
        verdict = PlanVerdict.IMPOSSIBLE if impossible else PlanVerdict.UNKNOWN
        return Plan(verdict, (*refusals, Refusal("unknown", str(error), is_certain=False)))
    reasons = refusals
    tensor: int | None = settings.parallelism.tensor
    if memory.fit is not Fit.RUN:
        reasons += (Refusal("memory", memory.reason, memory.fit is Fit.IMPOSSIBLE),)
        # Where the memory is the host's own, there is no second such device beside it.
        is_alone = device.unified or device.vendor == "cpu"
        tensor = None if is_alone else _enough_ranks(shape, settings, memory, fill, quantization)
    return Plan(
        _verdict(refusals, memory.fit),
        reasons,
        memory,
        _ceiling(shape, settings, accelerator, dtype, quantization, files_bytes=files_bytes),
        advice_of(memory, tensor, settings, accelerator.partition),
        tensor,
        partition_notes(accelerator.partition, settings.parallelism.ranks, memory.capacity_bytes),
    )


def _loaded_as(
    shape: ModelShape, flag: str | None
) -> tuple[Quantization | None, tuple[Refusal, ...]]:
    """Return how weights are quantized once they are loaded, and why that is refused.

    Where it is, the figures are those of the checkpoint as it is.
    """
    try:
        return effective_quantization(shape, flag), ()
    except ShapeError as error:
        return shape.quantization, (Refusal("quantization", str(error)),)


def _refusals(
    shape: ModelShape,
    settings: EngineSettings,
    accelerator: Accelerator,
    dtype: str,
    quantization: Quantization | None,
) -> tuple[Refusal, ...]:
    is_nvidia = accelerator.memory.vendor == "cuda"
    new_marlin = settings.version is None or settings.version >= (0, 32)
    return (
        *support_refusals(
            accelerator.architecture,
            dtype=dtype,
            quantization=quantization,
            kv_cache_dtype=settings.kv_cache_dtype,
            version=settings.version,
            model_type=shape.model_type,
        ),
        *division_refusals(
            shape,
            settings.parallelism,
            quantization=quantization,
            device_count=None if accelerator.memory.vendor == "cpu" else accelerator.count,
            pads_groups=is_nvidia and new_marlin,
        ),
    )


def _verdict(refusals: tuple[Refusal, ...], fit: Fit) -> PlanVerdict:
    if fit is Fit.IMPOSSIBLE or any(refusal.is_certain for refusal in refusals):
        return PlanVerdict.IMPOSSIBLE
    if fit is Fit.UNCERTAIN or refusals:
        return PlanVerdict.UNCERTAIN
    return PlanVerdict.RUN


def _ceiling(
    shape: ModelShape,
    settings: EngineSettings,
    accelerator: Accelerator,
    dtype: str,
    quantization: Quantization | None,
    *,
    files_bytes: int | None,
) -> Ceiling | None:
    if accelerator.speed is None or shape.is_encoder:  # an encoder decodes nothing
        return None
    is_cpu = accelerator.memory.vendor == "cpu"
    if not is_cpu and settings.parallelism.ranks > accelerator.count:
        return None  # nobody has the bandwidth of devices that are not there
    try:
        return ceiling_of(
            shape,
            accelerator.speed,
            settings.parallelism,
            quantization=quantization,
            dtype=dtype,
            files_bytes=files_bytes,
        )
    except ShapeError:
        return None


def _enough_ranks(
    shape: ModelShape,
    settings: EngineSettings,
    found: MemoryPlan,
    fill: Callable[[EngineSettings], MemoryPlan],
    quantization: Quantization | None,
) -> int | None:
    """Return the smallest larger tensor-parallel size that surely fits and can be divided."""
    heads = [
        kind.mixer.heads
        for kind in shape.kinds
        if isinstance(kind.mixer, Attention | LatentAttention)
    ]
    # What one rank holds at least shrinks no faster than their number grows.
    offloaded = settings.cpu_offload_bytes
    whole = (found.weights.bounds_bytes.low + offloaded) * settings.parallelism.tensor
    for ranks in tensor_sizes(max(heads, default=1), _MOST_RANKS):
        if ranks <= settings.parallelism.tensor:
            continue
        if whole / ranks - offloaded > found.requested_bytes:
            continue
        parallelism = replace(settings.parallelism, tensor=ranks)
        if division_refusals(shape, parallelism, quantization=quantization):
            continue
        if fill(replace(settings, parallelism=parallelism)).fit is Fit.RUN:
            return ranks
    return None
