"""What is known of a dead engine besides its log: an OOM kill, for one, leaves nothing in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Circumstances"]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known besides the log.

    Attributes:
        exit_code: Exit status of the engine, None if it lives or nobody knows; a signal is its
            negative number or 128 more than it.
        oom_killed: Whether the runtime says that the kernel killed it for memory; None if nobody
            asked the runtime.
        timed_out: Whether it lived but was not ready by its deadline.
        failed: Whether the engine failed at all; None if only the log can tell.
        runtime_error: What the container runtime said when it could not start it, or empty.
        kernel_log: Lines of the kernel's log of that time.
    """

    exit_code: int | None = None
    oom_killed: bool | None = None
    timed_out: bool = False
    failed: bool | None = None
    runtime_error: str = ""
    kernel_log: tuple[str, ...] = ()

    @classmethod
    def of_inspect(cls, document: Any) -> Circumstances:
        """Return what ``docker inspect`` tells.

        Args:
            document: Its JSON: a list of one container, or the container.

        Raises:
            ValueError: It is not the state of one container.
        """
        container = document[0] if isinstance(document, list) and len(document) == 1 else document
        state = container.get("State") if isinstance(container, Mapping) else None
        if not isinstance(state, Mapping) or "ExitCode" not in state:
            raise ValueError("no `State` of a container in it")
        running = bool(state.get("Running"))
        started = state.get("Status") != "created"
        error = str(state.get("Error") or "")
        code = state["ExitCode"] if not running and (started or error) else None
        return cls(
            exit_code=code if isinstance(code, int) else None,
            oom_killed=bool(state.get("OOMKilled")),
            failed=None if running else bool(code or error or state.get("OOMKilled")) or None,
            runtime_error=error,
        )

    @property
    def signal(self) -> int | None:
        """The signal that ended it, None if none did or nobody knows."""
        if self.exit_code is None:
            return None
        if self.exit_code < 0:
            return -self.exit_code
        return self.exit_code - 128 if 128 < self.exit_code < 193 else None
