"""Says what an error of the Docker daemon means: the lab's fault or the engine's, and what to do.

The daemon tells most things in prose, under status 400, 404 or 500 alike, so the words decide.
They are rules as data: the first that matches wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from hwval.errors import DaemonError
from hwval.errors import EngineExited
from hwval.errors import HostError
from hwval.errors import HwvalError
from hwval.errors import ImageError
from hwval.errors import LabError

__all__ = ["daemon_errors", "error_for_words"]


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    kind: type[LabError]
    next_step: str


def _rule(pattern: str, kind: type[LabError], next_step: str) -> _Rule:
    return _Rule(re.compile(pattern, re.IGNORECASE), kind, next_step)


# Source: the messages of Docker 20.10 to 28, runc, containerd and the NVIDIA container runtime.
_RULES: Final = (
    _rule("docker-init", HostError, "Install Docker's init program (package tini)."),
    _rule(
        "could not select device driver|nvidia-container-cli|unresolvable CDI|no known GPU vendor",
        HostError,
        "Make nvidia-smi work on this host, then install the NVIDIA Container Toolkit and run "
        "nvidia-ctk runtime configure --runtime=docker.",
    ),
    _rule(
        "gathering device information|error adding device|not a device node",
        HostError,
        "Check that the device node exists on this host and that its driver is loaded.",
    ),
    _rule("exec format error", ImageError, "Name an image built for this host's architecture."),
    _rule(
        "bind source path does not exist|error while creating mount source|invalid mount",
        HostError,
        "Create the folder on the daemon's host, or correct its path.",
    ),
    _rule(
        "requested (CPUs|memory nodes) are not available|cpuset",
        HostError,
        "Lease processors that this host has (lscpu).",
    ),
    _rule("no space left", HostError, "Free space where Docker keeps its data (docker system df)."),
    _rule("toomanyrequests|rate limit", ImageError, "Run docker login, or wait and start again."),
    _rule("name .* is already in use", HostError, "Run hwval reap, or remove that container."),
    _rule(
        "access denied|unauthorized|denied|authentication required|no basic auth",
        ImageError,
        "Check the image's name; if it is private, run docker login.",
    ),
    _rule(
        "manifest unknown|manifest for .* not found|no such image|no matching manifest|"
        "invalid reference|repository name|invalid repository|name unknown",
        ImageError,
        "Check the image's name and tag.",
    ),
    _rule(
        "dial tcp|no such host|i/o timeout|TLS handshake|x509|connection refused|"
        "Client.Timeout|proxyconnect|server gave HTTP response|: EOF$",
        ImageError,
        "Check this host's network and proxy, or bring the image with docker save and docker load.",
    ),
)  # fmt: skip

_UNREACHABLE: Final = (
    _rule(
        "FileNotFoundError|No such file",
        DaemonError,
        "Start Docker (systemctl start docker), or set DOCKER_HOST to where it listens "
        "(docker context inspect).",
    ),
    _rule(
        "PermissionError|Permission denied",
        DaemonError,
        "Add this user to the group of the socket (usermod -aG docker USER) and log in again, or "
        "use rootless Docker.",
    ),
    _rule(
        "",
        DaemonError,
        "Check that Docker runs (systemctl status docker) and that DOCKER_HOST, if set, is right.",
    ),
)

# The runtime looked for the image's own program and did not find it, or may not run it.
_NOT_RUNNABLE: Final = re.compile(
    r"executable file not found|exec: .*(no such file or directory|permission denied)|"
    r"stat .*: no such file or directory: unknown"
)


def error_for_words(
    attempt: str, words: str, *, otherwise: type[LabError] = DaemonError
) -> HwvalError:
    """Return the error for what the daemon said.

    Args:
        attempt: What was tried, for example ``start the container for CELL``.
        words: The daemon's message.
        otherwise: What it is if no rule knows the words.
    """
    words = " ".join(words.split())
    rule = _first(_RULES[:1], words)
    if rule is None and _NOT_RUNNABLE.search(words):
        return EngineExited(
            f"{attempt}: {words}, expected a program that runs. Check the image's entrypoint and "
            "the command.",
            exit_code=126 if "permission denied" in words else 127,
        )
    rule = rule or _first(_RULES, words)
    if rule is None:
        next_step = "The daemon's own log has more (journalctl -u docker)."
        return otherwise(f"{attempt}: {words}. {next_step}")
    return rule.kind(f"{attempt}: {words}. {rule.next_step}")


@contextmanager
def daemon_errors(attempt: str, *, address: str = "") -> Iterator[None]:
    """Turn whatever the Docker SDK and the layers below it raise into hwval's errors.

    Args:
        attempt: What is tried inside.
        address: Where the daemon is expected, for messages.

    Raises:
        LabError: DaemonError, ImageError or HostError, with a remedy.
        EngineExited: The runtime could not run the engine's program.
    """
    import docker.errors
    import requests.exceptions
    import urllib3.exceptions

    try:
        yield
    except docker.errors.APIError as error:
        raise error_for_words(attempt, error.explanation or str(error)) from error
    except docker.errors.InvalidRepository as error:
        raise error_for_words(attempt, str(error), otherwise=ImageError) from error
    except docker.errors.InvalidConfigFile as error:
        next_step = "Correct the client's configuration (~/.docker/config.json)."
        raise HostError(f"{attempt}: {error}. {next_step}") from error
    except (
        docker.errors.DockerException,
        docker.errors.StreamParseError,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
    ) as error:
        raise _unreachable(attempt, error, address) from error


def _unreachable(attempt: str, error: Exception, address: str) -> HwvalError:
    words = " ".join(str(error).split()) or type(error).__name__
    rule = _first(_UNREACHABLE, words) or _UNREACHABLE[-1]
    where = f" at {address}" if address else ""
    return rule.kind(
        f"{attempt}: no usable answer of a Docker daemon{where}: {words}. {rule.next_step}"
    )


def _first(rules: tuple[_Rule, ...], words: str) -> _Rule | None:
    return next((rule for rule in rules if rule.pattern.search(words)), None)
