"""Reads the small files of ``/proc``, ``/sys`` and ``/dev``: absent is absent, never an error."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from hwval.host.fact import DeviceNode

__all__ = ["device_node", "parse_cpu_list", "pci_folder", "read_int", "read_numa_node", "read_text"]

_HERE: Final = Path("/")
_MOST_CPUS: Final = 65535
_CPU_RANGE: Final = re.compile(r"(?:^|,)([0-9]{1,5})(?:-([0-9]{1,5}))?(?=,|$)")


def read_text(path: Path) -> str:
    """Return what stands in a file, without white space around it; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def read_int(path: Path) -> int | None:
    """Return the whole number in a file, None if there is none."""
    text = read_text(path)
    return int(text) if re.fullmatch(r"-?[0-9]{1,20}", text) else None


def read_numa_node(folder: Path) -> int | None:
    """Return the memory node that a device is nearest to, None if the firmware does not say."""
    node = read_int(folder / "numa_node")
    return node if node is not None and node >= 0 else None  # the kernel writes -1


def device_node(root: Path, path: str) -> DeviceNode | None:
    """Return a file under ``/dev`` of the machine below ``root``; None if it is not there.

    It may not have been passed into this container, or a saved tree was made without it.
    """
    place = root / path.lstrip("/")
    try:
        group_id = os.stat(place).st_gid  # noqa: PTH116
    except OSError:
        return None
    openable = os.access(place, os.R_OK | os.W_OK) if root == _HERE else None
    return DeviceNode(path, group_id, openable)


def pci_folder(root: Path, address: str) -> Path:
    """Return where the kernel shows the device of a PCI address."""
    return root / "sys/bus/pci/devices" / address


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Return the numbers of a list as the kernel writes them.

    Example:
        >>> parse_cpu_list("0-2,8")
        (0, 1, 2, 8)
    """
    numbers: list[int] = []
    for first, last in _CPU_RANGE.findall(text):
        # No kernel counts further, and a broken file must not fill the memory.
        numbers.extend(range(int(first), min(int(last or first), _MOST_CPUS) + 1))
    return tuple(numbers)
