"""Reads NVIDIA devices through NVML, or by name alone from the driver's files in ``/proc``.

``nvidia-ml-py`` is optional: without it architecture and memory stay unknown and a note says so.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import NamedTuple

from hwval.host.fact import Device
from hwval.host.fact import DeviceNode

__all__ = ["NvidiaFacts", "probe_nvidia"]


class NvidiaFacts(NamedTuple):
    """NVIDIA devices, the driver's version (empty if unknown) and what was unreadable."""

    devices: tuple[Device, ...]
    driver: str
    notes: Mapping[str, str]


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
    except ModuleNotFoundError:
        why = "nvidia-ml-py is not installed: architecture and memory are unknown"
    except Exception as error:  # noqa: BLE001 - NVML's errors derive from Exception alone
        why = f"NVML: {error}: architecture and memory are unknown"
    return found._replace(notes={"nvidia": why})


def _from_nvml(nvml: Any, root: Path) -> NvidiaFacts:
    nvml.nvmlInit()
    try:
        count = nvml.nvmlDeviceGetCount()
        devices = tuple(_nvml_device(nvml, root, index) for index in range(count))
        return NvidiaFacts(devices, _text(nvml.nvmlSystemGetDriverVersion()), {})
    finally:
        nvml.nvmlShutdown()


def _nvml_device(nvml: Any, root: Path, index: int) -> Device:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    uuid = _text(nvml.nvmlDeviceGetUUID(handle))
    return Device(
        id=uuid,
        vendor="cuda",
        architecture=f"sm_{major}{minor}",
        index=index,
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
        uuid=uuid,
        pci_address=_short_address(_text(nvml.nvmlDeviceGetPciInfo(handle).busId)),
        nodes=_device_nodes(root, nvml.nvmlDeviceGetMinorNumber(handle)),
    )


def _from_proc(root: Path) -> NvidiaFacts:
    """Read what the driver says of each card.

    Source: NVIDIA driver README, appendix "Proc interface":
    ``/proc/driver/nvidia/gpus/DOMAIN:BUS:DEVICE.FUNCTION/information``.
    """
    folder = root / "proc/driver/nvidia"
    files = sorted(folder.glob("gpus/*/information"))
    devices = [_proc_device(root, path, index) for index, path in enumerate(files)]
    version = re.search(
        r"^NVRM version:.*?\s(\d+\.\d[\d.]*)\s", _read(folder / "version"), re.MULTILINE
    )
    return NvidiaFacts(tuple(devices), version[1] if version else "", {})


def _proc_device(root: Path, path: Path, index: int) -> Device:
    pairs = re.findall(r"^([^:\n]+):[ \t]*(.*)$", _read(path), re.MULTILINE)
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
        nodes=_device_nodes(root, int(minor)) if minor.isdigit() else (),
    )


def _device_nodes(root: Path, minor: int) -> tuple[DeviceNode, ...]:
    path = f"/dev/nvidia{minor}"
    try:
        return (DeviceNode(path, os.stat(root / path.lstrip("/")).st_gid),)  # noqa: PTH116
    except OSError:
        return ()  # not passed into this container, or a saved tree without it


def _short_address(address: str) -> str:
    """Return a PCI address with the usual four digits of domain; NVML writes eight."""
    domain, _, rest = address.lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def _text(value: str | bytes) -> str:
    # Older releases of nvidia-ml-py return bytes.
    return value.decode() if isinstance(value, bytes) else value


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # absent is absent
