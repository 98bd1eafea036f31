"""Reads limits, kernel settings, room on disks and descriptions of devices for containers.

Sources: Linux, Documentation/admin-guide/sysctl/kernel.rst (``numa_balancing``), proc(5)
(``limits``, ``cmdline``); the Container Device Interface's SPEC.md: specifications are JSON or YAML
in ``/etc/cdi`` and ``/var/run/cdi``, each with a ``kind``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hwval.host.fact import Disk
from hwval.host.sysfs import read_text

__all__ = [
    "find_cached_models",
    "look_at_disks",
    "read_cdi_devices",
    "read_limits",
    "read_settings",
]

# Only what concerns accelerators: a boot line may hold anything else.
_BOOT_WORDS: Final = re.compile(
    r"(?:(?:amd_|intel_)?iommu|amd(?:gpu|ttm)\.\w+|ttm\.\w+|numa_balancing|pci)=\S+"
)
_LIMITS: Final = {"Max locked memory": "memlock", "Max open files": "nofile"}
_CDI_KIND: Final = re.compile(
    r"""^\s*"?kind"?\s*:\s*"?([\w.-]+/[\w.-]+)"?\s*,?\s*$""", re.MULTILINE
)


def read_limits(root: Path) -> dict[str, int | None]:
    """Return what a process like this one may have: the soft limits, None for without one."""
    text = read_text(root / "proc/self/limits")
    limits: dict[str, int | None] = {}
    for title, name in _LIMITS.items():
        if soft := re.search(rf"^{title} +(\S+)", text, re.MULTILINE):
            limits[name] = int(soft[1]) if soft[1].isdecimal() else None
    return limits


def read_settings(root: Path) -> dict[str, str]:
    """Return the settings of the kernel that matter, those that can be read."""
    settings = {
        "numa_balancing": read_text(root / "proc/sys/kernel/numa_balancing"),
        "cmdline": " ".join(_BOOT_WORDS.findall(read_text(root / "proc/cmdline"))),
    }
    return {name: value for name, value in settings.items() if value}


def read_cdi_devices(root: Path) -> tuple[str, ...]:
    """Return the kinds of devices that specifications on this machine describe, sorted."""
    kinds = set()
    for folder in ("etc/cdi", "var/run/cdi", "run/cdi"):
        for path in (root / folder).glob("*"):
            if path.suffix in {".json", ".yaml", ".yml"}:
                kinds.update(_CDI_KIND.findall(read_text(path)))
    return tuple(sorted(kinds))


def look_at_disks(folders: Mapping[str, Path]) -> tuple[Disk, ...]:
    """Return the room for each purpose.

    Args:
        folders: Purpose -> folder of this machine; one that is not there yet counts as the nearest
            one above it that is.
    """
    disks = []
    for purpose, folder in folders.items():
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        room = shutil.disk_usage(place)
        disks.append(
            Disk(
                purpose=purpose,
                path=str(folder),
                free_bytes=room.free,
                total_bytes=room.total,
                filesystem=place.stat().st_dev,
            )
        )
    return tuple(disks)


def find_cached_models(hub: Path) -> tuple[str, ...]:
    """Return the models whose weights are in a cache of the Hub, sorted.

    Source: huggingface_hub, guide "Understand caching": ``models--ORG--NAME/snapshots/COMMIT/`` has
    links to ``blobs/``, where files that are still loaded end with ``.incomplete``.

    Args:
        hub: The folder ``hub`` below ``HF_HOME``.
    """
    found = []
    for folder in hub.glob("models--*"):
        weights = [*folder.glob("snapshots/*/*.safetensors"), *folder.glob("snapshots/*/*.bin")]
        is_partial = any(folder.glob("blobs/*.incomplete"))
        if weights and not is_partial and all(file.exists() for file in weights):
            found.append(folder.name.removeprefix("models--").replace("--", "/"))
    return tuple(sorted(found))
