"""Partition modes of Instinct accelerators: how many devices one becomes, and of what size.

Source: AMD, Instinct MI300X partitioning overview: compute partitions SPX, DPX, QPX and CPX put 8,
4, 2 or 1 of the 8 dies (XCDs) into a device; memory modes NPS1, NPS2, NPS4 make 1, 2 or 4 domains.
The driver tells each partition its domain divided by the partitions in it
(``amdgpu_amdkfd_xcp_memory_size`` in Linux).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hwval.errors import UsageError
from hwval.planning.engine_settings import Version
from hwval.planning.refusal import Note
from hwval.planning.refusal import Refusal
from hwval.units import format_bytes

__all__ = ["Partition", "parse_partition", "partition_notes", "partition_refusals"]

_INSTANCES: Final = {"spx": 1, "dpx": 2, "tpx": 3, "qpx": 4, "cpx": 8}
_ONE_RANK_UNTIL: Final[Version] = (0, 6)
_DOMAINS: Final = {"nps1": 1, "nps2": 2, "nps4": 4, "nps8": 8}


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition mode.

    Attributes:
        instances: Devices that one accelerator becomes.
        domains: Memory domains that it has, at most as many.
    """

    instances: int = 1
    domains: int = 1

    def share(self, whole: float) -> float:
        """Return what one device has of the memory, bandwidth or FLOPs of the accelerator."""
        return whole / self.instances

    def domain(self, whole: float) -> float:
        """Return the memory or bandwidth that a device can reach while its neighbours are idle."""
        return whole / self.domains

    def count(self, partitions: int) -> str:
        """Return how many partitions that is, in words, and of how many accelerators."""
        accelerators = -(-partitions // self.instances)
        of = "a device" if accelerators == 1 else f"{accelerators} devices"
        return f"{partitions} of the {self.instances * accelerators} partitions of {of}"


def partition_notes(
    partition: Partition | None, ranks: int, capacity_bytes: int
) -> tuple[Note, ...]:
    """Return what the partitions of a cell are: how many there are, and how many it takes.

    Args:
        partition: The mode; None for whole devices.
        ranks: Partitions that one engine takes.
        capacity_bytes: Memory of one of them.
    """
    if partition is None:
        return ()
    text = f"{partition.count(ranks)}, {format_bytes(capacity_bytes)} each"
    engines = partition.instances // ranks
    if engines > 1:
        text = f"{text}; {engines} such engines fit on a device"
    return (Note("partition", text),)


def partition_refusals(
    partition: Partition | None, ranks: int, version: Version | None
) -> tuple[Refusal, ...]:
    """Return whether an engine may be spread over partitions.

    AMD's README for vLLM 0.6.3 (ROCm/vllm docs/dev-docker) allows one rank on a partition; its
    later guides spread models over several.
    """
    if partition is None or ranks == 1 or version is None or version > _ONE_RANK_UNTIL:
        return ()
    text = (
        f"AMD's guide to vLLM 0.6.3 runs one rank on a partition, this cell asks for {ranks}; "
        "later guides spread a model over several"
    )
    return (Refusal("partition-ranks", text, is_certain=False),)


def parse_partition(mode: str, *, dies: int = 8) -> Partition:
    """Return a mode as a matrix writes it, ``cpx/nps4``; empty means one whole device.

    Args:
        mode: Compute mode, and after a slash the memory mode (``nps1`` if it is left out).
        dies: Compute dies of the accelerator: partitions of CPX.

    Raises:
        UsageError: There is no such mode.

    Example:
        >>> parse_partition("cpx/nps4")
        Partition(instances=8, domains=4)
    """
    if not mode:
        return Partition()
    compute, _, memory = mode.lower().partition("/")
    instances = dies if compute == "cpx" else _INSTANCES.get(compute)
    domains = _DOMAINS.get(memory or "nps1")
    if instances is None or domains is None:
        raise UsageError(
            f"no partition mode {mode!r}; allowed: {'/'.join(_INSTANCES)} with {'/'.join(_DOMAINS)}"
        )
    if domains > instances:
        raise UsageError(
            f"partition mode {mode!r} has more memory domains ({domains}) than devices "
            f"({instances})"
        )
    return Partition(instances, domains)
