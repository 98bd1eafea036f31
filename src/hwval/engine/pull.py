"""Follows the pull of an image: bounded in time, and told in lines that a person can read."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import Final

from hwval.clock import Stopwatch
from hwval.engine.docker_errors import error_for_words
from hwval.errors import ImageError
from hwval.units import format_bytes
from hwval.units import format_duration_s

__all__ = ["PullProgress", "follow_pull"]

_LINE_EVERY_S: Final = 5.0
_DONE: Final = frozenset({"Pull complete", "Already exists"})

Event = Mapping[str, Any]


class PullProgress:
    """Adds up what the daemon says about each layer.

    Args:
        image: The image, for the line.
    """

    def __init__(self, image: str) -> None:
        self._image = image
        self._sizes: dict[str, tuple[int, int]] = {}
        self._layers: dict[str, bool] = {}

    def feed(self, event: Event) -> None:
        """Take one event of the daemon's stream."""
        layer, status = event.get("id"), event.get("status", "")
        # The first event carries the tag as its id.
        if not layer or status.startswith("Pulling from"):
            return
        self._layers[layer] = status in _DONE
        detail = event.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            self._sizes[layer] = (detail["current"], detail["total"])
        elif status in {"Download complete", *_DONE} and layer in self._sizes:
            self._sizes[layer] = (self._sizes[layer][1],) * 2

    @property
    def line(self) -> str:
        """Where the pull stands; the total grows until every layer's size is known."""
        done, layers = sum(self._layers.values()), len(self._layers)
        got = sum(current for current, _ in self._sizes.values())
        total = sum(size for _, size in self._sizes.values())
        return (
            f"pulling {self._image}: {format_bytes(got)} of {format_bytes(total)}, "
            f"{done} of {layers} layers"
        )


def follow_pull(
    events: Callable[[], Iterable[Event]],
    *,
    image: str,
    attempt: str,
    deadline_s: float,
    progress: Callable[[str], None],
) -> None:
    """Wait until a pull ends.

    The stream is read in a thread of its own, because a registry that goes silent would block the
    reader for ever; past the deadline that thread is left behind.

    Args:
        events: Starts the pull and returns the daemon's stream.
        image: The image.
        attempt: What is tried, for messages.
        deadline_s: Seconds that the pull may take, > 0.
        progress: Called with a line every few seconds.

    Raises:
        ImageError: Not found, not allowed, not reachable or not in time.
        LabError: The daemon died, or its disk is full.
    """
    inbox: queue.Queue[Event | BaseException | None] = queue.Queue()
    threading.Thread(target=_read, args=(events, inbox), name="pull", daemon=True).start()
    watch, state, told_s = Stopwatch(), PullProgress(image), 0.0
    progress(f"pulling {image}")
    while True:
        try:
            event = inbox.get(timeout=max(0.0, deadline_s - watch.elapsed_s))
        except queue.Empty:
            raise _late(attempt, state, deadline_s) from None
        if event is None:
            break
        if isinstance(event, BaseException):
            raise event
        if "error" in event:
            raise error_for_words(attempt, str(event["error"]), otherwise=ImageError)
        state.feed(event)
        if watch.elapsed_s - told_s >= _LINE_EVERY_S:
            told_s = watch.elapsed_s
            progress(f"{state.line}, {format_duration_s(told_s)}")
    progress(f"pulled {image} in {format_duration_s(watch.elapsed_s)}")


def _read(
    events: Callable[[], Iterable[Event]], inbox: queue.Queue[Event | BaseException | None]
) -> None:
    try:
        for event in events():
            inbox.put(event)
    except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
        inbox.put(error)
    else:
        inbox.put(None)


def _late(attempt: str, state: PullProgress, deadline_s: float) -> ImageError:
    return ImageError(
        f"{attempt}: not done ({state.line}), expected within {format_duration_s(deadline_s)}. "
        "Pull it by hand (docker pull), or allow more time."
    )
