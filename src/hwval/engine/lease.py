"""Gives devices and processor cores to one engine at a time, on the whole machine.

One lock file a device in a folder that all runs of this machine share. The kernel drops the locks
of a process that dies, so there is nothing to clean up after ``kill -9``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock
from filelock import Timeout

from hwval import clock
from hwval.cell import slug
from hwval.engine.spec import LeasedDevices
from hwval.errors import HostError
from hwval.host import Device

__all__ = ["cpu_slots", "lease_cpus", "lease_devices", "leased"]

Progress = Callable[[str], None]

_POLL_S: Final = 0.2
_REPORT_EVERY_S: Final = 10.0


def cpu_slots(count: int, cpus: Sequence[int] | None = None) -> tuple[tuple[int, ...], ...]:
    """Split processors into slots of equal size; what does not divide stays unused.

    Args:
        count: Slots, >= 1.
        cpus: Logical processors; all that this process may use if None.

    Raises:
        HostError: Fewer processors than slots.

    Example:
        >>> cpu_slots(2, [0, 1, 2, 3, 4])
        ((0, 1), (2, 3))
    """
    available = sorted(os.sched_getaffinity(0) if cpus is None else cpus)
    size = len(available) // count
    if not size:
        raise HostError(
            f"split processors into {count} slots: {len(available)} processors, expected at least "
            f"{count}. Run fewer cells at the same time."
        )
    return tuple(tuple(available[slot * size : (slot + 1) * size]) for slot in range(count))


@contextmanager
def lease_devices(
    devices: Sequence[Device],
    count: int,
    *,
    cache_dir: Path,
    progress: Progress,
    owner: str = "",
) -> Iterator[LeasedDevices]:
    """Hold ``count`` of ``devices`` until the block ends, waiting for others to give them back.

    Args:
        devices: Devices that would do; the first free ones are taken.
        count: How many, 1 <= count <= number of devices.
        cache_dir: Folder that all runs of this machine share.
        progress: Told, without the time, who holds the devices meanwhile.
        owner: Who wants them, for the messages of others: a cell id.

    Raises:
        HostError: Fewer devices than asked for, or the locks cannot be made.
    """
    if count > len(devices):
        raise HostError(
            f"lease devices for {owner or 'this process'}: {len(devices)} fit, expected {count}"
        )
    groups = [(device.id,) for device in devices]
    with _lease(groups, count, cache_dir=cache_dir, progress=progress, owner=owner) as taken:
        yield leased([devices[index] for index in taken])


@contextmanager
def lease_cpus(
    slots: Sequence[Sequence[int]], *, cache_dir: Path, progress: Progress, owner: str = ""
) -> Iterator[LeasedDevices]:
    """Hold the processors of one slot until the block ends.

    Each processor has its own lock, so runs that split the machine differently exclude each other
    too.

    Args:
        slots: Processors of each slot, as ``cpu_slots`` returns them.
        cache_dir: Folder that all runs of this machine share.
        progress: Told, without the time, who holds the processors meanwhile.
        owner: Who wants them, for the messages of others: a cell id.

    Raises:
        HostError: The locks cannot be made.
    """
    groups = [tuple(f"cpu-{cpu}" for cpu in slot) for slot in slots]
    with _lease(groups, 1, cache_dir=cache_dir, progress=progress, owner=owner) as taken:
        yield LeasedDevices(cpus=tuple(slots[taken[0]]))


def leased(devices: Sequence[Device]) -> LeasedDevices:
    """Return these devices as an engine gets them, whoever holds them."""
    nodes = [node for device in devices for node in device.nodes]
    return LeasedDevices(
        indices=tuple(device.index for device in devices),
        nodes=tuple(node.path for node in nodes),
        group_ids=tuple(sorted({node.group_id for node in nodes})),
        uuids=tuple(device.uuid for device in devices if device.uuid),
    )


@contextmanager
def _lease(
    groups: Sequence[Sequence[str]], count: int, *, cache_dir: Path, progress: Progress, owner: str
) -> Iterator[tuple[int, ...]]:
    folder = cache_dir / "leases"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            # Only one at a time collects: two that each hold half would wait for ever, and one
            # that needs many would never win against many that need one.
            with ExitStack() as turn:
                waiting = _Waiting(owner, progress)
                while not _try_lock(folder, "turn", owner, turn):
                    waiting.pause(folder, ["turn"])
                taken = _collect(folder, groups, count, owner, held, waiting=waiting)
            yield taken
    except PermissionError as error:
        raise HostError(
            f"lease devices for {owner or 'this process'}: {error}, expected a folder that this "
            "user may write to. Choose another cache folder."
        ) from error


def _collect(
    folder: Path,
    groups: Sequence[Sequence[str]],
    count: int,
    owner: str,
    held: ExitStack,
    *,
    waiting: _Waiting,
) -> tuple[int, ...]:
    taken: list[int] = []
    while True:
        for index, group in enumerate(groups):
            if len(taken) < count and index not in taken and _try_group(folder, group, owner, held):
                taken.append(index)
        if len(taken) == count:
            return tuple(sorted(taken))
        waiting.pause(
            folder, [key for i, group in enumerate(groups) if i not in taken for key in group]
        )


def _try_group(folder: Path, group: Sequence[str], owner: str, held: ExitStack) -> bool:
    with ExitStack() as attempt:
        if all(_try_lock(folder, key, owner, attempt) for key in group):
            held.push(attempt.pop_all())
            return True
    return False


def _try_lock(folder: Path, key: str, owner: str, held: ExitStack) -> bool:
    # Not bound to a thread: whoever ends the lease may be another one than who began it.
    lock = FileLock(folder / f"{slug(key)}.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    held.callback(lock.release)
    holder = json.dumps({"pid": os.getpid(), "owner": owner})
    _holder_file(folder, key).write_text(holder, encoding="utf-8")
    return True


def _holder_file(folder: Path, key: str) -> Path:
    return folder / f"{slug(key)}.json"


class _Waiting:
    """Says from time to time who holds what is waited for."""

    def __init__(self, owner: str, progress: Progress) -> None:
        self._owner = owner
        self._progress = progress
        self._watch = clock.Stopwatch()
        self._reported_s = -_REPORT_EVERY_S

    def pause(self, folder: Path, keys: Sequence[str]) -> None:
        elapsed_s = self._watch.elapsed_s
        if elapsed_s - self._reported_s >= _REPORT_EVERY_S:
            self._reported_s = elapsed_s
            holders = sorted({_holder(folder, key) for key in keys})
            self._progress(
                f"{self._owner or 'this process'} waits for devices held by {', '.join(holders)}"
            )
        clock.sleep(_POLL_S)


def _holder(folder: Path, key: str) -> str:
    try:
        data = json.loads(_holder_file(folder, key).read_text(encoding="utf-8"))
        return f"{data['owner'] or 'another run'} (pid {data['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"  # taken a moment ago, its name is not written yet
