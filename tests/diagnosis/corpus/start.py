"""Starts one vLLM as a scenario says, in a process or a container, and collects what it leaves."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

import psutil

from hwval.clock import Stopwatch
from hwval.clock import sleep
from hwval.engine.processes import TOKEN_VARIABLE
from hwval.engine.processes import EngineProcesses
from hwval.engine.processes import end_processes
from hwval.engine.processes import find_processes
from hwval.synthetic import prepare_synthetic
from tests.diagnosis.corpus.scenario import Scenario

__all__ = ["READY", "Ending", "Start", "Vllm", "run_start"]

READY: Final = "Application startup complete"
_POLL_S: Final = 0.1
_STOP_TIMEOUT_S: Final = 60.0
_IN_CONTAINER: Final = {"{model}": "/models/tiny", "{work}": "/scratch", "{port}": "8000"}
# What people set who have a checkpoint on disk and little memory.
_USUAL: Final = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass(frozen=True, slots=True)
class Vllm:
    """The vLLM that is started.

    Attributes:
        command: First words of a ``vllm serve`` command line.
        image: The same as an image whose entrypoint is ``vllm serve``.
        cache: Folder for checkpoints and compiled code, kept from start to start.
    """

    command: tuple[str, ...]
    image: str
    cache: Path


@dataclass(frozen=True, slots=True)
class Ending:
    """What a start left.

    Attributes:
        log: Both streams in order.
        exit_code: As a shell tells it, None if it still ran.
        timed_out: Whether it was neither ready nor dead at the deadline.
        is_ready: Whether it said that it serves.
        inspection: What ``docker inspect`` printed.
        command: The command line.
        kernel_log: What the kernel said meanwhile about killed processes.
    """

    log: str
    exit_code: int | None
    timed_out: bool
    is_ready: bool
    inspection: list[dict[str, Any]] | None
    command: tuple[str, ...]
    kernel_log: str


class Start:
    """A vLLM that was started, as the scenario's ``act`` sees it."""

    def __init__(self, scenario: Scenario, vllm: Vllm, work: Path) -> None:
        self._scenario = scenario
        self.work = work
        self.log_path = work / "log"
        self.port, other_port = _free_ports(2)
        self._watch = Stopwatch()
        self._container = f"hwval-corpus-{secrets.token_hex(4)}" if _in_container(scenario) else ""
        self.model = _checkpoint(scenario, vllm, work)
        self._places = {
            "{model}": str(self.model),
            "{work}": str(work),
            "{port}": str(self.port),
            "{other}": str(other_port),
        }
        self.command = self._command(vllm)
        self._process = self._spawn(self._environment(vllm))

    @property
    def log(self) -> str:
        """What it has printed."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    @property
    def exit_code(self) -> int | None:
        """Its exit status as a shell tells it, None while it runs."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self._watch.elapsed_s > self._scenario.deadline_s

    def wait_for(self, text: str = READY) -> bool:
        """Wait until it has printed ``text``; return False if it died or the deadline passed."""
        while text not in self.log:
            if self.exit_code is not None or self.is_late:
                return text in self.log
            sleep(_POLL_S)
        return True

    def wait_for_end(self, timeout_s: float = math.inf) -> None:
        """Wait until it has ended, the deadline, or so long."""
        watch = Stopwatch()
        while self.exit_code is None and not self.is_late and watch.elapsed_s < timeout_s:
            sleep(_POLL_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its first process, as ``kill`` or ``docker kill`` does."""
        if self._container:
            words = ("docker", "kill", "--signal", number.name, self._container)
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        else:
            self._process.send_signal(number)

    def child(self, title: str) -> psutil.Process:
        """Return its process of that title, for example ``VLLM::EngineCore``."""
        parent = psutil.Process(self._process.pid)
        return next(p for p in parent.children(recursive=True) if title in " ".join(p.cmdline()))

    def inspection(self) -> list[dict[str, Any]] | None:
        """Return what ``docker inspect`` prints, None without a container."""
        if not self._container:
            return None
        words = ("docker", "inspect", self._container)
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        document: list[dict[str, Any]] = json.loads(done.stdout or "[]")
        return document or None

    def close(self) -> None:
        """End it and everything that it started."""
        if self._container:
            words = ("docker", "rm", "--force", "--volumes", self._container)
            subprocess.run(words, capture_output=True, check=False)
        end_processes(self._processes, grace_s=0)
        self._process.wait(_STOP_TIMEOUT_S)

    def _command(self, vllm: Vllm) -> tuple[str, ...]:
        scenario = self._scenario
        if scenario.container is None:
            words = (
                *scenario.wrapper,
                *(scenario.command or (*vllm.command, scenario.served, "--port", "{port}")),
                *scenario.arguments,
            )
            return tuple(_fill(word, self._places) for word in words)
        variables = {**_USUAL, **scenario.environment}
        options = [_fill(option, self._places) for option in scenario.container]
        inside = (*(scenario.command or (scenario.served,)), *scenario.arguments)
        wrapper = [_fill(word, self._places) for word in scenario.wrapper]
        return (
            *wrapper,
            *("docker", "run", "--name", self._container),
            *("--publish", f"127.0.0.1:{self.port}:8000", "--shm-size", "1g"),
            *("--volume", f"{self.model}:/models/tiny:ro"),
            *(f"--env={name}={value}" for name, value in variables.items() if value),
            *options,
            _fill(scenario.image or vllm.image, self._places),
            *(_fill(word, _IN_CONTAINER) for word in inside),
        )

    def _environment(self, vllm: Vllm) -> dict[str, str]:
        own = {
            "HOME": str(self.work / "home"),
            "LANG": "C.UTF-8",
            "PATH": f"{Path(vllm.command[0]).parent}{os.pathsep}{os.environ['PATH']}",
            "VLLM_CACHE_ROOT": str(vllm.cache / "vllm"),
        }
        if self._container:
            return {**own, "PATH": os.environ["PATH"]}
        wanted = {**own, **_USUAL, **self._scenario.environment}
        return {name: _fill(value, self._places) for name, value in wanted.items() if value}

    def _spawn(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        token = secrets.token_hex(8)
        (self.work / "home").mkdir()
        with self.log_path.open("wb") as log:
            process = subprocess.Popen(
                # A shell's background job ignores Ctrl-C, and so would all that it starts.
                ("env", "--default-signal=INT,QUIT", *self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.work / "home",
                env={**environment, TOKEN_VARIABLE: token},
                start_new_session=True,
            )
        self._processes = EngineProcesses.of_child(self._scenario.name, process.pid, token)
        return process

    def processes(self) -> list[psutil.Process]:
        """Return all its processes that live."""
        return find_processes(self._processes)


def run_start(scenario: Scenario, vllm: Vllm, work: Path) -> Ending:
    """Start what a scenario says, do with it what it says, and return what is left.

    Args:
        scenario: The start.
        vllm: What is started.
        work: Folder that nothing else uses; left with everything in it.
    """
    kernel_before = _kernel_lines()
    with _started(scenario, vllm, work) as start:
        if scenario.act:
            scenario.act(start)
        else:
            start.wait_for()
        log, code = start.log, start.exit_code
        timed_out = code is None and start.is_late
        inspection = start.inspection()
        command = start.command
    said = _kernel_lines()[len(kernel_before) :]
    kernel_log = "".join(f"{line}\n" for line in said if "Killed process" in line)
    return Ending(log, code, timed_out, READY in log, inspection, command, kernel_log)


@contextlib.contextmanager
def _started(scenario: Scenario, vllm: Vllm, work: Path) -> Iterator[Start]:
    start = Start(scenario, vllm, work)
    try:
        yield start
    finally:
        start.close()


def _in_container(scenario: Scenario) -> bool:
    return scenario.container is not None


def _checkpoint(scenario: Scenario, vllm: Vllm, work: Path) -> Path:
    """Return a copy of the scenario's checkpoint, damaged as it says."""
    source = prepare_synthetic(scenario.model, vllm.cache)
    folder = work / "models" / f"tiny-{scenario.model}"
    shutil.copytree(source, folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # a container may read it as another user
    if scenario.damage:
        scenario.damage(folder)
    return folder


def _fill(word: str, places: Mapping[str, str]) -> str:
    for place, value in places.items():
        word = word.replace(place, value)
    return word


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _kernel_lines() -> Sequence[str]:
    done = subprocess.run(["dmesg"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()
