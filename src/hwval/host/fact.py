"""The facts of a machine as values, and as JSON that can be kept and planned with elsewhere.

Format history:
    1: the first. Fields were added since, each with a default, so that older probes are still read.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from functools import cache
from typing import TYPE_CHECKING
from typing import Any
from typing import ClassVar
from typing import Final

from hwval.errors import UsageError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["FORMAT_VERSION", "Device", "DeviceNode", "Disk", "Docker", "Host", "NumaNode"]

FORMAT_VERSION: Final = 1

# What no machine of today comes near: a file that says more is broken.
_MOST_MEMORY_BYTES: Final = 2**50
_MOST_DEVICES: Final = 4096
_MOST_CPUS: Final = 65536
_VENDORS: Final = ("rocm", "cuda", "tpu")
# A field that nobody knows is a misspelt one; pydantic reads this when it checks a saved host.
_CLOSED: Final = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A file under ``/dev`` that gives access to a device.

    Attributes:
        path: Path on this host, for example ``/dev/dri/renderD128``.
        group_id: Numeric group that owns it here; group names differ between host and image.
        openable: Whether who looked may read and write it; None for a saved tree.
    """

    __pydantic_config__: ClassVar = _CLOSED

    path: str
    group_id: int
    openable: bool | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator as a runtime counts them; a partition counts as a device.

    Attributes:
        id: Name that is unique on this host and survives a reboot.
        vendor: ``cpu``, ``rocm``, ``cuda`` or ``tpu``.
        architecture: ``gfx942``, ``sm_90``, ``v5e``; for a CPU the machine's name, ``x86_64``. None
            if it cannot be read.
        index: Position as the vendor's tools count, from 0.
        name: Product name; empty if it cannot be read.
        memory_bytes: Memory that engines may use; that of the device itself, or for one that uses
            the host's the most it is given. None if it cannot be read.
        uuid: Identity that the vendor gives it; empty without one.
        pci_address: ``0000:03:00.0``; empty without one.
        nodes: Files under ``/dev`` that belong to this device alone.
        compute_partition: How its card is divided, as the driver writes it: ``SPX``, ``CPX``,
            ``MIG``; empty if it cannot be divided or nobody says.
        memory_partition: Memory mode of its card: ``NPS1``, ``NPS4``; empty as above.
        vram_bytes: Memory that is its card's own; None if it cannot be read.
        gtt_bytes: Most of the host's memory that its card is given; None if it cannot be read.
        used_bytes: Memory in use on its card when it was looked at; None if it cannot be read.
        unified: Whether it works in the host's own memory, as integrated GPUs do.
        power_state: Runtime power state, ``active`` or ``suspended``; empty if unknown.
        power_limit_w: Power that it may draw, watts; None if it cannot be read.
        persistence: Whether the driver stays loaded without clients; None where nobody asks that.
        numa_node: Memory node that it is nearest to; None if unknown or without one.
        processes: Ids of processes that had it open when it was looked at, sorted.
    """

    __pydantic_config__: ClassVar = _CLOSED

    id: str
    vendor: str
    architecture: str | None
    index: int = 0
    name: str = ""
    memory_bytes: int | None = None
    uuid: str = ""
    pci_address: str = ""
    nodes: tuple[DeviceNode, ...] = ()
    compute_partition: str = ""
    memory_partition: str = ""
    vram_bytes: int | None = None
    gtt_bytes: int | None = None
    used_bytes: int | None = None
    unified: bool = False
    power_state: str = ""
    power_limit_w: float | None = None
    persistence: bool | None = None
    numa_node: int | None = None
    processes: tuple[int, ...] = ()

    @property
    def partition_mode(self) -> str:
        """Both modes as a matrix writes them, ``cpx/nps4``; empty if the driver tells none."""
        modes = (self.compute_partition.lower(), self.memory_partition.lower())
        return "/".join(mode for mode in modes if mode)


@dataclass(frozen=True, slots=True)
class NumaNode:
    """One memory node.

    Attributes:
        number: As the kernel counts.
        cpus: Its logical processors, sorted.
        memory_bytes: Its memory; None if it cannot be read.
    """

    __pydantic_config__: ClassVar = _CLOSED

    number: int
    cpus: tuple[int, ...] = ()
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """Room for something that runs need.

    Attributes:
        purpose: ``models``, ``images`` or ``cache``: what is kept there.
        path: Folder; the nearest one above it that exists was looked at.
        free_bytes: What this user may still write.
        total_bytes: Size of its file system.
        filesystem: Number of that file system, so that two folders on one are not counted twice.
    """

    __pydantic_config__: ClassVar = _CLOSED

    purpose: str
    path: str
    free_bytes: int
    total_bytes: int
    filesystem: int = 0


@dataclass(frozen=True, slots=True)
class Docker:
    """The daemon that containers are asked of.

    Attributes:
        address: Where it listens.
        version: Of the daemon.
        api_version: Of its interface.
        runtimes: Names of container runtimes, sorted; ``nvidia`` is NVIDIA's.
        default_runtime: The one that is used unasked.
        cdi_folders: Where it looks for specifications of devices (CDI); empty where it does not.
        rootless: Whether it runs as a user.
        cgroup_version: ``1`` or ``2``.
        root: Folder that images are kept in, on the daemon's machine.
        images: References of images that are there, sorted.
    """

    __pydantic_config__: ClassVar = _CLOSED

    address: str
    version: str
    api_version: str = ""
    runtimes: tuple[str, ...] = ()
    default_runtime: str = ""
    cdi_folders: tuple[str, ...] = ()
    rootless: bool = False
    cgroup_version: str = ""
    root: str = ""
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """One machine.

    Attributes:
        hostname: Its name.
        kernel: Release of its kernel; empty if unknown.
        machine: ``x86_64``, ``aarch64``.
        python: Version of the interpreter that looked.
        cpu_model: Product name of its processor; empty if it does not say.
        cpu_flags: Instruction sets that matter to vLLM, sorted.
        cpus: Logical processors that this process may use, sorted.
        memory_bytes: Main memory that this process may use, > 0; None if it cannot be read.
        devices: Accelerators, in their vendors' order.
        drivers: Driver -> version.
        notes: What could not be looked at -> why.
        control_nodes: Files under ``/dev`` that all devices of a vendor share: ``/dev/kfd``.
        numa_nodes: Memory nodes, by number.
        swap_bytes: Size of swap; None if it cannot be read.
        limits: Resource -> what a process of this user may have, None for without limit:
            ``memlock`` in bytes, ``nofile`` in files.
        settings: Setting of the kernel -> its value: ``numa_balancing``, and ``cmdline``, those
            words of the boot line that concern accelerators.
        versions: Program -> version: ``hwval``, ``rocm``, ``cuda`` (the newest that the driver
            runs), ``nvidia-container-toolkit`` (``installed``; its version is not looked at).
        disks: Room for models, images and caches.
        docker: The daemon; None if there is none or nobody asked.
        cdi_devices: Kinds of devices that specifications on this host describe, sorted:
            ``nvidia.com/gpu``.
        cached_models: Models of the Hub whose files are here, sorted; None if nobody looked.
        hub_token: Whether a token of the model Hub is at hand, never the token; None if nobody
            looked.
    """

    __pydantic_config__: ClassVar = _CLOSED

    hostname: str
    kernel: str
    machine: str
    python: str
    cpu_model: str
    cpu_flags: tuple[str, ...]
    cpus: tuple[int, ...]
    memory_bytes: int | None
    devices: tuple[Device, ...] = ()
    drivers: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    control_nodes: tuple[DeviceNode, ...] = ()
    numa_nodes: tuple[NumaNode, ...] = ()
    swap_bytes: int | None = None
    limits: Mapping[str, int | None] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    disks: tuple[Disk, ...] = ()
    docker: Docker | None = None
    cdi_devices: tuple[str, ...] = ()
    cached_models: tuple[str, ...] | None = None
    hub_token: bool | None = None

    @property
    def cpu_device(self) -> Device:
        """The processor as the one device that a CPU cell runs on."""
        return Device(
            id="cpu",
            vendor="cpu",
            architecture=self.machine,
            name=self.cpu_model,
            memory_bytes=self.memory_bytes,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``from_json`` reads."""
        return {"v": FORMAT_VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Host:
        """Return the host that ``to_json`` wrote.

        Raises:
            UsageError: Another format version, or fields that do not fit it.
        """
        if data.get("v") != FORMAT_VERSION:
            raise UsageError(
                f"read a saved host: format version {data.get('v')!r}, expected {FORMAT_VERSION}"
            )
        fields = {name: value for name, value in data.items() if name != "v"}
        host = _checked(fields)
        problem = next(_absurdities(host), None)
        if problem is not None:
            raise UsageError(f"read a saved host: {problem}")
        return host


@cache
def _adapter() -> TypeAdapter[Host]:
    from pydantic import TypeAdapter

    return TypeAdapter(Host)


def _checked(fields: Mapping[str, Any]) -> Host:
    from pydantic import ValidationError

    try:
        # By way of JSON: strict about numbers and texts, while lists become tuples.
        return _adapter().validate_json(json.dumps(fields), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        seen = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise UsageError(f"read a saved host: {seen}, expected a saved probe") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"read a saved host: {error}, expected a saved probe") from error


def _absurdities(host: Host) -> Iterator[str]:
    """Yield what no machine can be; plans for it would be as absurd."""
    yield from _impossible_sizes(host)
    if len(host.devices) > _MOST_DEVICES:
        yield f"{len(host.devices)} devices, expected at most {_MOST_DEVICES}"
    for name in ("id", "index"):
        # A lease tells devices by their ids, a runtime those of one vendor by their numbers.
        seen = Counter(
            (device.id,) if name == "id" else (device.vendor, device.index)
            for device in host.devices
        )
        twice = next((key for key, count in seen.items() if count > 1), None)
        if twice is not None:
            yield f"two devices have the {name} {twice[-1]!r}, expected one of each"
    for device in host.devices:
        if device.index < 0:
            yield f"device {device.id} has the index {device.index}, expected 0 or more"
        if device.vendor not in _VENDORS:
            yield f"device {device.id} is of {device.vendor!r}, expected {', '.join(_VENDORS)}"
    if any(not 0 <= cpu < _MOST_CPUS for cpu in host.cpus) or len(set(host.cpus)) < len(host.cpus):
        yield f"cpus are {list(host.cpus)[:8]}, expected numbers of 0..{_MOST_CPUS - 1}, each once"
    numbers = [node.number for node in host.numa_nodes]
    if len(set(numbers)) < len(numbers):
        yield f"numa_nodes are {numbers[:8]}, expected each once"


def _impossible_sizes(host: Host) -> Iterator[str]:
    sizes = {"memory_bytes": host.memory_bytes}
    for number, device in enumerate(host.devices):
        for name in ("memory_bytes", "vram_bytes", "gtt_bytes"):
            sizes[f"devices.{number}.{name}"] = getattr(device, name)
    for disk in host.disks:
        # No upper bound: file systems in networks tell what they like.
        if min(disk.free_bytes, disk.total_bytes) < 0:
            room = f"{disk.free_bytes} of {disk.total_bytes} bytes free"
            yield f"disk of {disk.purpose} has {room}, expected 0 or more"
    for name, size in sizes.items():
        # A driver tells 0 of what it does not have; of the memory to work in there is some.
        least = 1 if name.endswith("memory_bytes") else 0
        if size is not None and not least <= size <= _MOST_MEMORY_BYTES:
            yield f"{name} is {size}, expected {least}..{_MOST_MEMORY_BYTES} or null"
