"""How a pull is told and bounded; the pull itself is tested in test_docker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import pytest

from hwval.engine.pull import PullProgress
from hwval.engine.pull import follow_pull
from hwval.errors import HostError
from hwval.errors import ImageError

MIB = 2**20


def event(layer: str, status: str, current: int = 0, total: int = 0) -> dict[str, Any]:
    detail = {"current": current, "total": total} if total else {}
    return {"id": layer, "status": status, "progressDetail": detail}


def test_line_adds_up_the_layers() -> None:
    """Bytes and finished layers are summed; extraction does not count the bytes again."""
    progress = PullProgress("org/image:1")
    for each in [
        {"id": "1", "status": "Pulling from org/image"},
        event("a", "Already exists"),
        event("b", "Downloading", 10 * MIB, 20 * MIB),
        event("c", "Downloading", 5 * MIB, 5 * MIB),
        event("c", "Download complete"),
        event("c", "Extracting", 1 * MIB, 5 * MIB),
        {"status": "Digest: sha256:0"},
    ]:
        progress.feed(each)
    assert progress.line == "pulling org/image:1: 15.0 MiB of 25.0 MiB, 1 of 3 layers"


def test_error_in_the_stream_is_raised() -> None:
    """What the daemon says in the middle of a pull becomes an error of its kind."""

    def events() -> Iterator[Mapping[str, Any]]:
        yield event("a", "Downloading", 1, 2)
        yield {"error": "write /x: no space left on device"}

    with pytest.raises(HostError, match=r"get it: .*no space left"):
        follow_pull(events, image="i", attempt="get it", deadline_s=30, progress=list[str]().append)


def test_error_of_the_stream_is_raised() -> None:
    """What breaks the stream comes out of the waiting side."""

    def events() -> Iterator[Mapping[str, Any]]:
        yield event("a", "Downloading", 1, 2)
        raise ImageError("broke")

    with pytest.raises(ImageError, match="broke"):
        follow_pull(events, image="i", attempt="get it", deadline_s=30, progress=list[str]().append)


def test_silence_ends_at_the_deadline() -> None:
    """A stream that says nothing more is given up, with how far it came."""
    released = threading.Event()

    def events() -> Iterator[Mapping[str, Any]]:
        yield event("a", "Downloading", 1 * MIB, 2 * MIB)
        released.wait(30)

    with pytest.raises(ImageError, match=r"of 2\.00 MiB.* expected within 200 ms"):
        follow_pull(events, image="i", attempt="get", deadline_s=0.2, progress=list[str]().append)
    released.set()
