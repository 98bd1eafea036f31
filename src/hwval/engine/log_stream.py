"""Streams a container's log into a file from its start on, without the secrets.

A log that is read only at the end is lost with the container; the file is there whatever happens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from collections.abc import Iterable
from pathlib import Path

from hwval.errors import HostError
from hwval.errors import HwvalError
from hwval.redaction import Redactor

__all__ = ["LogStream"]


class LogStream:
    """Copies a log in a thread of its own until it ends.

    Args:
        source: Gives the log from its beginning; called in the thread.
        path: The file; its folder is made, what it held is replaced.
        redactor: Takes the secrets out.

    Raises:
        HostError: The file cannot be written.
    """

    def __init__(
        self, source: Callable[[], Iterable[bytes]], path: Path, redactor: Redactor
    ) -> None:
        self.failure: str | None = None
        """Why the file may lack something, None if all is well."""
        self._source = source
        self._redactor = redactor
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise HostError(f"open the engine's log {path}: {error}. Free or allow it.") from error
        self._thread = threading.Thread(target=self._copy, name="engine log", daemon=True)

    def start(self) -> None:
        """Begin to copy."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the log; returns whether it has come."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        else:
            self._file.close()
        return not self._thread.is_alive()

    def _copy(self) -> None:
        with self._file:
            try:
                try:
                    for part in self._source():
                        self._file.write(self._redactor.feed(part))
                finally:  # also of a log that breaks off, what was held back is no secret
                    self._file.write(self._redactor.flush())
            except (HwvalError, OSError) as error:
                # A lost log must not hide how the engine fared; the autopsy tells of it.
                self.failure = f"broke off: {error}"
