"""Removes the containers of runs that died, and nothing else."""

from __future__ import annotations

import socket

from hwval.engine.docker_client import Daemon
from hwval.engine.docker_labels import MANAGED_LABEL
from hwval.engine.docker_labels import OWNER_LABEL
from hwval.engine.docker_labels import Owner

__all__ = ["reap"]


def reap() -> list[str]:
    """Remove containers of this project whose owner no longer lives on this host.

    What belongs to other hosts that use the same daemon is left alone: only they can tell.

    Returns:
        Names of the removed containers.

    Raises:
        LabError: The daemon does not answer, or it refused.
    """
    here = socket.gethostname()
    removed = []
    with Daemon() as daemon:
        for container in daemon.list_containers({MANAGED_LABEL: "true"}):
            owner = Owner.from_label(container.labels.get(OWNER_LABEL, ""))
            if owner is None or owner.host != here or owner.is_alive():
                continue
            daemon.remove(container.container_id, attempt=f"remove leftover {container.name}")
            removed.append(container.name)
    return removed
