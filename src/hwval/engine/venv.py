"""vLLM's CPU build as a child process, for machines without Docker or GPU.

The engine gets an environment of its own, a port that stays reserved from the moment it is chosen,
and a keeper (``hwval.engine.keeper``) that ends it when this process is gone, whatever ended that.
"""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hwval import clock
from hwval.cell import Cell
from hwval.engine import keeper
from hwval.engine.base import Autopsy
from hwval.engine.base import Completed
from hwval.engine.base import Endpoint
from hwval.engine.base import EngineState
from hwval.engine.environment import vllm_command
from hwval.engine.kernel_log import read_kernel_log
from hwval.engine.processes import TOKEN_VARIABLE
from hwval.engine.processes import EngineProcesses
from hwval.engine.processes import cpu_seconds
from hwval.engine.processes import end_processes
from hwval.engine.processes import find_processes
from hwval.engine.spec import API_KEY_VARIABLE
from hwval.engine.spec import LeasedDevices
from hwval.engine.spec import serve_arguments
from hwval.errors import HostError
from hwval.redaction import Redactor
from hwval.redaction import looks_secret

__all__ = ["VenvEngine"]

_HOST: Final = "127.0.0.1"
# Stands in the command line of an engine that was not started; vLLM's default.
_ANY_PORT: Final = 8000
_CLOSE_GRACE_S: Final = 10.0
_SIGKILL_STATUS: Final = 137
# As the `timeout` command has it.
_TIMEOUT_STATUS: Final = 124
_INHERITED: Final = re.compile(
    r"HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|XDG_\w+|HF_\w+|SSL_CERT_\w+|LD_LIBRARY_PATH|"
    r"(?:https?|no|all)_proxy",
    re.IGNORECASE,
)
_URL_LOGIN: Final = re.compile(r"://[^/\s]*@")


class VenvEngine:
    """One ``vllm serve`` in an environment of ``hwval.engine.environment``.

    Args:
        cell: What to serve.
        environment: The environment's folder.
        model_argument: What vLLM shall load: a path or a Hub name.
        lease: The processors that it may use.
        log_path: Where its output goes, both streams in order; its folder is made if need be.
        cache_dir: Folder for compiled code and for the records of running engines.
        host_environment: Variables to choose from; those of this process if None.
        secret_names: Variables of it that are passed on although they look like secrets.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        environment: Path,
        model_argument: str,
        lease: LeasedDevices,
        log_path: Path,
        cache_dir: Path,
        host_environment: Mapping[str, str] | None = None,
        secret_names: Sequence[str] = ("HF_TOKEN",),
    ) -> None:
        variables = os.environ if host_environment is None else host_environment
        self._cell = cell
        self._env = environment
        self._model_argument = model_argument
        self._log_path = log_path
        self._cache_dir = cache_dir
        self._cpus = lease.cpus
        self._own = _own_environment(cell, model_argument, cache_dir)
        self._secrets = {name: variables[name] for name in secret_names if variables.get(name)}
        self._variables = {**_inherited(environment, variables), **self._own, **self._secrets}
        self._api_key = secrets.token_urlsafe(24)
        self._redactor = Redactor([self._api_key, *self._secrets.values()])
        self._port: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._processes: EngineProcesses | None = None
        self._lifeline: int | None = None
        self._started_s = 0.0
        self._oom_kills_before = 0

    @property
    def name(self) -> str:
        """``pid 123``, or the cell before the start."""
        return f"pid {self._process.pid}" if self._process else f"venv engine of {self._cell.id}"

    @property
    def log_path(self) -> Path | None:
        """File with everything that it prints."""
        return self._log_path

    @property
    def command_line(self) -> str:
        """Shell line that starts the same by hand; secrets stand there by name."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self._own.items()]
        variables += [f'{name}="${name}"' for name in (*self._secrets, API_KEY_VARIABLE)]
        pinned = ["taskset", "-c", ",".join(map(str, self._cpus))] if self._cpus else []
        return " ".join([*variables, shlex.join([*pinned, *self._command()])])

    def start(self) -> None:
        """Start it and return at once.

        Raises:
            HostError: The environment is not there, the log cannot be written, or the machine
                lets no further process start.
        """
        self._oom_kills_before = _count_oom_kills()
        self._started_s = clock.monotonic_s()
        atexit.register(self.close)
        try:
            self._port = _reserve_port()
            command = self._command()
            if not Path(command[0]).exists():
                raise FileNotFoundError(f"no {command[0]} (remove {self._env}, so it is made anew)")
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            self._spawn(command)
        except OSError as error:
            self.close()
            raise HostError(
                f"start the engine for {self._cell.id}: {error}, expected an environment with "
                f"vLLM, a free port, a writable {self._log_path} and room for a process"
            ) from error

    def image_digest(self) -> str | None:
        """Return None: there is no image."""
        return None

    def endpoint(self) -> Endpoint:
        """Return where it answers."""
        return Endpoint(f"http://{_HOST}:{self._port_number()}", self._api_key)

    def state(self) -> EngineState:
        """Look at the process now."""
        if self._process is None:
            return EngineState(running=False)
        status = self._process.poll()
        if status is None:
            used_s = cpu_seconds(self._processes) if self._processes else None
            return EngineState(running=True, cpu_s=used_s)
        code = 128 - status if status < 0 else status
        was_oom = code == _SIGKILL_STATUS and _count_oom_kills() > self._oom_kills_before
        return EngineState(running=False, exit_code=code, oom_killed=was_oom)

    def autopsy(self) -> Autopsy:
        """Collect its state and what the kernel logged meanwhile."""
        try:
            kernel_log = read_kernel_log(self._started_s)
        except OSError as error:
            return Autopsy(self.state(), self._log_path, notes={"kernel log": str(error)})
        return Autopsy(self.state(), self._log_path, kernel_log=kernel_log)

    @property
    def beside_url(self) -> str:
        """Its address: there is only one."""
        return self.endpoint().base_url

    @property
    def model_argument(self) -> str:
        """What it loads."""
        return self._model_argument

    def run_beside(self, command: Sequence[str], timeout_s: float) -> Completed:
        """Run a command in the environment and on the processors of this engine.

        The engine itself need not run.

        Raises:
            HostError: It could not be started.
        """
        words = [*vllm_command(self._env)[:-1]] if command[0] == "vllm" else [command[0]]
        reading_end, writing_end = os.pipe()
        try:
            process = subprocess.Popen(
                [*self._guard(reading_end), *words, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._log_path.parent,
                env={**self._variables, "OPENAI_API_KEY": self._api_key},
                pass_fds=(reading_end,),
                start_new_session=True,
            )
        except OSError as error:
            os.close(writing_end)
            raise HostError(
                f"run {command[0]} for {self._cell.id}: {error}, expected it in the environment "
                f"and room for a process. Remove {self._env}, so that it is made anew."
            ) from error
        finally:
            os.close(reading_end)
        try:
            output, _ = process.communicate(timeout=timeout_s)
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.close(writing_end)  # the keeper ends what runs, also what split off
            writing_end = -1
            output, _ = process.communicate()
            code = _TIMEOUT_STATUS
        finally:
            if writing_end >= 0:
                os.close(writing_end)
        return Completed(code, self._redactor.text(output.decode("utf-8", "replace")))

    def close(self) -> None:
        """End it and everything that it split off; a second call does nothing.

        Raises:
            HostError: A process outlived SIGKILL, as one that waits for a hung device does.
        """
        atexit.unregister(self.close)
        processes, self._processes = self._processes, None
        is_gone = processes is None or end_processes(processes, grace_s=_CLOSE_GRACE_S)
        if self._process and is_gone:
            self._process.wait()  # it is dead and waits to be collected
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if self._port is not None:
            self._port.close()
        if processes is None:
            return
        self._redact_log()
        if not is_gone:  # the record stays, the next start tries again
            left = ", ".join(str(process.pid) for process in find_processes(processes))
            raise HostError(
                f"stop the engine for {self._cell.id}: processes {left} outlived SIGKILL, expected "
                "them gone. Look for a hung device with `dmesg`."
            )
        processes.forget(self._cache_dir)

    def _command(self) -> list[str]:
        port = self._port_number()
        arguments = serve_arguments(
            self._cell, model_argument=self._model_argument, host=_HOST, port=port
        )
        return [*vllm_command(self._env), *arguments]

    def _port_number(self) -> int:
        if self._port is None or self._port.fileno() < 0:
            return _ANY_PORT
        return int(self._port.getsockname()[1])

    def _spawn(self, command: Sequence[str]) -> None:
        token = secrets.token_hex(8)
        reading_end, self._lifeline = os.pipe()
        guard = self._guard(reading_end)
        try:
            with self._log_path.open("wb") as log:
                self._process = subprocess.Popen(
                    [*guard, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # Not where the user stands: Python finds modules there.
                    cwd=self._log_path.parent,
                    env={
                        **self._variables,
                        API_KEY_VARIABLE: self._api_key,
                        TOKEN_VARIABLE: token,
                    },
                    pass_fds=(reading_end,),
                    start_new_session=True,
                )
        finally:
            os.close(reading_end)
        self._processes = EngineProcesses.of_child(self._cell.id, self._process.pid, token)
        self._processes.save(self._cache_dir)

    def _guard(self, reading_end: int) -> list[str]:
        cpus = ",".join(map(str, self._cpus)) or "-"
        return [sys.executable, "-I", "-S", keeper.__file__, str(reading_end), cpus]

    def _redact_log(self) -> None:
        """Take secrets out of the log, which the engine wrote without anyone in between."""
        try:
            text = self._log_path.read_bytes()
            clean = self._redactor.feed(text) + self._redactor.flush()
            if clean != text:
                self._log_path.write_bytes(clean)
        except FileNotFoundError:
            return  # its folder was removed


def _inherited(env: Path, host_environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the engine gets of this process' environment; secrets only by name."""
    path = host_environment.get("PATH", os.defpath)
    return {
        name: value
        for name, value in host_environment.items()
        if _INHERITED.fullmatch(name) and not looks_secret(name) and not _URL_LOGIN.search(value)
    } | {"PATH": f"{env / 'bin'}{os.pathsep}{path}"}


def _own_environment(cell: Cell, model_argument: str, cache_dir: Path) -> dict[str, str]:
    """Return what follows from the run, then what the cell sets, which wins.

    Source: vllm/envs.py of 0.32.0.
    """
    own = {"VLLM_CACHE_ROOT": str(cache_dir / "vllm"), "VLLM_NO_USAGE_STATS": "1"}
    if model_argument.startswith("/"):
        own["HF_HUB_OFFLINE"] = "1"
    return own | dict(cell.environment)


def _reserve_port() -> socket.socket:
    """Return a socket that keeps a port free for an engine on this machine.

    The socket never listens. Linux gives a port that is bound so to nobody who asks for any port,
    but lets a server bind it that sets SO_REUSEADDR, as vLLM, uvicorn and asyncio do.

    Source: socket(7); inet_csk_bind_conflict in net/ipv4/inet_connection_sock.c;
    create_server_socket in vllm/entrypoints/launchers/launcher.py of 0.32.0.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((_HOST, 0))
    return holder


def _count_oom_kills() -> int:
    """Return how often the kernel has killed a process for memory since it started.

    Source: ``oom_kill`` in /proc/vmstat, Linux 4.13 and later.
    """
    try:
        text = Path("/proc/vmstat").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0
