"""Questions that come with hwval, to try a whole run with: a dozen, too few to judge a model by.

They are in the form of MMLU-Pro, so that its tasks can ask them, and were written for this
project; nothing of MMLU-Pro is in them.
"""

from __future__ import annotations

from pathlib import Path

from hwval.errors import UsageError

__all__ = ["questions_folder"]

_HERE = Path(__file__).resolve().parent


def questions_folder(name: str) -> Path:
    """Return the folder of shipped questions.

    Raises:
        UsageError: There are none of that name.
    """
    known = sorted(path.name for path in _HERE.iterdir() if (path / "test.jsonl").exists())
    if name not in known:
        raise UsageError(f"shipped:{name}: no such questions; shipped are {', '.join(known)}")
    return _HERE / name
