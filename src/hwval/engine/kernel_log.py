"""Reads the part of the kernel's log that fell into an engine's lifetime.

The kernel tells of killed processes, device resets and memory faults that no engine can log.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Final

__all__ = ["read_kernel_log"]

_DEVICE: Final = Path("/dev/kmsg")
_LARGEST_RECORD_BYTES: Final = 8192
# The kernel stamps with its own clock, which runs beside the monotonic one within seconds a day.
_SLACK_S: Final = 5.0


def read_kernel_log(
    since_s: float, *, limit_lines: int = 400, device: Path = _DEVICE
) -> tuple[str, ...]:
    """Return the last lines that the kernel logged since ``since_s``.

    Args:
        since_s: Instant on the monotonic clock; lines of a few seconds before are included.
        limit_lines: How many lines at most, the newest ones.
        device: The kernel's log; each read gives one record.

    Raises:
        OSError: Not permitted (``kernel.dmesg_restrict``) or not there.

    Source: Documentation/ABI/testing/dev-kmsg of Linux: ``priority,sequence,microseconds,flags;``
    and the message, EAGAIN at the end, EPIPE where records were overwritten meanwhile.
    """
    lines: deque[str] = deque(maxlen=limit_lines)
    descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while record := _next_record(descriptor):
            head, _, message = record.decode("utf-8", "replace").partition(";")
            stamp_s = int(head.split(",")[2]) / 1e6
            if stamp_s >= since_s - _SLACK_S:
                # Further lines of a record are its dictionary, for machines.
                lines.append(f"[{stamp_s:.6f}] {message.splitlines()[0] if message else ''}")
    finally:
        os.close(descriptor)
    return tuple(lines)


def _next_record(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, _LARGEST_RECORD_BYTES)
        except BlockingIOError:
            return b""
        except BrokenPipeError:
            continue
