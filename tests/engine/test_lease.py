"""Leases of devices and processors, between processes of one machine."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path

import pytest

from hwval import clock
from hwval.engine.lease import cpu_slots
from hwval.engine.lease import lease_cpus
from hwval.engine.lease import lease_devices
from hwval.engine.spec import LeasedDevices
from hwval.errors import HostError
from hwval.host import Device
from hwval.host import DeviceNode
from hwval.host import probe_host
from tests.host.trees import mi300x

CARDS = tuple(
    Device(
        id=f"amd-0000:0{index}:00.0",
        vendor="rocm",
        architecture="gfx906",
        index=index,
        nodes=(DeviceNode(f"/dev/dri/renderD{128 + index}", 44),),
    )
    for index in range(3)
)

HOLDER = """
    import sys
    from pathlib import Path
    from hwval.engine.lease import lease_cpus
    from hwval.engine.lease import lease_devices
    from tests.engine.test_lease import CARDS

    folder, kind = Path(sys.argv[1]), sys.argv[2]
    kinds = {"cards": (lease_devices, (CARDS, 2)), "cpus": (lease_cpus, ([(0, 1)],))}
    lease, arguments = kinds[kind]
    with lease(*arguments, cache_dir=folder, progress=print, owner="the-other-cell"):
        print("held", flush=True)
        sys.stdin.read()
"""


@contextmanager
def held_elsewhere(folder: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    """Hold two cards, or processors 0 and 1, in another process."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(folder), kind],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_lease_describes_its_devices(tmp_path: Path) -> None:
    """What a container needs to get these devices and no others."""
    with lease_devices(CARDS, 2, cache_dir=tmp_path, progress=print) as lease:
        assert lease == LeasedDevices(
            indices=(0, 1),
            nodes=("/dev/dri/renderD128", "/dev/dri/renderD129"),
            group_ids=(44,),
        )


def test_taken_devices_are_passed_over(tmp_path: Path) -> None:
    """Another run holds two of three: the third is free, and nobody waits."""
    with (
        held_elsewhere(tmp_path, "cards"),
        lease_devices(CARDS, 1, cache_dir=tmp_path, progress=pytest.fail) as lease,
    ):
        assert lease.indices == (2,)


def test_waiting_names_the_holder_and_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits says for whom; kill -9 of the holder gives its devices back."""
    lines: list[str] = []
    with held_elsewhere(tmp_path, "cards") as process:
        really_sleep = clock.sleep

        def kill_holder(duration_s: float) -> None:
            process.kill()
            process.wait()
            really_sleep(duration_s)

        monkeypatch.setattr(clock, "sleep", kill_holder)
        with lease_devices(
            CARDS, 3, cache_dir=tmp_path, progress=lines.append, owner="my-cell"
        ) as lease:
            assert lease.indices == (0, 1, 2)

    assert lines[0] == f"my-cell waits for devices held by the-other-cell (pid {process.pid})"


def test_lease_is_over_after_its_block(tmp_path: Path) -> None:
    """The same device can be leased again, also after an error."""
    with (
        pytest.raises(RuntimeError, match="inside"),
        lease_devices(CARDS[:1], 1, cache_dir=tmp_path, progress=pytest.fail),
    ):
        raise RuntimeError("inside")

    with lease_devices(CARDS[:1], 1, cache_dir=tmp_path, progress=pytest.fail) as lease:
        assert lease.indices == (0,)


def test_too_few_devices_are_an_error(tmp_path: Path) -> None:
    """Nobody waits for what can never be free."""
    with (
        pytest.raises(HostError, match="lease devices for c: 3 fit, expected 4"),
        lease_devices(CARDS, 4, cache_dir=tmp_path, progress=print, owner="c"),
    ):
        pytest.fail("leased")


def test_slots_are_equal_and_disjoint() -> None:
    """What does not divide stays unused, so that all engines are measured alike."""
    assert cpu_slots(2, [0, 1, 2, 3, 8]) == ((0, 1), (2, 3))
    assert cpu_slots(1) == (tuple(sorted(os.sched_getaffinity(0))),)


def test_more_slots_than_processors_are_an_error() -> None:
    """The message says what to change."""
    with pytest.raises(HostError, match=r"2 processors, expected at least 3\. Run fewer cells"):
        cpu_slots(3, [0, 1])


def test_processors_of_another_split_are_excluded(tmp_path: Path) -> None:
    """A run that took processors 0 and 1 together leaves only 2 to one that counts singly."""
    with (
        held_elsewhere(tmp_path, "cpus"),
        lease_cpus([(0,), (1,), (2,)], cache_dir=tmp_path, progress=pytest.fail) as lease,
    ):
        assert lease == LeasedDevices(cpus=(2,))


def test_partitions_of_one_card_are_leased_apart(tmp_path: Path) -> None:
    """Eight engines on the eight dies of a card: each gets a render node of its own."""
    host = probe_host(mi300x(tmp_path / "tree", compute="CPX", memory="NPS4"))
    with ExitStack() as held:
        leases = [
            held.enter_context(
                lease_devices(host.devices, 1, cache_dir=tmp_path, progress=pytest.fail)
            )
            for _ in range(8)
        ]
        wide = held.enter_context(
            lease_devices(host.devices, 8, cache_dir=tmp_path, progress=pytest.fail)
        )

    assert [lease.nodes for lease in leases] == [
        (f"/dev/dri/renderD{minor}",) for minor in range(128, 136)
    ]
    # The ninth, with tensor parallelism of eight, gets the whole second card.
    assert wide.nodes == tuple(f"/dev/dri/renderD{minor}" for minor in range(136, 144))
    assert len(wide.group_ids) == 1
