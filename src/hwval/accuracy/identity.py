"""Whose answers they are: only those of the very same making may be found again.

A cell's fingerprint says what was asked for; image, model, server and machine say what it was. If
one of them is not known, nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from hwval.clock import utc_now

__all__ = ["answers_file", "folder_digest"]

# An interruption is mended within days; an older answer says nothing of the machine of today.
_KEPT_S: Final = 3 * 86_400.0


def answers_file(folder: Path, label: str, facts: Mapping[str, str | None]) -> Path | None:
    """Return where the answers to a task are kept until it has its score; forgets old ones.

    Args:
        folder: For such files of all runs.
        label: Name of the task in the matrix.
        facts: What the answers depend on; one that is None is not known, and nothing is kept.
    """
    if folder.is_dir():
        now_s = utc_now().timestamp()
        for path in folder.glob("*.jsonl"):  # not their locks, which somebody may hold
            with suppress(FileNotFoundError):  # another run may be at it too
                if now_s - path.stat().st_mtime > _KEPT_S:
                    path.unlink()
    if any(value is None for value in facts.values()):
        return None
    text = json.dumps([label, sorted(facts.items())])
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.jsonl"


def folder_digest(folder: Path) -> str:
    """Return a hash over names, sizes and times of a folder's files: another one, other files."""
    rows = [
        (str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
