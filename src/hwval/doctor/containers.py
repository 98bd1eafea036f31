"""Checks of the Docker daemon, and of how devices and shared memory get into containers."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Final

from hwval.catalogue import EngineKind
from hwval.doctor.check import Check
from hwval.doctor.check import joined
from hwval.doctor.check import not_checkable
from hwval.doctor.check import ok
from hwval.doctor.check import problem
from hwval.doctor.check import runnable
from hwval.doctor.check import warning
from hwval.host import Docker
from hwval.host import Host
from hwval.placement import PlacedCell
from hwval.units import format_bytes

__all__ = ["container_checks"]

_DAEMON_REMEDY: Final = "start Docker (`sudo systemctl start docker`) or set DOCKER_HOST"


def container_checks(host: Host, cells: Sequence[PlacedCell]) -> Iterator[Check]:
    """Yield the checks of what containers need."""
    needed = [placed for placed in runnable(cells) if placed.image.engine is EngineKind.DOCKER]
    docker = host.docker
    if docker is None:
        yield _no_daemon(host, is_needed=bool(needed) or not cells)
        return
    kind = "rootless " if docker.rootless else ""
    yield ok("docker", f"{kind}daemon {docker.version} at {docker.address}")
    yield from _toolkit(host, docker)
    yield from _rootless(host, docker)
    yield from _shared_memory(host, needed)


def _no_daemon(host: Host, *, is_needed: bool) -> Check:
    why = host.notes.get("docker")
    if why is None:
        return not_checkable("docker", "nobody asked the daemon when this host was looked at")
    if not is_needed:
        return ok("docker", "no daemon, and no cell that runs here needs one")
    # The daemon's errors end with what is to be done.
    seen, _, remedy = why.rstrip(".").rpartition(". ")
    return problem("docker", seen or why, remedy if seen else _DAEMON_REMEDY)


def _toolkit(host: Host, docker: Docker) -> Iterator[Check]:
    """Yield whether containers can be given NVIDIA's devices.

    Source: NVIDIA Container Toolkit's installation guide: a runtime that Docker is told of, its
    hook beside Docker, or specifications of the devices (CDI).
    """
    if not any(device.vendor == "cuda" for device in host.devices):
        return
    name = "nvidia-toolkit"
    ways = {
        "the runtime nvidia": "nvidia" in {*docker.runtimes, docker.default_runtime},
        "CDI": bool(docker.cdi_folders) and "nvidia.com/gpu" in host.cdi_devices,
        "the toolkit's hook": "nvidia-container-toolkit" in host.versions,
    }
    there = [way for way, is_there in ways.items() if is_there]
    if there:
        yield ok(name, f"containers get NVIDIA's devices by {joined(there)}")
        return
    yield problem(
        name,
        f"Docker knows the runtimes {joined(docker.runtimes) or 'none'}, and no NVIDIA devices",
        "install the NVIDIA Container Toolkit, then `sudo nvidia-ctk runtime configure "
        "--runtime=docker && sudo systemctl restart docker`",
    )


def _rootless(host: Host, docker: Docker) -> Iterator[Check]:
    """Yield what a daemon without root cannot do.

    Source: Docker's documentation of rootless mode, "known limitations".
    """
    if not docker.rootless:
        return
    if docker.cgroup_version == "1":
        yield warning(
            "docker-rootless",
            "a rootless daemon on cgroup v1 ignores limits of memory and processors",
            "boot with cgroup v2 (`systemd.unified_cgroup_hierarchy=1`)",
        )
    if any(device.vendor == "rocm" for device in host.devices):
        yield warning(
            "docker-rootless",
            "a rootless daemon adds no groups of the host to containers: nodes open only if the "
            "daemon's own user may open them",
            "let that user into the groups of /dev/kfd and /dev/dri/renderD*, before it starts",
        )


def _shared_memory(host: Host, needed: Sequence[PlacedCell]) -> Iterator[Check]:
    """Yield whether shared memory as asked for fits this host."""
    name = "shared-memory"
    sizes = [placed.cell.shm_bytes for placed in needed if placed.cell.shm_bytes]
    largest = max(sizes, default=None)
    if largest and host.memory_bytes and largest > host.memory_bytes:
        yield warning(
            name,
            f"a cell asks for {format_bytes(largest)} of shared memory, this host has "
            f"{format_bytes(host.memory_bytes)} of memory",
            "write a smaller `container: {shm: ...}` into the matrix",
        )
    elif needed:
        asked = f"up to {format_bytes(largest)} as the matrix says" if largest else "16.0 GiB"
        yield ok(name, f"engines get {asked}, not Docker's 64 MiB")
