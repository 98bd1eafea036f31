"""What this machine has: processors, accelerators, and which of them fit a cell."""

from __future__ import annotations

from hwval.host.fact import Device
from hwval.host.fact import DeviceNode
from hwval.host.fact import Disk
from hwval.host.fact import Docker
from hwval.host.fact import Host
from hwval.host.fact import NumaNode
from hwval.host.place import fits_mode
from hwval.host.place import place
from hwval.host.place import set_mode_remedy
from hwval.host.probe import probe_host
from hwval.host.saved import read_host
from hwval.host.system import find_cached_models
from hwval.host.system import look_at_disks
from hwval.host.words import host_rows

__all__ = [
    "Device",
    "DeviceNode",
    "Disk",
    "Docker",
    "Host",
    "NumaNode",
    "find_cached_models",
    "fits_mode",
    "host_rows",
    "look_at_disks",
    "place",
    "probe_host",
    "read_host",
    "set_mode_remedy",
]
