"""Has ready what a container needs before it can be created: its image and its writable folders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from hwval.engine.docker_client import Daemon
from hwval.engine.spec import EngineSpec
from hwval.errors import HostError
from hwval.errors import ImageError

__all__ = ["Pull", "find_image", "make_writable_folders"]

Pull = Literal["missing", "never"]
"""Whether an image that is not there is fetched."""


def find_image(
    daemon: Daemon,
    spec: EngineSpec,
    *,
    pull: Pull,
    deadline_s: float,
    progress: Callable[[str], None],
) -> str:
    """Return the content id of the image, fetching it if need be.

    Args:
        daemon: The daemon that shall have it.
        spec: The container.
        pull: Whether a missing image is fetched.
        deadline_s: Seconds that fetching may take, > 0.
        progress: Called with one line every few seconds.

    Raises:
        ImageError: It is not there and could not be had.
    """
    attempt = f"get image {spec.image} for {spec.cell_id}"
    found = daemon.find_image(spec.image, attempt=attempt)
    if found is None and pull == "missing":
        daemon.pull(spec.image, attempt=attempt, deadline_s=deadline_s, progress=progress)
        found = daemon.find_image(spec.image, attempt=attempt)
    if found is None:
        raise ImageError(f"{attempt}: not on this host. Run docker pull {spec.image}.")
    return found


def make_writable_folders(spec: EngineSpec) -> None:
    """Make caches that do not exist yet; what is only read must be there already.

    Raises:
        HostError: A folder cannot be made.
    """
    for mount in spec.mounts:
        if mount.read_only or mount.source.exists():
            continue
        try:
            mount.source.mkdir(parents=True)
        except OSError as error:
            attempt = f"make the folder {mount.source} for {spec.cell_id}"
            raise HostError(f"{attempt}: {error}. Make it by hand, or name another.") from error
