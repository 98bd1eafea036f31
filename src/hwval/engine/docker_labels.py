"""Names and labels a container, so that anyone can tell what it serves and to whom it belongs.

Each container names the process that owns it. A process id alone is not enough, since ids are
given out again: the start time tells a living owner from a stranger with its number.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from typing import Self

from hwval.cell import slug

__all__ = [
    "CELL_LABEL",
    "ENGINE_LABEL",
    "MANAGED_LABEL",
    "OWNER_LABEL",
    "RUN_LABEL",
    "Owner",
    "container_labels",
    "container_name",
]

ENGINE_LABEL: Final = "io.hwval.engine"
"""Finds the container also where Ctrl-C cut off the answer that holds its id."""
MANAGED_LABEL: Final = "io.hwval.managed"
OWNER_LABEL: Final = "io.hwval.owner"
RUN_LABEL: Final = "io.hwval.run"
CELL_LABEL: Final = "io.hwval.cell"


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that a container belongs to.

    Attributes:
        host: Name of the process's host, or of the container that it runs in.
        pid: Process id there.
        start_ticks: Start of the process in clock ticks since that host's boot.
    """

    host: str
    pid: int
    start_ticks: int

    @classmethod
    def of_this_process(cls) -> Self:
        """Return this process."""
        return cls(socket.gethostname(), os.getpid(), _start_ticks(os.getpid()) or 0)

    @classmethod
    def from_label(cls, label: str) -> Self | None:
        """Return the owner that a label names, None if it is not of the form ``host:pid:ticks``."""
        host, _, rest = label.partition(":")
        pid, _, ticks = rest.partition(":")
        if not (host and pid.isdecimal() and ticks.isdecimal()):
            return None
        return cls(host, int(pid), int(ticks))

    @property
    def label(self) -> str:
        """Text of the label."""
        return f"{self.host}:{self.pid}:{self.start_ticks}"

    def is_alive(self) -> bool:
        """Whether that very process lives on this host."""
        return _start_ticks(self.pid) == self.start_ticks


def _start_ticks(pid: int) -> int | None:
    """Return when a process started, None if there is none or it only waits to be collected.

    Source: proc_pid_stat(5), fields 3 (state) and 22 (starttime); field 2 may hold anything.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def container_name(run_id: str, cell_id: str) -> str:
    """Return the name of a cell's container; one cell of one run always has the same."""
    return f"hwval-{slug(run_id)}-{hashlib.sha256(cell_id.encode()).hexdigest()[:12]}"


def container_labels(run_id: str, cell_id: str, token: str) -> dict[str, str]:
    """Return the labels of a container that this process owns; ``token`` is this engine's own."""
    return {
        MANAGED_LABEL: "true",
        RUN_LABEL: run_id,
        CELL_LABEL: cell_id,
        OWNER_LABEL: Owner.of_this_process().label,
        ENGINE_LABEL: token,
    }
