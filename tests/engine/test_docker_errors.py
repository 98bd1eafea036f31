"""What the daemon's errors become."""

from __future__ import annotations

import inspect
import os
import socket

import docker.errors
import pytest
import requests
import urllib3

from hwval.engine.docker_errors import daemon_errors
from hwval.engine.docker_errors import error_for_words
from hwval.errors import DaemonError
from hwval.errors import EngineExited
from hwval.errors import HostError
from hwval.errors import HwvalError
from hwval.errors import ImageError
from hwval.errors import LabError

SDK_ERRORS = [
    kind
    for _, kind in inspect.getmembers(docker.errors, inspect.isclass)
    if issubclass(kind, Exception)
]


def made(kind: type[Exception]) -> Exception:
    """Return an instance without its constructor, as each has another signature."""
    error = kind.__new__(kind)
    error.args = ("what happened",)
    for name, value in {"explanation": "what happened", "response": None, "msg": "m"}.items():
        if name == "msg" or issubclass(kind, docker.errors.APIError):
            error.__dict__[name] = value
    if isinstance(error, docker.errors.ContextAlreadyExists | docker.errors.ContextNotFound):
        error.__dict__["name"] = "n"
    if isinstance(error, docker.errors.MissingContextParameter):
        error.__dict__["param"] = "p"
    return error


@pytest.mark.parametrize("kind", SDK_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_sdk_is_mapped(kind: type[Exception]) -> None:
    """No error of the Docker SDK gets out as itself, also not one of a later version."""
    with pytest.raises(HwvalError, match="start x"), daemon_errors("start x"):
        raise made(kind)


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ConnectionError("refused"),
        requests.exceptions.ReadTimeout("slow"),
        requests.exceptions.ChunkedEncodingError("cut"),
        urllib3.exceptions.ProtocolError("cut"),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_daemon_that_dies_is_a_daemon_error(error: Exception) -> None:
    """Whatever layer notices, a daemon that is gone is a DaemonError with a remedy."""
    with pytest.raises(DaemonError, match="systemctl status docker"), daemon_errors("start x"):
        raise error


def test_own_mistakes_are_not_mapped() -> None:
    """An error that is no daemon's keeps its type."""
    with pytest.raises(KeyError), daemon_errors("start x"):
        raise KeyError("bug")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (FileNotFoundError(2, os.strerror(2)), "Start Docker"),
        (PermissionError(13, os.strerror(13)), "usermod -aG docker"),
        (ConnectionRefusedError(111, os.strerror(111)), "DOCKER_HOST, if set"),
        (socket.gaierror(-2, "Name or service not known"), "DOCKER_HOST, if set"),
    ],
)
def test_unreachable_daemon_has_a_remedy_of_its_own(error: OSError, remedy: str) -> None:
    """Absent, forbidden and silent daemons each have their next step, and the address."""
    with pytest.raises(DaemonError) as caught, daemon_errors("connect", address="unix:///s"):
        raise error
    assert remedy in str(caught.value)
    assert "unix:///s" in str(caught.value)


OCI = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start"


@pytest.mark.parametrize(
    ("words", "kind", "next_step"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', HostError, "Toolkit"),
        (f"{OCI}: nvidia-container-cli: device error: GPU-x: unknown device", HostError, "nvidia"),
        (
            'error gathering device information while adding custom device "/dev/kfd": no such',
            HostError,
            "device node",
        ),
        ("write /var/lib/docker/tmp/x: no space left on device", HostError, "docker system df"),
        (
            'invalid mount config for type "bind": bind source path does not exist: /x',
            HostError,
            "Create the folder",
        ),
        ('exec: "docker-init": executable file not found in $PATH', HostError, "tini"),
        (f"{OCI} container process: exec format error", ImageError, "architecture"),
        (
            "pull access denied for org/x, repository does not exist or may require 'docker login'",
            ImageError,
            "docker login",
        ),
        ("manifest for org/x:1 not found: manifest unknown", ImageError, "name and tag"),
        ("invalid reference format", ImageError, "name and tag"),
        ("Get https://host/v2/: dial tcp: lookup host: no such host", ImageError, "network"),
        ("toomanyrequests: You have reached your pull rate limit", ImageError, "docker login"),
        ("something that nobody has seen", DaemonError, "journalctl"),
    ],
)
def test_words_of_the_daemon_decide(words: str, kind: type[LabError], next_step: str) -> None:
    """Each known message becomes the right error, with the words and a next step."""
    error = error_for_words("start x", words)
    assert type(error) is kind
    assert str(error).startswith("start x: ")
    assert words[:20] in str(error)
    assert next_step in str(error)


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (f'{OCI} container process: exec: "vlm": executable file not found in $PATH', 127),
        (f'{OCI} container process: exec: "/x": permission denied', 126),
        (f'{OCI} container process: exec: "/x": stat /x: no such file or directory', 127),
    ],
)
def test_program_that_cannot_run_is_the_engines_failure(words: str, exit_code: int) -> None:
    """A command that the runtime could not run is an exit with the shell's code for it."""
    error = error_for_words("start x", words)
    assert isinstance(error, EngineExited)
    assert error.exit_code == exit_code
