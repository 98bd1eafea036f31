"""Reads a probe that was saved, here or on another machine."""

from __future__ import annotations

import json
from pathlib import Path

from hwval.errors import UsageError
from hwval.host.fact import Host

__all__ = ["read_host"]


def read_host(path: Path) -> Host:
    """Return the host that ``hwval probe --save`` wrote.

    Raises:
        UsageError: The file cannot be read, holds something else, or tells of what no machine is:
            one line that names the file and what is wrong in it.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: not a saved probe; make one with `hwval probe --save`")
    try:
        return Host.from_json(data)
    except UsageError as error:
        raise UsageError(f"{path}: {str(error).removeprefix('read a saved host: ')}") from error
