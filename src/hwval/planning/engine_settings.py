"""What of an engine's command line decides its memory, with vLLM's defaults by version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field
from typing import Final

from hwval.planning.interval import GIB_BYTES
from hwval.planning.parallelism import Parallelism

__all__ = ["KV_CACHE_FLAG", "EngineSettings", "MemoryDevice", "Version", "parse_version"]

Version = tuple[int, int]
"""Major and minor of a release of vLLM; patch releases do not change what is planned here."""

KV_CACHE_FLAG: Final = "--kv-cache-memory-bytes"

_RELEASE: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


# ``engine/arg_utils.py`` get_batch_defaults of 0.10.2 and 0.32.0, for the server.
_TPU_BATCH_TOKENS: Final = {"v6e": 1024, "v5e": 512, "v5p": 256}


def _of_tpu(name: str) -> int:
    known = (tokens for part, tokens in _TPU_BATCH_TOKENS.items() if part in name.lower())
    return next(known, 2048)


def parse_version(text: str | None) -> Version | None:
    """Return the release of vLLM, None if the text does not name one.

    Builds from a checkout without tags call themselves ``0.1.dev...``, which names none.

    Example:
        >>> [parse_version(text) for text in ("0.32.0", "v0.9.1.dev287+g1", "0.1.dev15917+g0a")]
        [(0, 32), (0, 9), None]
    """
    match = _RELEASE.match(text or "")
    if match is None or (match[0].startswith("0.1") and "dev" in (text or "") and match[3] is None):
        return None
    return int(match[1]), int(match[2])


@dataclass(frozen=True, slots=True)
class MemoryDevice:
    """The memory of one device, or of one partition of it.

    Attributes:
        vendor: ``cuda``, ``rocm``, ``cpu`` or ``tpu``.
        capacity_bytes: What the driver calls its total memory, > 0.
        name: Product name; vLLM's defaults look at it.
        unified: Whether it is the host's own memory, which other processes use too.
        native_fp8: Whether it computes in FP8.
    """

    vendor: str
    capacity_bytes: int
    name: str = ""
    unified: bool = False
    native_fp8: bool = True

    def __post_init__(self) -> None:
        if self.capacity_bytes <= 0:
            raise ValueError(f"a device with {self.capacity_bytes} bytes of memory")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings of ``vllm serve``; None stands for vLLM's default.

    Attributes:
        version: Release of vLLM; None for an unknown one.
        parallelism: How the model is spread.
        item_bytes: Bytes of an element by ``--dtype``.
        max_model_len_tokens: Longest request.
        gpu_memory_utilization: Share of the device's memory that the engine may take, 0..1.
        max_num_seqs: Requests in one step.
        max_num_batched_tokens: Tokens in one step.
        kv_cache_dtype: ``--kv-cache-dtype``.
        kv_cache_memory_bytes: ``--kv-cache-memory-bytes``, or ``VLLM_CPU_KVCACHE_SPACE``.
        cache_key: Which of the two the cell says it with, or would have to.
        block_tokens: ``--block-size``.
        enforce_eager: Whether no graphs are captured.
        expandable_segments: Whether PyTorch's allocator is told so; None if that is not known.
        hybrid_cache: Whether sliding windows are stored as windows.
        cpu_offload_bytes: Weights that are kept in the host's memory, per rank.
        text_only: Whether towers of a multimodal model are given no input.
    """

    version: Version | None = None
    parallelism: Parallelism = field(default_factory=Parallelism)
    item_bytes: int = 2
    max_model_len_tokens: int | None = None
    gpu_memory_utilization: float | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    kv_cache_dtype: str = "auto"
    kv_cache_memory_bytes: int | None = None
    cache_key: str = KV_CACHE_FLAG
    block_tokens: int | None = None
    enforce_eager: bool = False
    expandable_segments: bool | None = None
    hybrid_cache: bool = True
    cpu_offload_bytes: int = 0
    text_only: bool = False

    def __post_init__(self) -> None:
        share = self.gpu_memory_utilization
        if share is not None and not 0 < share <= 1:
            raise ValueError(f"gpu-memory-utilization is {share}; allowed: 0 < share <= 1")
        for name in ("max_model_len_tokens", "max_num_seqs", "max_num_batched_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; allowed: 1 and more")

    def _before(self, *release: int) -> bool:
        return self.version is not None and self.version < release

    @property
    def utilization(self) -> float:
        """Share of the device's memory; vLLM's default is 0.9 before 0.20 and 0.92 from then on."""
        if self.gpu_memory_utilization is not None:
            return self.gpu_memory_utilization
        return 0.9 if self._before(0, 20) else 0.92

    @property
    def estimates_graphs(self) -> bool:
        """Whether the memory of graphs is subtracted from the cache, as it is from 0.20 on."""
        return not self.enforce_eager and not self._before(0, 20)

    @property
    def windows_are_full(self) -> bool:
        """Whether windows are stored like full attention: so did all engines before 0.10."""
        return not self.hybrid_cache or self._before(0, 10)

    @property
    def logs_by_concurrency(self) -> bool:
        """Whether the log's tokens are concurrency times length, as they are from 0.21 on."""
        return not self._before(0, 21)

    def batch_tokens(self, device: MemoryDevice, length_tokens: int) -> int:
        """Return the tokens of one step.

        vLLM 0.32.0, ``engine/arg_utils.py`` get_batch_defaults for the server; engines before 0.8
        put a whole prompt into a step.
        """
        if self.max_num_batched_tokens is not None:
            return self.max_num_batched_tokens
        if self._before(0, 8):
            return max(length_tokens, 2048)
        if device.vendor == "cpu":
            default = 2048 * self.parallelism.ranks
        elif device.vendor == "tpu":
            default = _of_tpu(device.name)
        elif device.capacity_bytes >= 160 * GIB_BYTES and not self._before(0, 11):
            default = 16384
        else:
            default = 8192 if self._is_large(device) else 2048
        return min(default, self.seqs(device) * length_tokens)

    def seqs(self, device: MemoryDevice) -> int:
        """Return the requests of one step, by the same defaults."""
        if self.max_num_seqs is not None:
            return self.max_num_seqs
        if device.vendor == "cpu":
            return 128 * self.parallelism.ranks
        is_large = self._is_large(device) and device.vendor != "tpu"
        return 1024 if is_large and not self._before(0, 8) else 256

    @staticmethod
    def _is_large(device: MemoryDevice) -> bool:
        return device.capacity_bytes >= 70 * GIB_BYTES and "a100" not in device.name.lower()
