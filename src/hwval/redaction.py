"""Takes secrets out of everything that is kept: logs as they stream, and nested descriptions.

Values that were handed out are removed wherever they stand. Variables whose names look like a
secret are removed by name, since an image may bring secrets that nobody here knows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from collections.abc import Iterator
from typing import AnyStr
from typing import Final

__all__ = ["REDACTED", "Redactor", "looks_secret", "secret_values"]

REDACTED: Final = "[secret]"

# TOKENIZERS_PARALLELISM and its like are no secrets.
_SECRET_NAME: Final = re.compile(r"TOKEN(?!IZ)|KEY|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_URL_LOGIN: Final = re.compile(r"(://)[^/@\s]+@")
# Shorter values stand in any text by chance; removing them would only ruin it.
_SHORTEST: Final = 4
_SHORTEST_UNASKED: Final = 8


def looks_secret(name: str) -> bool:
    """Return whether a variable of that name is likely to hold a secret.

    Example:
        >>> [looks_secret(name) for name in ("HF_TOKEN", "VLLM_API_KEY", "TOKENIZERS_PARALLELISM")]
        [True, True, False]
    """
    return _SECRET_NAME.search(name) is not None


def secret_values() -> tuple[str, ...]:
    """Return the secrets among the environment variables of this process.

    A variable counts by its name. A value that is a path or as short as a switch is no secret:
    removing ``1`` or ``/root`` everywhere would only ruin the records.
    """
    return tuple(
        value
        for name, value in os.environ.items()
        if looks_secret(name) and len(value) >= _SHORTEST_UNASKED and not os.path.exists(value)  # noqa: PTH110 - a value need not be a path
    )


class Redactor:
    """Removes a set of secret values from text, bytes and nested values.

    Args:
        secrets: The values; those shorter than four characters are not looked for.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._values = sorted({secret for secret in secrets if len(secret) >= _SHORTEST})
        self._encoded = [value.encode() for value in self._values]
        self._held = b""
        # So many bytes at the beginning of what is held are of a secret that was told as one.
        self._told_bytes = 0

    def text(self, text: str) -> str:
        """Return ``text`` without the secrets; those that overlap are one."""
        parts, done = [], 0
        for start, end in _merged(_places(text, self._values)):
            parts += [text[done:start], REDACTED]
            done = end
        return "".join([*parts, text[done:]])

    def feed(self, data: bytes) -> bytes:
        """Return the next part of a stream without the secrets, also where parts cut one in two.

        An end that could be the beginning of a secret is held back until more comes.
        """
        data = self._held + data
        return self._tell(data, len(data) - self._open_end_bytes(data))

    def flush(self) -> bytes:
        """Return what was held back, at the end of a stream."""
        return self._tell(self._held, len(self._held))

    def _tell(self, data: bytes, end_bytes: int) -> bytes:
        """Return the beginning of what is there without the secrets, and hold the rest back."""
        parts, done, told_bytes = [], 0, 0
        known = [(0, self._told_bytes)] if self._told_bytes else []
        for start, end in _merged([*known, *_places(data, self._encoded)]):
            is_told = start == 0 and self._told_bytes > 0
            if start >= end_bytes and not is_told:
                break
            parts += [data[done:start], b"" if is_told else REDACTED.encode()]
            done, told_bytes = min(end, end_bytes), max(0, end - end_bytes)
        self._held, self._told_bytes = data[end_bytes:], told_bytes
        return b"".join([*parts, data[done:end_bytes]])

    def _open_end_bytes(self, data: bytes) -> int:
        longest = max((len(value) for value in self._encoded), default=1) - 1
        for size in range(min(longest, len(data)), 0, -1):
            end = data[-size:]
            if any(value.startswith(end) and value != end for value in self._encoded):
                return size
        return 0

    def tree(self, value: object) -> object:
        """Return a description (of dicts, lists, strings) without secrets, by value and by name."""
        if isinstance(value, dict):
            return {
                self.text(str(key)): REDACTED
                if isinstance(item, str) and item and looks_secret(str(key))
                else self.tree(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.tree(item) for item in value]
        if isinstance(value, str):
            return self._string(value)
        return value

    def _string(self, text: str) -> str:
        variable = _VARIABLE.fullmatch(text)
        if variable and variable[2] and looks_secret(variable[1]):
            return f"{variable[1]}={REDACTED}"
        return _URL_LOGIN.sub(rf"\1{REDACTED}@", self.text(text))


def _places(data: AnyStr, values: Iterable[AnyStr]) -> Iterator[tuple[int, int]]:
    """Yield where each of the values begins and ends, overlapping ones too."""
    for value in values:
        start = data.find(value)
        while start >= 0:
            yield start, start + len(value)
            start = data.find(value, start + 1)


def _merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the places in order, those that overlap as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
