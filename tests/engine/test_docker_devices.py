"""Which devices a container is given, against a real daemon and the fault-injecting engine."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import uuid
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hwval.catalogue import Vendor
from hwval.catalogue import load_catalogue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.engine.docker_labels import container_name
from hwval.host import Device
from hwval.host import DeviceNode
from hwval.launch import LaunchSettings
from hwval.launch import lease_for
from hwval.launch import make_engine
from hwval.matrix import Deadlines
from hwval.matrix import MatrixEntry
from hwval.matrix import PromisesSection
from hwval.placement import PlacedCell
from tests.engine.containers import wait_until_healthy

pytestmark = pytest.mark.docker

_LOOK_INSIDE = """
import json, os, pathlib
def is_device(path):
    return path.is_char_device() and not path.is_symlink()
plain = {"console", "core", "full", "null", "ptmx", "random", "tty", "urandom", "zero"}
dev = pathlib.Path("/dev")
nodes = [str(path) for path in (*dev.glob("*"), *dev.glob("dri/*")) if is_device(path)]
status = dict(line.split(":", 1) for line in open("/proc/1/status"))
print(json.dumps({
    "nodes": sorted(node for node in nodes if node.rsplit("/", 1)[-1] not in plain),
    "numbers": sorted(
        [os.major(os.stat(node).st_rdev), os.minor(os.stat(node).st_rdev)]
        for node in nodes if "/dri/" in node
    ),
    "groups": status["Groups"].split(),
    "visible": os.environ.get("HIP_VISIBLE_DEVICES"),
}))
"""
_VIDEO, _RENDER = 44, 992
ROCM = Vendor.ROCM


@pytest.fixture
def amd_devices() -> Iterator[tuple[Device, ...]]:
    """Two AMD devices whose nodes exist but lead to no driver; numbers no card of a lab has."""
    if os.geteuid() != 0:
        pytest.skip("only root can make device nodes")
    kfd, folder = Path("/dev/kfd"), Path("/dev/dri")
    with ExitStack() as stack:
        if not folder.exists():
            folder.mkdir()
            stack.callback(folder.rmdir)
        nodes = [folder / f"renderD{minor}" for minor in (250, 251)]
        wanted = [(node, 226, 250 + index, _RENDER) for index, node in enumerate(nodes)]
        if not kfd.exists():
            wanted.append((kfd, 511, 250, _VIDEO))
        for node, major, minor, group in wanted:
            os.mknod(node, 0o660 | stat.S_IFCHR, os.makedev(major, minor))
            stack.callback(node.unlink)
            os.chown(node, 0, group)
        yield tuple(
            Device(
                f"test-{index}-{uuid.uuid4().hex[:8]}", "rocm", "gfx906", index=index,
                nodes=(DeviceNode(str(node), node.stat().st_gid),),
            )
            for index, node in enumerate(nodes)
        )  # fmt: skip


def look_inside(name: str) -> dict[str, Any]:
    """Return what a process in the container sees of devices, groups and masks."""
    looked = subprocess.run(
        ["docker", "exec", name, "python3", "-c", _LOOK_INSIDE],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen: dict[str, Any] = json.loads(looked.stdout)
    return seen


@pytest.fixture
def amd_cell(
    fake_image: str,
    amd_devices: tuple[Device, ...],
    run_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[int], dict[str, Any]]]:
    """Starts an AMD cell of so many devices as a run does, and looks inside; it stays up."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    settings = LaunchSettings(run_id=run_id, run_dir=tmp_path, cache_dir=tmp_path / "cache")
    catalogue = load_catalogue()
    with ExitStack() as running:

        def start(count: int) -> dict[str, Any]:
            variant = f"engine-{uuid.uuid4().hex[:8]}"
            cell = Cell("gfx906-mi60", count, fake_image, "org/model", Dtype.FLOAT16, variant)
            entry = MatrixEntry(cell, PromisesSection(), Deadlines(), (), "m", catalogue=catalogue)
            placed = PlacedCell(entry, catalogue.image(fake_image), ROCM, amd_devices)
            lease = running.enter_context(lease_for(placed, settings, progress=print))
            engine = make_engine(placed, settings, lease=lease, progress=print)
            running.callback(engine.close)
            engine.start()
            wait_until_healthy(engine)
            return look_inside(container_name(run_id, cell.id))

        yield start


def test_two_amd_leases_get_devices_of_their_own(
    amd_cell: Callable[[int], dict[str, Any]], amd_devices: tuple[Device, ...]
) -> None:
    """Each container holds the shared node and its own render node, with the groups to open them.

    Looked at from inside, while both run: nodes, numbers of the devices, groups, masks.
    """
    seen = [amd_cell(1), amd_cell(1)]
    groups = {str(_RENDER), str(Path("/dev/kfd").stat().st_gid)}

    assert [each["nodes"] for each in seen] == [
        [amd_devices[0].nodes[0].path, "/dev/kfd"], [amd_devices[1].nodes[0].path, "/dev/kfd"],
    ]  # fmt: skip
    assert [each["numbers"] for each in seen] == [[[226, 250]], [[226, 251]]]
    for each in seen:
        assert groups <= set(each["groups"])
        # Each sees one device, and the runtime counts what it sees from 0.
        assert each["visible"] == "0"


def test_amd_lease_of_two_shows_both(
    amd_cell: Callable[[int], dict[str, Any]], amd_devices: tuple[Device, ...]
) -> None:
    """A cell of two devices sees both, and is told so."""
    seen = amd_cell(2)

    assert seen["nodes"] == [*(device.nodes[0].path for device in amd_devices), "/dev/kfd"]
    assert seen["visible"] == "0,1"
