"""Reads NVIDIA devices through NVML, or by name alone from the driver's files in ``/proc``."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import NamedTuple

from hwval.host.fact import Device
from hwval.host.fact import DeviceNode
from hwval.host.sysfs import device_node
from hwval.host.sysfs import pci_folder
from hwval.host.sysfs import read_numa_node
from hwval.host.sysfs import read_text

__all__ = ["NvidiaFacts", "probe_nvidia"]


class NvidiaFacts(NamedTuple):
    """NVIDIA devices, the driver's version (empty if unknown) and what was unreadable.

    ``cuda`` is the newest CUDA that the driver runs, ``12.8``; empty if unknown.
    """

    devices: tuple[Device, ...]
    driver: str
    notes: Mapping[str, str]
    cuda: str = ""


def probe_nvidia(root: Path) -> NvidiaFacts:
    """Return the NVIDIA devices of the machine whose file system begins at ``root``.

    NVML is asked only for this machine (``root`` is ``/``) and only where the driver is loaded.
    """
    found = _from_proc(root)
    if not found.devices or root != Path("/"):
        return found
    try:
        nvml: Any = importlib.import_module("pynvml")
        return _from_nvml(nvml, root)
    except Exception as error:  # noqa: BLE001 - NVML's errors derive from Exception alone
        why = f"NVML: {error}: architecture and memory are unknown"
    return found._replace(notes={"nvidia": why})


def _from_nvml(nvml: Any, root: Path) -> NvidiaFacts:
    nvml.nvmlInit()
    try:
        count = nvml.nvmlDeviceGetCount()
        devices: list[Device] = []
        for index in range(count):
            for device in _nvml_devices(nvml, root, index):
                devices.append(replace(device, index=len(devices)))
        version = _asked(nvml.nvmlSystemGetCudaDriverVersion_v2)
        # The number is 1000 * major + 10 * minor.
        cuda = f"{version // 1000}.{version % 1000 // 10}" if version else ""
        return NvidiaFacts(tuple(devices), _text(nvml.nvmlSystemGetDriverVersion()), {}, cuda)
    finally:
        nvml.nvmlShutdown()


def _nvml_devices(nvml: Any, root: Path, index: int) -> Iterator[Device]:
    """Yield a card, or in its place the instances that MIG makes of it."""
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    card = _nvml_device(nvml, root, handle)
    mode = _asked(nvml.nvmlDeviceGetMigMode, handle)
    if not mode or not mode[0]:
        yield card
        return
    for number in range(_asked(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = _asked(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        if part is None:
            continue  # places without an instance are in between
        uuid = _text(nvml.nvmlDeviceGetUUID(part))
        yield replace(
            card,
            id=uuid,
            uuid=uuid,
            name=_text(nvml.nvmlDeviceGetName(part)),
            memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(part).total),
            compute_partition="MIG",
        )


def _nvml_device(nvml: Any, root: Path, handle: Any) -> Device:
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    uuid = _text(nvml.nvmlDeviceGetUUID(handle))
    address = _short_address(_text(nvml.nvmlDeviceGetPciInfo(handle).busId))
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    limit_mw = _asked(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    persistence = _asked(nvml.nvmlDeviceGetPersistenceMode, handle)
    users = _asked(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    return Device(
        id=uuid,
        vendor="cuda",
        architecture=f"sm_{major}{minor}",
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(memory.total),
        uuid=uuid,
        pci_address=address,
        nodes=_device_nodes(root, nvml.nvmlDeviceGetMinorNumber(handle)),
        vram_bytes=int(memory.total),
        used_bytes=int(memory.used),
        power_limit_w=limit_mw / 1000 if limit_mw else None,
        persistence=None if persistence is None else bool(persistence),
        numa_node=read_numa_node(pci_folder(root, address)),
        processes=tuple(sorted({int(user.pid) for user in users})),
    )


def _asked(ask: Callable[..., Any], *arguments: object) -> Any:
    """Return NVML's answer, None to a question that this card or driver does not know."""
    try:
        return ask(*arguments)
    except Exception:  # noqa: BLE001 - NVML's errors derive from Exception alone
        return None


def _from_proc(root: Path) -> NvidiaFacts:
    """Read what the driver says of each card.

    Source: NVIDIA driver README, appendix "Proc interface":
    ``/proc/driver/nvidia/gpus/DOMAIN:BUS:DEVICE.FUNCTION/information``.
    """
    folder = root / "proc/driver/nvidia"
    files = sorted(folder.glob("gpus/*/information"))
    devices = [_proc_device(root, path, index) for index, path in enumerate(files)]
    version = re.search(
        r"^NVRM version:.*?\s(\d+\.\d[\d.]*)\s", read_text(folder / "version"), re.MULTILINE
    )
    return NvidiaFacts(tuple(devices), version[1] if version else "", {})


def _proc_device(root: Path, path: Path, index: int) -> Device:
    pairs = re.findall(r"^([^:\n]+):[ \t]*(.*)$", read_text(path), re.MULTILINE)
    facts = {name.strip(): value.strip() for name, value in pairs}
    uuid = facts.get("GPU UUID", "")
    minor = facts.get("Device Minor", "")
    return Device(
        id=uuid or f"nvidia-{path.parent.name}",
        vendor="cuda",
        architecture=None,
        index=index,
        name=facts.get("Model", ""),
        uuid=uuid,
        pci_address=path.parent.name.lower(),
        nodes=_device_nodes(root, int(minor)) if minor.isdecimal() else (),
    )


def _device_nodes(root: Path, minor: int) -> tuple[DeviceNode, ...]:
    node = device_node(root, f"/dev/nvidia{minor}")
    return (node,) if node else ()


def _short_address(address: str) -> str:
    """Return a PCI address with the usual four digits of domain; NVML writes eight."""
    domain, _, rest = address.lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def _text(value: str | bytes) -> str:
    # Older releases of nvidia-ml-py return bytes.
    return value.decode() if isinstance(value, bytes) else value
