"""Images that are not there and daemons that are not there, against a real daemon."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
from pathlib import Path

import pytest

from hwval.engine.docker_client import Daemon
from hwval.errors import DaemonError
from hwval.errors import ImageError
from tests.engine.containers import EngineOf
from tests.engine.containers import SpecOf
from tests.engine.registry import Registry

pytestmark = pytest.mark.docker


def test_image_that_is_nowhere_is_an_image_error(
    fake_spec: SpecOf, engine_of: EngineOf, registry: Registry
) -> None:
    """An image that the registry does not know is an ImageError that says what to check."""
    spec = dataclasses.replace(fake_spec(), image=f"{registry.address}/absent:1")
    with pytest.raises(ImageError, match=r"absent.* Check the image's name and tag"):
        engine_of(spec).start()


def test_forbidden_image_asks_for_a_login(
    fake_spec: SpecOf, engine_of: EngineOf, registry: Registry
) -> None:
    """An image that the registry refuses is an ImageError that names docker login."""
    spec = dataclasses.replace(fake_spec(), image=f"{registry.address}/secret:1")
    with pytest.raises(ImageError, match="docker login"):
        engine_of(spec).start()


def test_registry_out_of_reach_is_an_image_error(fake_spec: SpecOf, engine_of: EngineOf) -> None:
    """A registry that nobody listens for is an ImageError that speaks of the network."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        image = f"127.0.0.1:{unused.getsockname()[1]}/absent:1"
        spec = dataclasses.replace(fake_spec(), image=image)
        with pytest.raises(ImageError, match="network"):
            engine_of(spec).start()


def test_image_is_not_pulled_when_told_so(fake_spec: SpecOf, engine_of: EngineOf) -> None:
    """With pulling switched off, a missing image is an ImageError with the command to get it."""
    spec = dataclasses.replace(fake_spec(), image="hwval/absent:1")
    with pytest.raises(ImageError, match="Run docker pull hwval/absent:1"):
        engine_of(spec, pull="never").start()


def test_silent_registry_is_given_up(
    fake_spec: SpecOf, engine_of: EngineOf, registry: Registry
) -> None:
    """A pull that does not move ends at its deadline."""
    registry.silent.set()
    spec = dataclasses.replace(fake_spec(), image=f"{registry.address}/small:1")
    engine = engine_of(spec, pull_s=0.5)
    with pytest.raises(ImageError, match="expected within 500 ms"):
        engine.start()


def test_pull_brings_the_image_and_tells_of_it(registry: Registry) -> None:
    """A missing image is pulled, with a line at the start and at the end."""
    image, lines = f"{registry.address}/small:1", list[str]()
    with Daemon() as daemon:
        assert daemon.find_image(image, attempt="test") is None
        daemon.pull(image, attempt="test", deadline_s=30, progress=lines.append)
        try:
            assert daemon.find_image(image, attempt="test")
        finally:
            subprocess.run(["docker", "image", "rm", image], check=True, capture_output=True)
    assert lines[0] == f"pulling {image}"
    assert lines[-1].startswith(f"pulled {image} in ")


@pytest.mark.parametrize("scheme", ["unix", "tcp"])
def test_absent_daemon_is_told_with_a_remedy(
    scheme: str, fake_spec: SpecOf, engine_of: EngineOf, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Without a daemon the error names the address and what to do."""
    spec = fake_spec()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = {
            "unix": f"unix://{tmp_path}/docker.sock",
            "tcp": f"tcp://127.0.0.1:{unused.getsockname()[1]}",
        }[scheme]
        monkeypatch.setenv("DOCKER_HOST", address)
        engine = engine_of(spec)
        with pytest.raises(DaemonError, match=r"(systemctl|DOCKER_HOST)") as caught:
            engine.start()
        engine.close()
        monkeypatch.undo()
    assert address.split("//")[1] in str(caught.value)
    assert not engine.autopsy().state.running
