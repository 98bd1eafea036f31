"""What this machine has: processors, accelerators, and which of them fit a cell."""

from __future__ import annotations

from hwval.host.fact import Device
from hwval.host.fact import DeviceNode
from hwval.host.fact import Host
from hwval.host.place import place
from hwval.host.probe import probe_host

__all__ = ["Device", "DeviceNode", "Host", "place", "probe_host"]
