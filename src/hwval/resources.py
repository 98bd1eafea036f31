"""Finds the files that people edit, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

from hwval.errors import HwvalError

__all__ = ["resource_path"]

_PACKAGE = Path(__file__).resolve().parent
# In a checkout these stand at the top of the repository; the wheel carries them as package data.
_IN_CHECKOUT = {
    "matrices": "matrices",
    "templates": "reports/templates",
    "requirements": "requirements",
}


def resource_path(relative: str) -> Path:
    """Return where a shipped file or folder is.

    Args:
        relative: Path below ``matrices``, ``templates`` or ``requirements``, for example
            ``"matrices/smoke.yaml"``.

    Raises:
        HwvalError: Neither the wheel nor the checkout holds it.
    """
    top, _, rest = relative.partition("/")
    checkout = _PACKAGE.parent.parent / _IN_CHECKOUT.get(top, top) / rest
    for candidate in (_PACKAGE / "data" / relative, checkout):
        if candidate.exists():
            return candidate
    raise HwvalError(
        f"no shipped file {relative!r} in {_PACKAGE / 'data'} or {checkout}; reinstall hwval"
    )
