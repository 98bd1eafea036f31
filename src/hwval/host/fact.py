"""The facts of a machine as values, and as JSON that can be kept and planned with elsewhere.

Format history:
    1: the first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final

from hwval.errors import UsageError

__all__ = ["FORMAT_VERSION", "Device", "DeviceNode", "Host"]

FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A file under ``/dev`` that gives access to a device.

    Attributes:
        path: Path on this host, for example ``/dev/dri/renderD128``.
        group_id: Numeric group that owns it here; group names differ between host and image.
    """

    path: str
    group_id: int


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator as a runtime counts them; a partition counts as a device.

    Attributes:
        id: Name that is unique on this host and survives a reboot.
        vendor: ``cpu``, ``rocm`` or ``cuda``.
        architecture: ``gfx942``, ``sm_90``; for a CPU the machine's name, ``x86_64``. None if it
            cannot be read.
        index: Position as the vendor's tools count, from 0.
        name: Product name; empty if it cannot be read.
        memory_bytes: Memory of the device itself; None if it cannot be read.
        uuid: Identity that the vendor gives it; empty without one.
        pci_address: ``0000:03:00.0``; empty without one.
        nodes: Files under ``/dev`` that belong to this device alone.
    """

    id: str
    vendor: str
    architecture: str | None
    index: int = 0
    name: str = ""
    memory_bytes: int | None = None
    uuid: str = ""
    pci_address: str = ""
    nodes: tuple[DeviceNode, ...] = ()


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
    """

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
        from pydantic import TypeAdapter
        from pydantic import ValidationError

        fields = {name: value for name, value in data.items() if name != "v"}
        try:
            fields["devices"] = tuple(_device(device) for device in fields["devices"])
            fields["cpus"] = tuple(fields["cpus"])
            fields["cpu_flags"] = tuple(fields["cpu_flags"])
            host = cls(**fields)
            TypeAdapter(cls).validate_python(dataclasses.asdict(host))
        except ValidationError as error:
            first = error.errors()[0]
            seen = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise UsageError(f"read a saved host: {seen}, expected a saved probe") from error
        except (TypeError, KeyError) as error:
            raise UsageError(f"read a saved host: {error}, expected a saved probe") from error
        return host


def _device(data: Mapping[str, Any]) -> Device:
    return Device(**{**data, "nodes": tuple(DeviceNode(**node) for node in data["nodes"])})
