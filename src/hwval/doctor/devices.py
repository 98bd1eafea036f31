"""Checks of accelerators: may they be opened, are they in the right mode, free and awake?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Final

from hwval.catalogue import EngineKind
from hwval.catalogue import Vendor
from hwval.doctor.check import Check
from hwval.doctor.check import joined
from hwval.doctor.check import not_checkable
from hwval.doctor.check import ok
from hwval.doctor.check import problem
from hwval.doctor.check import runnable
from hwval.doctor.check import warning
from hwval.host import Device
from hwval.host import DeviceNode
from hwval.host import Host
from hwval.host import fits_mode
from hwval.host import set_mode_remedy
from hwval.placement import PlacedCell
from hwval.placement import wanted_mode
from hwval.planning.engine_settings import parse_version
from hwval.planning.support import image_refusals
from hwval.units import format_bytes

__all__ = ["device_checks"]

# Source: https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
_OLDEST_DRIVER: Final = {11: 450, 12: 525, 13: 580}
_CUDA_IN_TAG: Final = re.compile(r"(?:^|[^a-z])cu(?:da)?-?(\d\d)")
# Source: vLLM's docker/Dockerfile: CUDA 12 since 0.3; 12.9 at 0.11, and 13.0 since.
_SURELY_CUDA_12: Final = (0, 3)
_MAYBE_CUDA_13: Final = (0, 12)
# gfx1100's code runs on these relatives; seen by users, promised by nobody.
# Source: https://github.com/kyuz0/amd-strix-halo-toolboxes; LLVM, docs/AMDGPUUsage.rst (gfx11).
_OVERRIDES: Final = {"gfx1102": "11.0.0", "gfx1151": "11.0.0"}
# More than a display or the driver itself takes.
_BUSY_BYTES: Final = 2 * 2**30


def device_checks(host: Host, cells: Sequence[PlacedCell]) -> Iterator[Check]:
    """Yield the checks of a host's accelerators."""
    if not host.devices:
        yield _none_found(host, cells)
        return
    yield _access(host)
    yield from _partitions(host, cells)
    yield from _drivers(host, cells)
    yield from _overrides(cells)
    yield from _unified(host)
    yield _power(host)
    yield _users(host)


def _none_found(host: Host, cells: Sequence[PlacedCell]) -> Check:
    notes = "; ".join(f"{subject}: {note}" for subject, note in host.notes.items())
    if any(subject != "docker" for subject in host.notes):
        return not_checkable("devices", f"no accelerator found ({notes})")
    if cells and all(placed.vendor is not Vendor.CPU for placed in cells):
        return problem(
            "devices",
            "no accelerator found, and no cell is for processors",
            "check that the driver is loaded (`lsmod | grep -E 'amdgpu|nvidia'`)",
        )
    return ok("devices", "no accelerator; cells for processors can run")


def _access(host: Host) -> Check:
    name = "device-access"
    bare = [device.id for device in host.devices if not device.nodes]
    shared = {node.path for node in host.control_nodes}
    amd = any(device.vendor == "rocm" for device in host.devices)
    nodes = [node for device in host.devices for node in device.nodes] + list(host.control_nodes)
    closed = [node for node in nodes if node.openable is False]
    if closed:
        paths = joined(node.path for node in closed)
        return problem(name, f"this user may not open {paths}", _group_remedy(closed))
    if (amd and "/dev/kfd" not in shared) or bare:
        missing = joined([*bare, *(["/dev/kfd"] if amd and "/dev/kfd" not in shared else [])])
        seen = f"no node under /dev for {missing}"
        if nodes and all(node.openable is None for node in nodes):
            return not_checkable(name, f"{seen}: a saved tree that was made without them")
        return problem(
            name, seen, "load the driver, or pass the nodes into this container (`--device`)"
        )
    if any(node.openable is None for node in nodes):
        groups = joined(sorted({node.group_id for node in nodes}))
        return not_checkable(name, f"a saved tree; its nodes belong to the groups {groups}")
    return ok(name, f"{len(nodes)} nodes can be opened")


def _group_remedy(closed: Iterable[DeviceNode]) -> str:
    groups = sorted({node.group_id for node in closed})
    if groups == [0]:
        return (
            "they belong to root alone: install the driver's udev rules, so that a group owns them"
        )
    added = " and ".join(
        f"`sudo usermod -aG $(getent group {number} | cut -d: -f1) $USER`" for number in groups
    )
    return (
        f"join {added}, then log in again (a group without a name: `sudo groupadd -g NUMBER render`"
        " first)"
    )


def _partitions(host: Host, cells: Sequence[PlacedCell]) -> Iterator[Check]:
    name = "partition-mode"
    divided = [device for device in host.devices if device.compute_partition]
    modes = dict.fromkeys(device.partition_mode.upper() for device in divided)
    if len(modes) > 1:
        yield warning(
            name, f"cards are in different modes: {joined(modes)}", "put all into the same"
        )
    wanted: dict[tuple[str, str], list[str]] = {}
    for placed in cells:
        facts = placed.entry.catalogue.hardware(placed.cell.hardware)
        mode = wanted_mode(facts, placed.cell.partition_mode)
        if mode and facts.vendor is Vendor.ROCM:
            wanted.setdefault((facts.architecture, mode), []).append(placed.cell.id)
    asked = False
    for architecture in dict.fromkeys(architecture for architecture, _ in wanted):
        alike = [device for device in host.devices if device.architecture == architecture]
        if alike:
            asked = True
            asks = {mode: ids for (other, mode), ids in wanted.items() if other == architecture}
            yield from _partitions_of(alike, asks)
    if divided and not asked and len(modes) == 1:
        yield ok(name, f"{len(divided)} devices in {joined(modes)}")


def _partitions_of(alike: Sequence[Device], wanted: Mapping[str, Sequence[str]]) -> Iterator[Check]:
    """Yield for each mode that cells want whether these devices are in it."""
    name = "partition-mode"
    if not any(device.compute_partition for device in alike):
        modes = joined(mode.upper() for mode in wanted)
        yield not_checkable(name, f"the driver tells no mode; the matrix wants {modes}")
        return
    wrong = {mode: [device for device in alike if not fits_mode(device, mode)] for mode in wanted}
    some_run = any(not devices for devices in wrong.values())
    for mode, devices in wrong.items():
        if not devices:
            text = f"{len(alike)} devices are in {mode.upper()} as the matrix wants"
            yield ok(name, text)
            continue
        seen = joined(device.partition_mode.upper() for device in devices)
        text = (
            f"{len(devices)} devices are in {seen}, the matrix wants {mode.upper()} for "
            f"{len(wanted[mode])} of its cells"
        )
        # Cells of several modes cannot all run at once; that is the matrix's own choice.
        state = warning if some_run else problem
        yield state(name, text, set_mode_remedy(mode))


def _drivers(host: Host, cells: Sequence[PlacedCell]) -> Iterator[Check]:
    name = "driver"
    if any(device.vendor == "rocm" for device in host.devices):
        version = host.drivers.get("amdgpu", "that of the kernel")
        yield ok(name, f"amdgpu {version}, kernel {host.kernel or 'unknown'}")
    if not any(device.vendor == "cuda" for device in host.devices):
        return
    version = host.drivers.get("nvidia", "")
    if not version:
        yield not_checkable(name, "the version of NVIDIA's driver is unknown")
        return
    major = int(version.split(".")[0])
    images = {
        placed.cell.image: placed.image.vllm
        for placed in runnable(cells)
        if placed.vendor is Vendor.CUDA
    }
    findings = [_driver_for(image, vllm, major) for image, vllm in images.items()]
    bad = [finding for finding in findings if finding]
    yield from bad
    if not bad:
        newest = host.versions.get("cuda")
        runs = f", runs CUDA up to {newest}" if newest else ""
        yield ok(name, f"NVIDIA {version}{runs}")


def _driver_for(image: str, vllm: str | None, major: int) -> Check | None:
    name = "driver"
    tagged = _CUDA_IN_TAG.search(image.rpartition(":")[2])
    version = parse_version(vllm)
    cuda = int(tagged[1]) if tagged else 0
    if not cuda and version is not None and version >= _SURELY_CUDA_12:
        cuda = 12
    needed = _OLDEST_DRIVER.get(cuda)
    update = f"install NVIDIA's driver {needed} or newer, or take an image for an older CUDA"
    if needed and major < needed:
        return problem(
            name, f"{image} needs driver {needed} (CUDA {cuda}), this is {major}", update
        )
    if not tagged and major < _OLDEST_DRIVER[13] and version and version >= _MAYBE_CUDA_13:
        return warning(
            name,
            f"{image} may be built with CUDA 13, which needs driver 580; this is {major}",
            "install driver 580 or newer, or take a tag with cu12 in it; data-centre cards may "
            "set VLLM_ENABLE_CUDA_COMPATIBILITY=1",
        )
    return None


def _overrides(cells: Sequence[PlacedCell]) -> Iterator[Check]:
    """Yield whether images hold code for their devices, or another's code must be forced."""
    seen: dict[tuple[str, str, str], PlacedCell] = {}
    for placed in cells:
        runs_elsewhere = placed.image.engine is EngineKind.EXTERNAL
        if placed.vendor is Vendor.ROCM and placed.devices and not runs_elsewhere:
            override = dict(placed.cell.environment).get("HSA_OVERRIDE_GFX_VERSION", "")
            architecture = placed.devices[0].architecture or ""
            seen.setdefault((architecture, placed.cell.image, override), placed)
    for (architecture, _, override), placed in seen.items():
        yield _override(architecture, override, placed)


def _override(architecture: str, override: str, placed: PlacedCell) -> Check:
    name, image = "hsa-override", placed.cell.image
    missing = image_refusals(architecture, image=image, version=parse_version(placed.image.vllm))
    known = _OVERRIDES.get(architecture)
    if missing and not override and known:
        return problem(
            name,
            f"{missing[0].text}; {image} runs here only as gfx1100",
            f"write `environment: {{HSA_OVERRIDE_GFX_VERSION: {known}}}` into the cell, and "
            "expect its numbers to be another's code",
        )
    if missing and not override:
        return problem(
            name,
            f"{missing[0].text} ({image})",
            f"take an image that is built for {architecture}",
        )
    if override and not missing:
        return warning(
            name,
            f"{placed.cell.id} overrides the architecture ({override}) for {image}, which "
            f"nobody knows to lack {architecture}",
            "leave HSA_OVERRIDE_GFX_VERSION out and see whether it runs",
        )
    forced = f", forced to run the code of {override}" if override else ""
    return ok(name, f"{architecture} with {image}{forced}")


def _unified(host: Host) -> Iterator[Check]:
    for device in host.devices:
        if not device.unified:
            continue
        size = format_bytes(device.memory_bytes) if device.memory_bytes else "unknown"
        parts = ", ".join(
            f"{label} {format_bytes(part)}"
            for label, part in (("carve-out", device.vram_bytes), ("GTT", device.gtt_bytes))
            if part is not None
        )
        text = f"{device.id} may use {size} of the host's memory ({parts or 'parts unknown'})"
        if device.id in host.notes:
            yield warning(
                "unified-memory", f"{text}; {host.notes[device.id]}", "boot Linux 6.10 or newer"
            )
        else:
            yield ok("unified-memory", text)


def _power(host: Host) -> Check:
    name = "power-state"
    asleep = [device for device in host.devices if device.power_state == "suspended"]
    if asleep:
        return warning(
            name,
            f"{joined(device.id for device in asleep)} sleeps: the first start pays for waking it",
            "`echo on | sudo tee /sys/bus/pci/devices/"
            f"{asleep[0].pci_address}/power/control`, for each",
        )
    if any(device.persistence is False for device in host.devices):
        return warning(
            name,
            "persistence mode is off: the driver is loaded anew for each engine",
            "`sudo nvidia-smi -pm 1`, or run nvidia-persistenced",
        )
    if any(device.power_state or device.persistence for device in host.devices):
        return ok(name, "devices are awake")
    return not_checkable(name, "nothing tells the power state of the devices")


def _users(host: Host) -> Check:
    name = "device-users"
    busy = [device for device in host.devices if device.processes]
    if busy:
        pids = sorted({pid for device in busy for pid in device.processes})
        return warning(
            name,
            f"processes {joined(pids)} use {joined(device.id for device in busy)}",
            f"see whose they are (`ps -fp {','.join(map(str, pids[:8]))}`) and end what is left "
            "over; numbers measured beside them are not the device's",
        )
    # An integrated GPU shares its memory with the desktop.
    full = [
        device
        for device in host.devices
        if not device.unified and (device.used_bytes or 0) > _BUSY_BYTES
    ]
    if full:
        used = format_bytes(max(device.used_bytes or 0 for device in full))
        return warning(
            name,
            f"up to {used} are in use on {joined(device.id for device in full)}, by processes that "
            "cannot be seen from here",
            "look at the host outside this container (`amd-smi process`, `nvidia-smi`)",
        )
    if all(device.used_bytes is None for device in host.devices):
        return not_checkable(name, "nothing tells how much memory is in use")
    return ok(name, "no other process uses them")
