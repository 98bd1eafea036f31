"""What one device says of itself now; a sensor that is not there says nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Final

from hwval.telemetry.gpu_metrics import parse_gpu_metrics
from hwval.telemetry.reading import Reading
from hwval.telemetry.reading import Sensor

__all__ = ["AmdSensor", "CpuSensor", "NvidiaSensor", "sensors_for"]

_RENDER_NODE: Final = "/dev/dri/renderD"
_CPU_COUNTS: Final = {
    "core_throttle_count": "throttled for heat",
    "package_throttle_count": "throttled with its whole package for heat",
}
_CPU_CHIPS: Final = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal"})
# What slows a device down against its will. A software power cap is none of them: many cards run
# at it all the time, as their maker means them to.
# Source: nvml.h, nvmlClocksEventReason*.
_NVIDIA_SLOWDOWNS: Final = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}
_NVIDIA_POWER_CAP: Final = 0x04


class AmdSensor:
    """An AMD device by the files of its driver.

    Args:
        node: Its node, ``/dev/dri/renderD128``.
        root: Where the file system of the host begins.

    Source: Documentation/gpu/amdgpu/thermal.rst and driver-misc.rst of the Linux kernel; see also
    ``hwval.telemetry.gpu_metrics``.
    """

    def __init__(self, node: str, root: Path = Path("/")) -> None:
        self.name = node
        self._folder = root / "sys/class/drm" / Path(node).name / "device"

    def read(self) -> Reading:
        """Read it now; the files of the monitoring chip go before the table of the firmware."""
        chips = sorted(self._folder.glob("hwmon/hwmon*"))
        power_uw = _first(chip / name for chip in chips for name in _POWER_FILES)
        places = [path for chip in chips for path in chip.glob("temp*_input")]
        hottest = max(_numbers(places), default=None)
        clock_hz = _first(chip / "freq1_input" for chip in chips)
        used_bytes = _number(self._folder / "mem_info_vram_used")
        told = parse_gpu_metrics(_bytes(self._folder / "gpu_metrics")) or Reading()
        critical = ("temperature at its critical limit",) if any(map(_is_critical, places)) else ()
        return replace(
            told,
            power_w=told.power_w if power_uw is None else power_uw / 1e6,
            clock_hz=told.clock_hz if clock_hz is None else clock_hz,
            temperature_c=told.temperature_c if hottest is None else hottest / 1e3,
            memory_bytes=None if used_bytes is None else int(used_bytes),
            slowdowns=(*told.slowdowns, *critical),
        )


def _is_critical(place: Path) -> bool:
    """Return whether a place has reached its own limit; memory has another than the rest."""
    found, limit = _number(place), _number(place.with_name(place.name.replace("input", "crit")))
    return found is not None and bool(limit) and found >= (limit or 0.0)


_POWER_FILES: Final = ("power1_average", "power1_input")


class NvidiaSensor:
    """An NVIDIA device by NVML.

    Args:
        nvml: The module ``pynvml``, initialised.
        identity: UUID of the device, or its index.

    Raises:
        Exception: NVML knows no such device; its errors derive from Exception alone.
    """

    def __init__(self, nvml: Any, identity: str | int) -> None:
        self.name = str(identity)
        self._nvml = nvml
        self._handle = (
            nvml.nvmlDeviceGetHandleByUUID(identity)
            if isinstance(identity, str)
            else nvml.nvmlDeviceGetHandleByIndex(identity)
        )

    def read(self) -> Reading:
        """Read it now."""
        nvml = self._nvml
        power_mw = self._ask("nvmlDeviceGetPowerUsage")
        energy_mj = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        clock_mhz = self._ask("nvmlDeviceGetClockInfo", getattr(nvml, "NVML_CLOCK_SM", 1))
        temperature = self._ask(
            "nvmlDeviceGetTemperature", getattr(nvml, "NVML_TEMPERATURE_GPU", 0)
        )
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        # NVML renamed it; the older name is the one that every release has.
        reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons") or 0
        return Reading(
            power_w=None if power_mw is None else power_mw / 1e3,
            energy_j=None if energy_mj is None else energy_mj / 1e3,
            clock_hz=None if clock_mhz is None else clock_mhz * 1e6,
            temperature_c=temperature,
            memory_bytes=None if memory is None else int(memory.used),
            is_power_capped=bool(reasons & _NVIDIA_POWER_CAP),
            slowdowns=tuple(why for bit, why in _NVIDIA_SLOWDOWNS.items() if reasons & bit),
        )

    def _ask(self, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self._nvml, name)(self._handle, *arguments)
        except Exception:  # noqa: BLE001 - NVML's errors derive from Exception alone
            return None  # this device or driver does not tell


class CpuSensor:
    """The processors of this host, by the files of its kernel.

    Args:
        cpus: Logical processors; empty for all.
        root: Where the file system of the host begins.

    Source: Documentation/admin-guide/pm/cpufreq.rst of the Linux kernel; thermal_throttle of
    Documentation/ABI/testing/sysfs-devices-system-cpu (Intel alone).
    """

    def __init__(self, cpus: Sequence[int] = (), root: Path = Path("/")) -> None:
        self.name = f"cpu {cpus[0]}-{cpus[-1]}" if cpus else "cpu"
        self._hwmon = root / "sys/class/hwmon"
        folder = root / "sys/devices/system/cpu"
        self._cpus = [folder / f"cpu{cpu}" for cpu in cpus] or sorted(folder.glob("cpu[0-9]*"))

    def read(self) -> Reading:
        """Read it now."""
        clocks_khz = _numbers(cpu / "cpufreq/scaling_cur_freq" for cpu in self._cpus)
        counts = {why: self._counts(name) for name, why in _CPU_COUNTS.items()}
        chips = [chip for chip in self._hwmon.glob("hwmon*") if _text(chip / "name") in _CPU_CHIPS]
        temperatures = _numbers(path for chip in chips for path in chip.glob("temp*_input"))
        return Reading(
            clock_hz=sum(clocks_khz) / len(clocks_khz) * 1e3 if clocks_khz else None,
            temperature_c=max(temperatures) / 1e3 if temperatures else None,
            throttle_counts={why: int(sum(found)) for why, found in counts.items() if found},
        )

    def _counts(self, name: str) -> list[float]:
        return _numbers(cpu / "thermal_throttle" / name for cpu in self._cpus)


def sensors_for(
    *,
    nodes: Sequence[str] = (),
    uuids: Sequence[str] = (),
    indices: Sequence[int] = (),
    cpus: Sequence[int] = (),
    vendor: str = "cpu",
    root: Path = Path("/"),
) -> tuple[Sensor, ...]:
    """Return the sensors of leased devices; none for a vendor that offers nothing.

    Args:
        nodes: Device nodes.
        uuids: Identities, where the vendor gives them.
        indices: Positions as the vendor's tools count them.
        cpus: Logical processors, empty for all.
        vendor: ``cpu``, ``rocm``, ``cuda`` or ``tpu``.
        root: Where the file system of the host begins.
    """
    if vendor == "rocm":
        return tuple(AmdSensor(node, root) for node in nodes if node.startswith(_RENDER_NODE))
    if vendor == "cuda":
        return _nvidia_sensors([*uuids] or [*indices])
    return (CpuSensor(cpus, root),) if vendor == "cpu" else ()


def _nvidia_sensors(identities: Sequence[str | int]) -> tuple[Sensor, ...]:
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
        return tuple(NvidiaSensor(nvml, identity) for identity in identities)
    except Exception:  # noqa: BLE001 - see NvidiaSensor; a run goes on without telemetry
        return ()


def _first(paths: Iterable[Path]) -> float | None:
    return next((number for path in paths if (number := _number(path)) is not None), None)


def _numbers(paths: Iterable[Path]) -> list[float]:
    return [number for path in paths if (number := _number(path)) is not None]


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
