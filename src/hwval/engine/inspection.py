"""Reads what the Docker daemon says about a container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwval.engine.base import EngineState
from hwval.engine.spec import EngineSpec

__all__ = ["base_url", "engine_state", "first_pid"]

Inspect = Mapping[str, Any]


def engine_state(inspect: Inspect, *, gone: bool, cpu_s: float | None) -> EngineState:
    """Return the state of a container.

    Args:
        inspect: The daemon's last description; empty if there never was one.
        gone: Whether the container no longer exists.
        cpu_s: Processor seconds used so far, None where nobody knows.
    """
    state = inspect.get("State") or {}
    running = bool(state.get("Running")) and not gone
    return EngineState(
        running=running,
        exit_code=None if running else _exit_code(state),
        oom_killed=bool(state.get("OOMKilled")),
        cpu_s=cpu_s,
    )


def first_pid(inspect: Inspect) -> int:
    """Return the container's first process as its host numbers it, 0 without one."""
    return int((inspect.get("State") or {}).get("Pid") or 0)


def base_url(spec: EngineSpec, inspect: Inspect) -> str | None:
    """Return where the server answers, None if the container has no port now."""
    if "host-network" in spec.privileges:
        return f"http://127.0.0.1:{spec.port}"
    ports = (inspect.get("NetworkSettings") or {}).get("Ports") or {}
    bindings = ports.get(f"{spec.port}/tcp") or ()
    return next((f"http://127.0.0.1:{item['HostPort']}" for item in bindings), None)


def _exit_code(state: Mapping[str, Any]) -> int | None:
    code = state.get("ExitCode")
    never_started = state.get("Status") == "created" and code == 0
    still_running = bool(state.get("Running"))  # it was removed under our eyes
    return None if code is None or never_started or still_running else int(code)
