"""Power, clocks, temperature and memory of devices while something runs on them.

    reading      what a sensor is, and what it says at one moment
    gpu_metrics  the table that amdgpu publishes for each card
    sensors      what one device says now: sysfs, NVML, the processor
    watch        a thread that asks the sensors now and then, and what it comes to

Every reading is optional: what a host does not offer is absent, never 0.
"""

from __future__ import annotations

from hwval.telemetry.reading import Sensor
from hwval.telemetry.sensors import sensors_for
from hwval.telemetry.watch import DeviceWatch
from hwval.telemetry.watch import Seen

__all__ = [
    "DeviceWatch",
    "Seen",
    "Sensor",
    "sensors_for",
]
