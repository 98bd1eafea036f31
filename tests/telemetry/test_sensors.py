"""Sensors of devices, from files and from NVML."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hwval.telemetry import sensors_for
from hwval.telemetry.reading import Reading
from hwval.telemetry.sensors import AmdSensor
from hwval.telemetry.sensors import CpuSensor
from hwval.telemetry.sensors import NvidiaSensor


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def test_amd_device_by_the_files_of_its_driver(tmp_path: Path) -> None:
    """Microwatts, hertz, thousandths of a degree, bytes."""
    device = "sys/class/drm/renderD128/device"
    write(
        tmp_path,
        {
            f"{device}/hwmon/hwmon3/power1_average": "250000000",
            f"{device}/hwmon/hwmon3/freq1_input": "2100000000",
            f"{device}/hwmon/hwmon3/temp1_input": "45000",
            f"{device}/hwmon/hwmon3/temp2_input": "71000",
            f"{device}/hwmon/hwmon3/temp2_crit": "100000",
            f"{device}/mem_info_vram_used": "1048576",
        },
    )

    assert AmdSensor("/dev/dri/renderD128", tmp_path).read() == Reading(
        power_w=250.0, clock_hz=2.1e9, temperature_c=71.0, memory_bytes=2**20
    )


def test_amd_device_at_its_critical_temperature_is_throttled(tmp_path: Path) -> None:
    """The driver slows it down there."""
    chip = "sys/class/drm/renderD128/device/hwmon/hwmon3"
    write(
        tmp_path,
        {
            f"{chip}/power1_input": "9000000",
            f"{chip}/temp2_input": "100000",
            f"{chip}/temp2_crit": "100000",
        },
    )
    found = AmdSensor("/dev/dri/renderD128", tmp_path).read()

    assert found.slowdowns == ("temperature at its critical limit",)
    assert found.power_w == 9.0


def test_amd_table_of_the_firmware_fills_what_the_files_leave_out(tmp_path: Path) -> None:
    """Where both tell, the monitoring chip's own file is taken."""
    device = tmp_path / "sys/class/drm/renderD128/device"
    write(tmp_path, {"sys/class/drm/renderD128/device/hwmon/hwmon3/power1_input": "9000000"})
    table = struct.pack("<HBB6H6xH88xQ", 120, 1, 3, 40, 50, 45, 0, 0, 0, 250, 1 << 46 | 1)
    (device / "gpu_metrics").write_bytes(table)

    found = AmdSensor("/dev/dri/renderD128", tmp_path).read()

    assert (found.power_w, found.temperature_c) == (9.0, 50.0)
    assert found.is_power_capped
    assert found.slowdowns == ("processor hot signal",)


def test_partition_without_sensors_says_nothing(tmp_path: Path) -> None:
    """Absent is absent, never 0."""
    assert AmdSensor("/dev/dri/renderD129", tmp_path).read() == Reading()


class Nvml:
    """The part of pynvml that is used; functions that are not set fail as on a device without."""

    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, **told: Any) -> None:
        self._told = told

    def __getattr__(self, name: str) -> Any:
        def ask(*_: Any) -> Any:
            if name not in self._told:
                raise RuntimeError("Not Supported")
            return self._told[name]

        return ask


def test_nvidia_device_by_nvml() -> None:
    """Milliwatts, millijoules, megahertz; a power cap is no slowdown against its will."""
    nvml = Nvml(
        nvmlDeviceGetHandleByUUID="handle",
        nvmlDeviceGetPowerUsage=700_000,
        nvmlDeviceGetTotalEnergyConsumption=5_000,
        nvmlDeviceGetClockInfo=1980,
        nvmlDeviceGetTemperature=65,
        nvmlDeviceGetMemoryInfo=SimpleNamespace(used=2**30),
        nvmlDeviceGetCurrentClocksThrottleReasons=0x04,
    )

    assert NvidiaSensor(nvml, "GPU-1").read() == Reading(
        power_w=700.0,
        energy_j=5.0,
        clock_hz=1.98e9,
        temperature_c=65,
        memory_bytes=2**30,
        is_power_capped=True,
    )


@pytest.mark.parametrize(
    ("bits", "slowdowns"),
    [
        (0x00, ()),
        (0x08, ("hardware slowdown",)),
        (0x60, ("software thermal slowdown", "hardware thermal slowdown")),
        (0x84, ("hardware power brake",)),
    ],
)
def test_nvidia_slowdowns(bits: int, slowdowns: tuple[str, ...]) -> None:
    """Each bit that means one, by name."""
    nvml = Nvml(nvmlDeviceGetHandleByIndex="handle", nvmlDeviceGetCurrentClocksThrottleReasons=bits)

    assert NvidiaSensor(nvml, 0).read().slowdowns == slowdowns


def test_device_that_tells_nothing() -> None:
    """As a partition of one that is shared."""
    assert NvidiaSensor(Nvml(nvmlDeviceGetHandleByUUID="h"), "MIG-1").read() == Reading()


def test_processors_by_the_files_of_the_kernel(tmp_path: Path) -> None:
    """The mean clock, the hottest place, the throttle count of those that are leased."""
    write(
        tmp_path,
        {
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2000000",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "3000000",
            "sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq": "9000000",
            "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "2",
            "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "3",
            "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "7",
            "sys/devices/system/cpu/cpu2/thermal_throttle/package_throttle_count": "70",
            "sys/class/hwmon/hwmon0/name": "k10temp",
            "sys/class/hwmon/hwmon0/temp1_input": "55000",
            "sys/class/hwmon/hwmon1/name": "nvme",
            "sys/class/hwmon/hwmon1/temp1_input": "80000",
        },
    )

    assert CpuSensor((0, 1), tmp_path).read() == Reading(
        clock_hz=2.5e9,
        temperature_c=55.0,
        throttle_counts={
            "throttled for heat": 5,
            "throttled with its whole package for heat": 7,
        },
    )


def test_sensors_follow_the_lease(tmp_path: Path) -> None:
    """One for each render node of AMD, one for all processors, none where nothing is offered."""
    nodes = ("/dev/kfd", "/dev/dri/renderD128", "/dev/dri/renderD129")
    amd = sensors_for(vendor="rocm", nodes=nodes, root=tmp_path)

    assert [sensor.name for sensor in amd] == ["/dev/dri/renderD128", "/dev/dri/renderD129"]
    assert [sensor.name for sensor in sensors_for(vendor="cpu", root=tmp_path)] == ["cpu"]
    assert sensors_for(vendor="tpu", nodes=("/dev/vfio/1",)) == ()
    assert sensors_for(vendor="cuda", uuids=("GPU-of-nobody",)) == ()


def test_amd_memory_at_its_own_critical_temperature_is_throttled(tmp_path: Path) -> None:
    """Each place has a limit of its own; the highest one says nothing of the others."""
    chip = "sys/class/drm/renderD128/device/hwmon/hwmon3"
    files = {f"{chip}/temp2_input": "80000", f"{chip}/temp2_crit": "110000"}
    write(tmp_path, files | {f"{chip}/temp3_input": "96000", f"{chip}/temp3_crit": "95000"})

    assert AmdSensor("/dev/dri/renderD128", tmp_path).read().slowdowns


def test_processors_of_two_leases_are_two_devices(tmp_path: Path) -> None:
    """Else the counts of one would be taken from those of the other."""
    names = [CpuSensor(cpus, tmp_path).name for cpus in ((0, 1), (2, 3))]

    assert names == ["cpu 0-1", "cpu 2-3"]
