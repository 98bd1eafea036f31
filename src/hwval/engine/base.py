"""What every kind of engine offers, and the values that pass between its parts.

The protocol is small on purpose: whoever waits, questions or dissects an engine needs no more, and
a test can stand in for it in a few lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Protocol
from typing import runtime_checkable

__all__ = ["Autopsy", "Completed", "Endpoint", "Engine", "EngineState", "Workbench"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a live engine answers.

    Attributes:
        base_url: ``http://127.0.0.1:PORT``, without ``/v1`` and without a trailing slash.
        api_key: Key of this engine alone; never written into a record.
        api_path: What stands between it and the routes of OpenAI's API; empty for an Infinity
            that was started without ``--url-prefix``.
    """

    base_url: str
    api_key: str = field(repr=False)
    api_path: str = "/v1"


@dataclass(frozen=True, slots=True)
class EngineState:
    """What the process or container of an engine is doing now.

    Attributes:
        running: Whether it lives.
        exit_code: Exit status once it ended (137: killed by signal 9), None while it lives or
            where nobody knows.
        oom_killed: Whether the runtime says that the kernel killed it for memory.
        cpu_s: Processor seconds that it and its children have used, None where nobody knows. It
            tells a hang from a slow compilation.
    """

    running: bool
    exit_code: int | None = None
    oom_killed: bool = False
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Autopsy:
    """What was found after an engine failed; every part may be missing, none hides the error.

    Attributes:
        state: Last state of the engine.
        log_path: The whole log as streamed from the start; None for an external server.
        inspect: The runtime's description of the container, secrets removed.
        kernel_log: Lines of the kernel's log from the engine's lifetime; empty if unreadable.
        notes: Probe name -> why that probe has nothing (``"kernel log": "not permitted"``).
    """

    state: EngineState
    log_path: Path | None = None
    inspect: Mapping[str, object] = field(default_factory=dict)
    kernel_log: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """One OpenAI-compatible server: started at most once, closed as often as one likes."""

    @property
    def name(self) -> str:
        """Name for messages and the reaper: container name, ``pid 123`` or the URL."""

    @property
    def log_path(self) -> Path | None:
        """File that the log is streamed to from the start; None where there is none."""

    @property
    def command_line(self) -> str:
        """Shell line that reproduces this engine by hand, secrets passed by name."""

    def start(self) -> None:
        """Start it and return at once, before it is ready.

        Raises:
            LabError: The lab cannot start it (daemon, image, device, disk).
            EngineExited: The runtime tried, and its command could not be run.
        """

    def image_digest(self) -> str | None:
        """Return the content id of the container image; None where there is none."""

    def endpoint(self) -> Endpoint:
        """Return where it answers; only after ``start``."""

    def state(self) -> EngineState:
        """Look at the process or container now."""

    def autopsy(self) -> Autopsy:
        """Collect what explains a failure, each probe bounded in time and size; never raises."""

    def close(self) -> None:
        """Stop and remove it, also after a half start; a second call does nothing."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ran beside an engine and ended.

    Attributes:
        exit_code: Its exit status; 124 if its time was up.
        output: What it printed, both streams; without secrets.
    """

    exit_code: int
    output: str


@runtime_checkable
class Workbench(Protocol):
    """What an engine offers whose container or environment other commands can run in too."""

    @property
    def beside_url(self) -> str:
        """The engine's address for a program that runs beside it, without ``/v1``."""

    @property
    def model_argument(self) -> str:
        """What the engine loads, as a program beside it finds it: a path or a Hub name."""

    def run_beside(self, command: Sequence[str], timeout_s: float) -> Completed:
        """Run a command in the engine's container or environment and wait for its end.

        ``OPENAI_API_KEY`` holds the engine's key; ``vllm`` is the engine's own.

        Args:
            command: The words of the command; no shell reads them.
            timeout_s: Longest time, whole seconds > 0.

        Raises:
            LabError: It could not be started.
        """
