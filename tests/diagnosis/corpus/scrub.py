"""Takes out of a log what belongs to the machine it was made on, and finds its evidence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import Final

__all__ = ["evidence_lines", "inspection_of", "scrub"]

_ADDRESS: Final = re.compile(
    r"(?<![\w.])(?!127\.|0\.0\.0\.0|255\.)(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)"
)
# Of the block that is kept for documentation, RFC 5737.
_NEUTRAL_ADDRESS: Final = "192.0.2.1"
_INSPECTED: Final = {
    "Id": None,
    "Created": None,
    "State": None,
    "Name": None,
    "RestartCount": None,
    "HostConfig": ("Memory", "MemorySwap", "PidsLimit", "ShmSize", "NetworkMode", "Privileged"),
    "Config": ("Image", "Entrypoint", "Cmd"),
}


def scrub(text: str, names: Mapping[str, str]) -> str:
    """Return ``text`` with neutral names and addresses.

    Args:
        text: A log.
        names: What is replaced -> by what; a longer name goes before one that it begins with.

    Example:
        >>> scrub("/tmp/x1/model on 10.0.0.7", {"/tmp/x1": "/a", "/tmp/x1/model": "/models/a"})
        '/models/a on 192.0.2.1'
    """
    for name in sorted(names, key=len, reverse=True):
        # A host may be called `vm`; that must not change `vmlinux`.
        pattern = rf"(?<![\w.-]){re.escape(name)}(?!\w)" if "/" not in name else re.escape(name)
        text = re.sub(pattern, names[name].replace("\\", r"\\"), text)
    return _ADDRESS.sub(_NEUTRAL_ADDRESS, text)


def evidence_lines(text: str, evidence: str) -> list[int]:
    """Return the numbers, from 1, of the lines that hold the evidence.

    Example:
        >>> evidence_lines("a" + chr(10) + "why" + chr(10), "why")
        [2]
    """
    if not evidence:
        return []
    return [number for number, line in enumerate(text.split("\n"), 1) if evidence in line]


def inspection_of(document: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return of what ``docker inspect`` prints the part that is about this start."""
    return [
        {
            key: container[key] if parts is None else {part: container[key][part] for part in parts}
            for key, parts in _INSPECTED.items()
        }
        for container in document
    ]
