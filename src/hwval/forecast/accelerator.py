"""What a cell would run on: devices of this host, or those that the catalogue tells of."""

from __future__ import annotations

from collections.abc import Sequence

from hwval.catalogue import HardwareFacts
from hwval.catalogue import Vendor
from hwval.cell import Cell
from hwval.errors import UsageError
from hwval.host import Device
from hwval.planning.engine_settings import MemoryDevice
from hwval.planning.partition import parse_partition
from hwval.planning.plan import Accelerator
from hwval.planning.refusal import Refusal
from hwval.planning.roofline import Speed
from hwval.planning.support import native_fp8

__all__ = ["accelerator_of"]


def accelerator_of(
    cell: Cell, facts: HardwareFacts, devices: Sequence[Device] = ()
) -> tuple[Accelerator, tuple[Refusal, ...]]:
    """Return what a cell runs on, and what is not certain about it.

    Memory is that of this host's devices where it has them, of the smallest one; free memory does
    not count, since it differs from one minute to the next. Bandwidth and peaks are the
    catalogue's.

    Args:
        cell: The cell, with its count of devices and its partition mode.
        facts: Its hardware.
        devices: Devices of this host that would do; none if they are elsewhere.

    Raises:
        UsageError: Nobody knows how much memory it has, or there is no such partition mode.
    """
    sizes = [device.memory_bytes for device in devices if device.memory_bytes]
    # Of a partition the host shows a part, and of the whole the whole: the catalogue is told once.
    capacity = min(sizes, default=None) if not cell.partition_mode else facts.memory_bytes
    doubts: list[Refusal] = []
    if capacity is None:
        capacity = facts.memory_bytes
    if capacity is None and facts.memory_at_most_bytes is not None:
        capacity = facts.memory_at_most_bytes
        text = f"how much memory {facts.title} is given depends on the host; planned with the most"
        doubts.append(Refusal("memory-of-host", text, is_certain=False))
    if capacity is None:
        raise UsageError(
            f"how much memory {cell.hardware} has is not known here; plan on a host that has it, "
            "or write its 'memory' under 'catalogue: hardware:' in the matrix"
        )
    if facts.vendor is Vendor.CPU and cell.memory_bytes is not None:
        capacity = min(capacity, cell.memory_bytes)
    device = devices[0] if devices else None
    architecture = (device and device.architecture) or facts.architecture
    accelerator = Accelerator(
        architecture=architecture,
        memory=MemoryDevice(
            vendor=str(facts.vendor),
            capacity_bytes=capacity,
            name=(device and device.name) or facts.title,
            unified=facts.unified,
            native_fp8=native_fp8(architecture),
        ),
        speed=_speed(facts),
        count=cell.device_count,
        partition=parse_partition(facts.partition_mode) if facts.partition_mode else None,
    )
    if not cell.partition_mode:
        return accelerator, tuple(doubts)
    partition = parse_partition(cell.partition_mode, dies=facts.dies or 8)
    if facts.dies is None:
        text = f"the catalogue knows no partition modes of {cell.hardware}"
        doubts.append(Refusal("partition", text, is_certain=False))
    return accelerator.partitioned(partition), tuple(doubts)


def _speed(facts: HardwareFacts) -> Speed | None:
    if facts.bandwidth_bytes_per_s is None:
        return None
    peaks = {str(name): peak for name, peak in facts.peak_flops_per_s.items()}
    return Speed(facts.bandwidth_bytes_per_s, peaks)
