"""Reading and writing numbers with units; nothing else converts units.

Data is kept in base units (seconds, bytes, tokens per second); people write and read others.
"""

from __future__ import annotations

import re

__all__ = ["format_bytes", "format_count", "format_duration_s", "parse_bytes", "parse_duration_s"]

_DURATION_UNITS_S = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_SIZE_UNITS_BYTES = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def parse_duration_s(text: str) -> float:
    """Return the seconds that a person wrote.

    Args:
        text: A number >= 0 and a unit: ``ms``, ``s``, ``min`` or ``h``.

    Raises:
        ValueError: The unit is missing or unknown.

    Example:
        >>> parse_duration_s("20 min")
        1200.0
    """
    return _parse(text, _DURATION_UNITS_S, example="'20 min'")


def parse_bytes(text: str) -> int:
    """Return the bytes that a person wrote.

    Args:
        text: A number >= 0 and a unit: ``B``, ``kB``, ``MB``, ``GB``, ``TB`` (powers of 1000) or
            ``KiB``, ``MiB``, ``GiB``, ``TiB`` (powers of 1024).

    Raises:
        ValueError: The unit is missing or unknown.

    Example:
        >>> parse_bytes("16 GiB")
        17179869184
    """
    return round(
        _parse(text, {k: float(v) for k, v in _SIZE_UNITS_BYTES.items()}, example="'16 GiB'")
    )


def format_duration_s(duration_s: float) -> str:
    """Return a duration (seconds, >= 0) for people, two leading units at most.

    Example:
        >>> [format_duration_s(s) for s in (0.0123, 9.87, 75, 3700)]
        ['12 ms', '9.9 s', '1 min 15 s', '1 h 01 min']
    """
    if duration_s < 0.9995:
        return f"{duration_s * 1000:.0f} ms"
    if duration_s < 59.95:
        return f"{duration_s:.1f} s"
    minutes, seconds = divmod(round(duration_s), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def format_bytes(size_bytes: int) -> str:
    """Return a size in the binary unit that reads best.

    Example:
        >>> [format_bytes(n) for n in (0, 900, 3 * 2**20, 17179869184)]
        ['0 B', '900 B', '3.00 MiB', '16.0 GiB']
    """
    if abs(size_bytes) < 1024:
        return f"{size_bytes} B"
    amount, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(amount) < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.{max(0, 3 - len(str(int(abs(amount)))))}f} {unit}"


def format_count(number: int, noun: str) -> str:
    """Return how many there are of something.

    Args:
        number: How many, >= 0.
        noun: Of what, as of one; an ``s`` makes it many.

    Example:
        >>> format_count(1, "round"), format_count(2000, "warm-up request")
        ('1 round', '2,000 warm-up requests')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _parse(text: str, units: dict[str, float], *, example: str) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(
            f"{text!r} is not a number with a unit of {', '.join(units)}, as in {example}"
        )
    return float(match[1]) * units[match[2]]
