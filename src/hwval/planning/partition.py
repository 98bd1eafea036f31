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

__all__ = ["Partition", "parse_partition"]

_INSTANCES: Final = {"spx": 1, "dpx": 2, "tpx": 3, "qpx": 4, "cpx": 8}
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
