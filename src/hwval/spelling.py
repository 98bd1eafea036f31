"""What a person meant who mistyped a name: near matches for messages about unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

__all__ = ["near_names"]

_MOST: Final = 3
_MOST_LISTED: Final = 12
_MOST_CHARACTERS: Final = 240


def near_names(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Return a phrase that helps to correct ``name``, to be put behind ``; ``.

    Names that contain what was written come first, then those that are written alike; where
    nothing is near, the known ones are listed, a few of them if they are many.

    Args:
        name: What was written.
        known: The names that exist.
        prefix: What has to be written before each of them.

    Example:
        >>> near_names("flaot16", ["float16", "float32"])
        "did you mean 'float16'?"
        >>> near_names("x", ["float16", "float32"])
        'known are float16, float32'
    """
    names = list(dict.fromkeys(known))
    by_folded = {candidate.lower(): candidate for candidate in reversed(names)}
    folded = name.lower().strip("*")
    near = [by_folded[key] for key in by_folded if len(folded) > 2 and folded in key][::-1][:_MOST]
    if not near:
        matches = difflib.get_close_matches(folded, by_folded, n=_MOST)
        near = [by_folded[key] for key in matches]
    if near:
        return f"did you mean {' or '.join(repr(prefix + one) for one in near)}?"
    is_long = len(names) > _MOST_LISTED or sum(map(len, names)) > _MOST_CHARACTERS
    if is_long and len(names) > _MOST:
        return (
            f"known are {prefix}{f', {prefix}'.join(names[:_MOST])} and {len(names) - _MOST} more"
        )
    return f"known are {prefix}{f', {prefix}'.join(names)}" if names else "none are known"
