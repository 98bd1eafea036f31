"""Checks of the daemon and of what containers get."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.doctor import State
from hwval.doctor import examine
from hwval.host import Host
from hwval.placement import select
from hwval.resources import resource_path
from tests.doctor.examples import DOCKER
from tests.doctor.examples import GIB
from tests.doctor.examples import MI60
from tests.doctor.examples import PLAIN
from tests.doctor.examples import RTX
from tests.doctor.examples import cells
from tests.doctor.examples import host_with
from tests.doctor.examples import matrix
from tests.doctor.examples import named

GONE = {"docker": "connect to Docker: no answer at unix:///x: gone. Start Docker."}
FAKE = matrix("cpu", "hwval/fake-vllm:0.32.0", "Qwen/Qwen3-0.6B")


def test_daemon_is_told() -> None:
    """Version and address."""
    check = named(examine(PLAIN), "docker")

    assert (check.state, check.text) == (
        State.OK,
        "daemon 28.0 at unix:///var/run/docker.sock",
    )


def test_daemon_that_does_not_answer(tmp_path: Path) -> None:
    """The error's own last sentence is the remedy; who needs no daemon is left in peace."""
    host = replace(PLAIN, docker=None, notes=GONE)
    check = named(examine(host), "docker")

    assert (check.state, check.remedy) == (State.PROBLEM, "Start Docker")
    assert check.text == "connect to Docker: no answer at unix:///x: gone"
    assert named(examine(host, cells(tmp_path, host, FAKE)), "docker").state is State.PROBLEM
    smoke = select([resource_path("matrices/smoke.yaml")], host).placed
    assert named(examine(host, smoke), "docker").state is State.OK


def test_daemon_that_nobody_asked() -> None:
    """A tree of files has none to ask."""
    assert named(examine(replace(PLAIN, docker=None)), "docker").state is State.NOT_CHECKABLE


@pytest.mark.parametrize(
    ("host", "state", "words"),
    [
        pytest.param(host_with(RTX), State.PROBLEM, "knows the runtimes runc", id="nothing"),
        pytest.param(
            host_with(RTX, docker=replace(DOCKER, runtimes=("nvidia", "runc"))),
            State.OK,
            "the runtime nvidia",
            id="runtime",
        ),
        pytest.param(
            host_with(
                RTX,
                docker=replace(DOCKER, cdi_folders=("/etc/cdi",)),
                cdi_devices=("nvidia.com/gpu",),
            ),
            State.OK,
            "CDI",
            id="cdi",
        ),
        pytest.param(
            host_with(RTX, docker=replace(DOCKER, cdi_folders=("/etc/cdi",))),
            State.PROBLEM,
            "no NVIDIA devices",
            id="cdi-without-specification",
        ),
        pytest.param(
            host_with(RTX, versions={"nvidia-container-toolkit": "installed"}),
            State.OK,
            "hook",
            id="hook",
        ),
    ],
)
def test_containers_get_nvidia_devices(host: Host, state: State, words: str) -> None:
    """By a runtime, by specifications of devices, or by the toolkit's hook."""
    check = named(examine(host), "nvidia-toolkit")

    assert check.state is state
    assert words in check.text


def test_rootless_daemon_has_its_limits() -> None:
    """Groups of the host do not reach its containers; on cgroup v1 limits do not either."""
    docker = replace(DOCKER, rootless=True, cgroup_version="1")
    found = [
        check
        for check in examine(host_with(MI60, docker=docker))
        if check.name == "docker-rootless"
    ]

    assert [check.state for check in found] == [State.WARNING, State.WARNING]
    assert "cgroup v2" in found[0].remedy
    assert "/dev/kfd" in found[1].remedy


@pytest.mark.parametrize(
    ("more", "state", "words"),
    [
        ("", State.OK, "16.0 GiB, not Docker's 64 MiB"),
        ("container: {shm: 8 GiB}\n", State.OK, "up to 8.00 GiB as the matrix says"),
        ("container: {shm: 100 GiB}\n", State.WARNING, "this host has 64.0 GiB"),
    ],
)
def test_shared_memory(tmp_path: Path, more: str, state: State, words: str) -> None:
    """Engines get more than Docker's default, and no more than there is."""
    check = named(examine(PLAIN, cells(tmp_path, PLAIN, FAKE + more)), "shared-memory")

    assert check.state is state
    assert words in check.text
    assert PLAIN.memory_bytes == 64 * GIB
