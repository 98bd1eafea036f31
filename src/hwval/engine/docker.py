"""The Docker engine: one container for one cell, from its image to its removal.

Whatever happens to the start (a missing device, a bad entrypoint, Ctrl-C), nothing is left behind;
after ``kill -9`` the labels let the next start remove it (``hwval.engine.reap``).
"""

from __future__ import annotations

import atexit
import os
import secrets
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Final

from hwval.clock import monotonic_s
from hwval.engine.base import Autopsy
from hwval.engine.base import Completed
from hwval.engine.base import Endpoint
from hwval.engine.base import EngineState
from hwval.engine.cgroup import container_cpu_s
from hwval.engine.container import create_request
from hwval.engine.container import format_docker_run
from hwval.engine.container import host_request
from hwval.engine.docker_client import Daemon
from hwval.engine.docker_labels import ENGINE_LABEL
from hwval.engine.docker_labels import container_labels
from hwval.engine.docker_labels import container_name
from hwval.engine.docker_prepare import Pull
from hwval.engine.docker_prepare import find_image
from hwval.engine.docker_prepare import make_writable_folders
from hwval.engine.inspection import base_url
from hwval.engine.inspection import engine_state
from hwval.engine.inspection import first_pid
from hwval.engine.kernel_log import read_kernel_log
from hwval.engine.log_stream import LogStream
from hwval.engine.spec import EngineSpec
from hwval.errors import EngineExited
from hwval.errors import HwvalError
from hwval.redaction import Redactor

__all__ = ["DockerEngine"]

_LOG_END_S: Final = 5.0
_EXEC_SLACK_S: Final = 30.0
# Whole seconds between the request to end and the kill.
_STOP_S: Final = 10


class DockerEngine:
    """A vLLM in a container; implements ``hwval.engine.base.Engine``.

    Args:
        spec: The container.
        log_path: File for the log.
        run_id: Name of the run, for labels and the container's name.
        pull: Whether a missing image is fetched.
        progress: Called with one line for each step that takes time.
        pull_s: Seconds for the whole pull of an image.
    """

    def __init__(
        self,
        spec: EngineSpec,
        *,
        log_path: Path,
        run_id: str,
        pull: Pull = "missing",
        progress: Callable[[str], None] = lambda _line: None,
        pull_s: float = 3600.0,
    ) -> None:
        self._spec = spec
        self._log_path = log_path
        self._run_id = run_id
        self._pull = pull
        self._progress = progress
        self._pull_s = pull_s
        self._api_key = secrets.token_urlsafe(32)
        passed = {name: os.environ.get(name) for name in spec.secret_names}
        self._secrets = {name: value for name, value in passed.items() if value}
        self._secrets[spec.api_key_variable] = self._api_key
        self._redactor = Redactor(self._secrets.values())
        self._token = secrets.token_hex(8)
        self._pid = os.getpid()
        self._started_s = 0.0
        self._daemon: Daemon | None = None
        self._container: str | None = None
        self._image_id: str | None = None
        self._base_url: str | None = None
        self._log: LogStream | None = None
        self._closed = False
        self._last_seen: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Name of the container; one cell of one run always has the same."""
        return container_name(self._run_id, self._spec.cell_id)

    @property
    def log_path(self) -> Path:
        """File that the log is streamed to from the start."""
        return self._log_path

    @property
    def command_line(self) -> str:
        """The ``docker run`` line that reproduces this engine by hand."""
        return format_docker_run(self._spec)

    def image_digest(self) -> str | None:
        """Return the content id of the image, None before ``start`` has found it."""
        return self._image_id

    def start(self) -> None:
        """Fetch the image if need be, create and start the container.

        Raises:
            DaemonError: No daemon answers, or it refused.
            ImageError: The image could not be had.
            HostError: A device, folder or processor is missing, or the name is taken.
            EngineExited: The runtime could not run the engine's program.
        """
        if self._daemon is not None:
            raise HwvalError(f"start {self.name}: it was started before; make another engine.")
        self._started_s = monotonic_s()
        self._daemon = Daemon()
        atexit.register(self._close_at_exit)
        try:
            self._start(self._daemon)
        except BaseException:
            # Also after Ctrl-C. What the daemon knew is kept for the autopsy.
            self._abandon()
            raise

    def _start(self, daemon: Daemon) -> None:
        cell = self._spec.cell_id
        self._image_id = find_image(
            daemon,
            self._spec,
            pull=self._pull,
            deadline_s=self._pull_s,
            progress=self._progress,
        )
        make_writable_folders(self._spec)
        labels = container_labels(self._run_id, cell, self._token)
        self._container = daemon.create(
            create_request(self._spec, name=self.name, labels=labels, secrets=self._secrets),
            host_request(self._spec),
            attempt=f"create the container for {cell}",
        )
        self._log = LogStream(self._follow_log, self._log_path, self._redactor)
        daemon.start(self._container, attempt=f"start the container for {cell}")
        self._log.start()
        self._inspect()

    def _follow_log(self) -> Iterator[bytes]:
        # A connection of its own: the main one is used at the same time.
        with Daemon() as daemon:
            yield from daemon.follow_log(self._container or "")

    def endpoint(self) -> Endpoint:
        """Return where the server answers.

        Raises:
            EngineExited: The container ended before its port was known.
        """
        if self._base_url is None:
            self._inspect()
        if self._base_url is None:
            state = self.state()
            raise EngineExited(
                f"find the port of {self._spec.cell_id}: container {self.name} has none "
                f"(exit code {state.exit_code}), expected it to run. Read {self._log_path}.",
                exit_code=state.exit_code,
                oom_killed=state.oom_killed,
            )
        return Endpoint(self._base_url, self._api_key)

    def state(self) -> EngineState:
        """Look at the container now.

        Raises:
            DaemonError: The daemon does not answer.
        """
        found = self._inspect()
        seen = self._last_seen if found is None else found
        return engine_state(seen, gone=found is None, cpu_s=self._cpu_s(first_pid(seen)))

    def _cpu_s(self, pid: int) -> float | None:
        if self._daemon is None or self._container is None or self._closed or pid == 0:
            return None
        here = container_cpu_s(self._container, pid)
        return self._daemon.cpu_s(self._container) if here is None else here

    def _inspect(self) -> dict[str, Any] | None:
        """Look at the container, and keep what was seen."""
        if self._daemon is None or self._container is None or self._closed:
            return None
        attempt = f"look at container {self.name}"
        found = self._daemon.inspect(self._container, attempt=attempt)
        if found is not None:
            self._last_seen = found
            self._base_url = base_url(self._spec, found) or self._base_url
        return found

    def autopsy(self) -> Autopsy:
        """Collect what explains a failure, each probe bounded in time and size; never raises."""
        notes: dict[str, str] = {}
        state = EngineState(running=False)
        try:
            state = self.state()
        except HwvalError as error:
            notes["state"] = str(error)
        if self._log is not None:
            if not state.running and not self._log.join(_LOG_END_S):
                notes["log"] = f"its end did not come within {_LOG_END_S:.0f} s"
            if self._log.failure:
                notes["log"] = self._log.failure
        if not self._last_seen:
            notes["inspect"] = "no container was created"
        return Autopsy(
            state=state,
            log_path=self._log_path,
            inspect=self._redacted_inspect(),
            kernel_log=self._kernel_log(notes),
            notes=notes,
        )

    def _redacted_inspect(self) -> dict[str, object]:
        tree = self._redactor.tree(self._last_seen)
        return tree if isinstance(tree, dict) else {}

    def _kernel_log(self, notes: dict[str, str]) -> tuple[str, ...]:
        if self._daemon is not None and not self._daemon.is_local:
            notes["kernel log"] = "the engine runs on another host"
            return ()
        try:
            return read_kernel_log(self._started_s)
        except OSError as error:
            notes["kernel log"] = f"not permitted or not there: {error}"
            return ()

    @property
    def beside_url(self) -> str:
        """Its address for what runs in the container too."""
        return f"http://127.0.0.1:{self._spec.port}"

    @property
    def model_argument(self) -> str:
        """What it loads, as the container sees it."""
        command = self._spec.command
        return command[command.index("--host") - 1]

    def run_beside(self, command: Sequence[str], timeout_s: float) -> Completed:
        """Run a command in the container, which must run.

        Raises:
            DaemonError: The daemon does not answer, or it refused.
        """
        # A connection of its own, that waits for as long as the command may take; the command is
        # ended from inside, since a call that is given up leaves it running.
        bounded = ["timeout", "--kill-after=5", f"{timeout_s:.0f}", *command]
        with Daemon(call_s=timeout_s + _EXEC_SLACK_S) as daemon:
            code, output = daemon.execute(
                self._container or self.name,
                bounded,
                {"OPENAI_API_KEY": self._api_key},
                attempt=f"run {command[0]} in {self.name}",
            )
        return Completed(code, self._redactor.text(output.decode("utf-8", "replace")))

    def close(self) -> None:
        """Stop and remove the container, also after a half start; a second call does nothing.

        Raises:
            DaemonError: The daemon does not answer; what is left is removed by ``hwval reap``.
        """
        daemon = self._daemon
        if daemon is None or self._closed:
            return
        attempt = f"remove container {self.name}"
        for container in daemon.list_containers({ENGINE_LABEL: self._token}):
            self._container = container.container_id
            daemon.stop(self._container, grace_s=_STOP_S, attempt=attempt)
            self._inspect()
            if self._log is not None:
                self._log.join(_LOG_END_S)
            daemon.remove(self._container, attempt=attempt)
        if self._log is not None:
            self._log.join(_LOG_END_S)
        self._closed = True
        atexit.unregister(self._close_at_exit)
        daemon.close()

    def _abandon(self) -> None:
        """Remove what a failed start left, without hiding why it failed."""
        try:
            self._inspect()
            self.close()
        except HwvalError as error:
            self._progress(f"not removed: {error}")

    def _close_at_exit(self) -> None:
        # A child that was forked off inherits the registration but not the container.
        if os.getpid() == self._pid:
            self._abandon()
