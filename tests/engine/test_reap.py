"""What the reaper removes, and what it leaves alone."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hwval.engine.docker import DockerEngine
from hwval.engine.docker_client import Daemon
from hwval.engine.docker_labels import MANAGED_LABEL
from hwval.engine.docker_labels import OWNER_LABEL
from hwval.engine.docker_labels import RUN_LABEL
from hwval.engine.docker_labels import Owner
from hwval.engine.reap import reap
from hwval.engine.spec import EngineSpec
from tests.engine.containers import containers_of
from tests.engine.containers import start_owner


def test_owner_label_round_trip() -> None:
    """What is written on a container is read back."""
    owner = Owner.of_this_process()
    assert owner.host == socket.gethostname()
    assert owner.pid == os.getpid()
    assert Owner.from_label(owner.label) == owner


@pytest.mark.parametrize("label", ["", "host", "host:1", "host:a:1", "host:1:", ":1:1"])
def test_foreign_labels_name_no_owner(label: str) -> None:
    """A label of another form is nobody's."""
    assert Owner.from_label(label) is None


def test_this_process_is_alive() -> None:
    """The process that asks lives."""
    assert Owner.of_this_process().is_alive()


def test_stranger_with_the_same_number_is_not_the_owner() -> None:
    """A process id that was given out again does not keep a container."""
    assert not dataclasses.replace(Owner.of_this_process(), start_ticks=1).is_alive()


def test_process_that_waits_to_be_collected_is_dead() -> None:
    """A killed process counts as dead before its parent has looked."""
    child = subprocess.Popen(["/bin/sleep", "60"])
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    owner = Owner(socket.gethostname(), child.pid, int(fields[19]))
    assert owner.is_alive()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not owner.is_alive()
    child.wait()


@pytest.mark.docker
def test_only_the_containers_of_dead_owners_go(
    fake_spec: Callable[..., EngineSpec],
    fake_image: str,
    engine_of: Callable[..., DockerEngine],
    run_id: str,
    tmp_path: Path,
) -> None:
    """After kill -9 the leftover goes; living owners, other hosts and strangers stay."""
    living = engine_of(fake_spec())
    living.start()
    owner, leftover = start_owner(fake_image, run_id, tmp_path / "log")
    others = {
        f"{run_id}-elsewhere": {MANAGED_LABEL: "true", OWNER_LABEL: "elsewhere:1:1"},
        f"{run_id}-unnamed": {MANAGED_LABEL: "true"},
        f"{run_id}-stranger": {OWNER_LABEL: f"{socket.gethostname()}:1:1"},
    }
    with Daemon() as daemon:
        for name, labels in others.items():
            request = {"image": fake_image, "name": name, "labels": labels | {RUN_LABEL: run_id}}
            daemon.create(request, {}, attempt="test")
        assert leftover not in reap()
        owner.kill()
        owner.communicate()

        assert leftover in reap()
        assert set(containers_of(run_id)) == {living.name, *others}
        assert leftover not in reap()
        for name in others:
            daemon.remove(name, attempt="test")
