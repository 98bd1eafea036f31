"""Says what on a host stands in the way of a run, and what to do about it.

Pure: the probe looks, the checks here decide. So a saved probe is examined like this machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwval.doctor.check import Check
from hwval.doctor.check import State
from hwval.doctor.containers import container_checks
from hwval.doctor.devices import device_checks
from hwval.doctor.matrix import matrix_checks
from hwval.doctor.system import system_checks
from hwval.host import Host
from hwval.placement import PlacedCell

__all__ = ["Check", "State", "examine"]


def examine(host: Host, cells: Sequence[PlacedCell] = ()) -> tuple[Check, ...]:
    """Return every check of a host, in the order people read them.

    Args:
        host: The machine, with disks, daemon and token where somebody looked at them.
        cells: Cells placed on that machine; with none only the machine itself is examined.
    """
    return (
        *device_checks(host, cells),
        *container_checks(host, cells),
        *system_checks(host, cells),
        *matrix_checks(host, cells),
    )
