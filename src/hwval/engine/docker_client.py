"""The door to the Docker daemon: nothing else talks to it, nothing else knows the Docker SDK.

Speaks to any socket with Docker's API (Docker, rootless Docker, Podman), and raises hwval's errors
alone. The SDK is imported at the first use, so that commands without containers start fast.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import Self
from typing import cast

from hwval.engine.docker_errors import daemon_errors
from hwval.engine.pull import follow_pull
from hwval.host import Docker

__all__ = ["Daemon", "ListedContainer"]

_DEFAULT_ADDRESS: Final = "unix:///var/run/docker.sock"
# Parts of a log, 16 KiB each at most, that are read once more when it has ended.
_END_OF_LOG: Final = 20


@dataclass(frozen=True, slots=True)
class ListedContainer:
    """One container as a listing shows it.

    Attributes:
        container_id: Full id.
        name: Name without the leading slash.
        labels: Its labels.
    """

    container_id: str
    name: str
    labels: Mapping[str, str]


class Daemon:
    """A connection to the daemon that ``DOCKER_HOST`` names, else to the local socket.

    Not for use by two threads at a time.

    Args:
        call_s: Seconds that one call may take, > 0; pulls and log streams are not bound by it.

    Raises:
        DaemonError: No daemon, no permission, or a daemon that is too old.
    """

    def __init__(self, *, call_s: float = 60.0) -> None:
        import docker
        from docker.utils import kwargs_from_env

        with daemon_errors("connect to Docker"):
            settings = cast("dict[str, Any]", kwargs_from_env())
        self.address: str = settings.get("base_url") or _DEFAULT_ADDRESS
        with daemon_errors("connect to Docker", address=self.address):
            _knock(self.address)
            self._api = docker.APIClient(**{**settings, "timeout": call_s})

    @property
    def is_local(self) -> bool:
        """Whether the daemon runs on this host, as far as its address tells."""
        return self.address.startswith(("unix:", "http+unix:"))

    def describe(self) -> Docker:
        """Return what the daemon says of itself and of the images it has.

        Source: Docker Engine API, ``/info``, ``/version`` and ``/images/json``; fields that an
        older daemon or Podman does not tell stay empty.
        """
        with daemon_errors("ask Docker about itself", address=self.address):
            info = self._api.info()
            version = self._api.version()
            images = cast("list[dict[str, Any]]", self._api.images())
        tags = {tag for image in images for tag in image.get("RepoTags") or ()}
        return Docker(
            address=self.address,
            version=str(version.get("Version") or ""),
            api_version=str(version.get("ApiVersion") or ""),
            runtimes=tuple(sorted(info.get("Runtimes") or ())),
            default_runtime=str(info.get("DefaultRuntime") or ""),
            cdi_folders=tuple(info.get("CDISpecDirs") or ()),
            rootless=any("rootless" in option for option in info.get("SecurityOptions") or ()),
            cgroup_version=str(info.get("CgroupVersion") or ""),
            root=str(info.get("DockerRootDir") or ""),
            images=tuple(sorted(tags - {"<none>:<none>"})),
        )

    def find_image(self, image: str, *, attempt: str) -> str | None:
        """Return the content id of an image that is there, None if it is not."""
        from docker.errors import ImageNotFound

        with daemon_errors(attempt, address=self.address):
            try:
                found = cast("Any", self._api).inspect_image(image)  # the stubs leave it untyped
            except ImageNotFound:
                return None
        return str(found["Id"])

    def pull(
        self, image: str, *, attempt: str, deadline_s: float, progress: Callable[[str], None]
    ) -> None:
        """Fetch an image; see ``follow_pull`` for the errors."""
        from docker.utils import parse_repository_tag

        repository, tag = parse_repository_tag(image)

        def events() -> Iterator[Mapping[str, Any]]:
            # Without a tag the daemon would fetch every one.
            with daemon_errors(attempt, address=self.address):
                yield from self._api.pull(repository, tag or "latest", stream=True, decode=True)

        follow_pull(events, image=image, attempt=attempt, deadline_s=deadline_s, progress=progress)

    def create(self, request: Mapping[str, Any], host: Mapping[str, Any], *, attempt: str) -> str:
        """Create a container and return its id; the arguments are the SDK's own."""
        with daemon_errors(attempt, address=self.address):
            config = self._api.create_host_config(**host)
            return str(self._api.create_container(**request, host_config=config)["Id"])

    def start(self, container: str, *, attempt: str) -> None:
        """Start a created container."""
        with daemon_errors(attempt, address=self.address):
            self._api.start(container)

    def inspect(self, container: str, *, attempt: str) -> dict[str, Any] | None:
        """Return the daemon's description of a container, None if there is none of that name."""
        from docker.errors import NotFound

        with daemon_errors(attempt, address=self.address):
            try:
                return cast("dict[str, Any]", self._api.inspect_container(container))
            except NotFound:
                return None

    def cpu_s(self, container: str) -> float | None:
        """Return the processor seconds of a container, None where the daemon does not know."""
        from docker.errors import InvalidVersion
        from docker.errors import NotFound

        with daemon_errors("read processor time", address=self.address):
            try:
                stats = self._api.stats(container, stream=False, one_shot=True)
            except (InvalidVersion, NotFound):
                return None
        used_ns = stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
        return None if used_ns is None else int(used_ns) / 1e9

    def follow_log(self, container: str) -> Iterator[bytes]:
        """Yield the log of a container from its start on, until it ends."""
        from docker.errors import NotFound

        seen: deque[bytes] = deque(maxlen=10 * _END_OF_LOG)
        with daemon_errors("follow the log", address=self.address):
            for part in self._api.logs(container, stream=True, follow=True):
                seen.append(part)
                yield part
        # Docker 20.10 often does not follow to a last line without its end, such as a crash
        # leaves; the log at rest has it. Of a long one the daemon tells few MB a second.
        with daemon_errors("read the end of the log", address=self.address), suppress(NotFound):
            at_rest = self._api.logs(container, stream=True, follow=False, tail=_END_OF_LOG)
            yield from _unseen(at_rest, b"".join(seen))

    def execute(
        self,
        container: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        attempt: str,
    ) -> tuple[int, bytes]:
        """Run a command in a running container; returns its exit status and what it printed."""
        with daemon_errors(attempt, address=self.address):
            made = self._api.exec_create(
                container, list(command), environment=dict(environment), stdin=False
            )
            output = self._api.exec_start(made["Id"])
            found = self._api.exec_inspect(made["Id"])
        code = found.get("ExitCode")
        return (-1 if code is None else int(code)), output

    def stop(self, container: str, *, grace_s: int, attempt: str) -> None:
        """Ask a container to end, and kill it after ``grace_s`` seconds; gone is fine."""
        from docker.errors import NotFound

        with daemon_errors(attempt, address=self.address), suppress(NotFound):
            self._api.stop(container, timeout=grace_s)

    def remove(self, container: str, *, attempt: str) -> None:
        """Remove a container, running or not, with its anonymous volumes; gone is fine."""
        from docker.errors import APIError
        from docker.errors import NotFound

        with daemon_errors(attempt, address=self.address), suppress(NotFound):
            try:
                self._api.remove_container(container, force=True, v=True)
            except APIError as error:
                # Someone else, perhaps another reaper, is removing it right now.
                if "already in progress" not in str(error):
                    raise

    def list_containers(self, labels: Mapping[str, str]) -> tuple[ListedContainer, ...]:
        """Return all containers, running or not, that carry these labels."""
        wanted = {"label": [f"{name}={value}" for name, value in labels.items()]}
        with daemon_errors("list containers", address=self.address):
            found = self._api.containers(all=True, filters=wanted)
        return tuple(
            ListedContainer(item["Id"], item["Names"][0].lstrip("/"), item["Labels"] or {})
            for item in found
        )

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _unseen(end: Iterable[bytes], seen: bytes) -> list[bytes]:
    """Return the parts of the end of a log that do not yet stand at the end of what was seen."""
    parts = [line for part in end for line in part.splitlines(keepends=True)]
    known = next(n for n in range(len(parts), -1, -1) if seen.endswith(b"".join(parts[:n])))
    return parts[known:]


def _knock(address: str) -> None:
    """Connect to a local socket once, since the SDK leaks its own when it cannot."""
    scheme, _, path = address.partition("://")
    if scheme.endswith("unix"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
            knocking.connect(path)
