"""How the tests look at containers and wait for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import TypeVar

import httpx

from hwval.clock import Stopwatch
from hwval.clock import sleep
from hwval.engine.base import Engine
from hwval.engine.base import EngineState
from hwval.engine.docker import DockerEngine
from hwval.engine.docker_client import Daemon
from hwval.engine.docker_labels import RUN_LABEL
from hwval.engine.spec import EngineSpec

T = TypeVar("T")
EngineOf = Callable[..., DockerEngine]
SpecOf = Callable[..., EngineSpec]

_OWNER_SCRIPT = """
import json, sys
from pathlib import Path
from hwval.engine.docker import DockerEngine
from hwval.engine.spec import EngineSpec
image, run_id, log = sys.argv[1:]
spec = EngineSpec("cell", image, None, ("/model", "--host", "0.0.0.0", "--port", "8000"))
engine = DockerEngine(spec, log_path=Path(log), run_id=run_id)
engine.start()
print(engine.name, flush=True)
sys.stdin.read()
"""


def start_owner(image: str, run_id: str, log: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a process that starts an engine; returns it and the name of its container."""
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER_SCRIPT, image, run_id, str(log)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert owner.stdout is not None
    return owner, owner.stdout.readline().strip()


def poll_until(look: Callable[[], T], wanted: Callable[[T], bool], *, within_s: float = 30) -> T:
    """Look until it is as wanted, and return what was seen."""
    watch = Stopwatch()
    while not wanted(seen := look()):
        assert watch.elapsed_s < within_s, f"last seen: {seen}"
        sleep(0.05)
    return seen


def wait_until_healthy(engine: Engine) -> None:
    """Wait until the server says that it is healthy."""

    def status() -> int | None:
        assert engine.state().running
        try:
            return httpx.get(f"{engine.endpoint().base_url}/health").status_code
        except httpx.TransportError:
            return None

    poll_until(status, lambda seen: seen == 200)


def wait_until_ended(engine: Engine) -> EngineState:
    """Wait until the engine has ended, and return its last state."""
    return poll_until(engine.state, lambda seen: not seen.running)


def containers_of(run_id: str) -> list[str]:
    """Return the names of all containers of a run."""
    with Daemon() as daemon:
        return [item.name for item in daemon.list_containers({RUN_LABEL: run_id})]


def raw_inspect(name: str) -> dict[str, Any]:
    """Return the daemon's own description of a container."""
    with Daemon() as daemon:
        found = daemon.inspect(name, attempt="test")
    assert found is not None
    return found
