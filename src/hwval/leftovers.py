"""Removes what killed runs left behind, whatever kind of engine it was, and nothing else."""

from __future__ import annotations

from pathlib import Path

from hwval.engine.processes import reap_processes
from hwval.engine.reap import reap
from hwval.errors import DaemonError

__all__ = ["reap_leftovers"]


def reap_leftovers(cache_dir: Path) -> list[str]:
    """Remove processes and containers of runs on this machine that died.

    Args:
        cache_dir: Folder that running engines are recorded in.

    Returns:
        One line for each thing removed.
    """
    removed = reap_processes(cache_dir)
    try:
        return removed + reap()
    except DaemonError:
        return removed  # without a daemon there are no containers
