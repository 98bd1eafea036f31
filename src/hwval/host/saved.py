"""Reads a probe that was saved, here or on another machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from hwval.errors import UsageError
from hwval.host.fact import Host

__all__ = ["read_host"]

_MAX_BYTES: Final = 16 * 2**20
"""A host with 64 devices has 60 kB; a larger file, or a device that never ends, is no probe."""


def read_host(path: Path) -> Host:
    """Return the host that ``hwval probe --save`` wrote.

    Raises:
        UsageError: The file cannot be read, holds something else, or tells of what no machine is:
            one line that names the file and what is wrong in it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise UsageError(f"{path}: larger than {_MAX_BYTES // 2**20} MiB, no saved probe")
        data = json.loads(text.decode("utf-8"))
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
