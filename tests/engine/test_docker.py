"""The Docker engine against a real daemon and the fault-injecting engine's image."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import stat
import subprocess
import uuid
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from hwval.catalogue import Vendor
from hwval.catalogue import load_catalogue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.engine.base import EngineState
from hwval.engine.docker import DockerDeadlines
from hwval.engine.docker import DockerEngine
from hwval.engine.docker_client import Daemon
from hwval.engine.docker_labels import CELL_LABEL
from hwval.engine.docker_labels import MANAGED_LABEL
from hwval.engine.docker_labels import RUN_LABEL
from hwval.engine.docker_labels import container_name
from hwval.engine.spec import EngineSpec
from hwval.engine.spec import Mount
from hwval.errors import DaemonError
from hwval.errors import EngineExited
from hwval.errors import HostError
from hwval.errors import ImageError
from hwval.host import Device
from hwval.host import DeviceNode
from hwval.launch import LaunchSettings
from hwval.launch import lease_for
from hwval.launch import make_engine
from hwval.matrix import Deadlines
from hwval.matrix import MatrixEntry
from hwval.matrix import PromisesSection
from hwval.placement import PlacedCell
from tests.engine.containers import containers_of
from tests.engine.containers import poll_until
from tests.engine.containers import raw_inspect
from tests.engine.containers import start_owner
from tests.engine.containers import wait_until_ended
from tests.engine.containers import wait_until_healthy
from tests.engine.registry import Registry

pytestmark = pytest.mark.docker

EngineOf = Callable[..., DockerEngine]
SpecOf = Callable[..., EngineSpec]


def test_engine_answers_on_loopback_with_its_own_key(
    fake_spec: SpecOf, engine_of: EngineOf, run_id: str
) -> None:
    """A started engine answers on a port of 127.0.0.1 to its key, and is labelled."""
    engine = engine_of(fake_spec())
    engine.start()
    wait_until_healthy(engine)

    endpoint = engine.endpoint()
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    models = httpx.get(f"{endpoint.base_url}/v1/models", headers=headers)
    assert models.json()["data"][0]["id"] == "org/model"
    assert httpx.get(f"{endpoint.base_url}/v1/models").status_code == 401
    found = raw_inspect(engine.name)
    bindings = found["NetworkSettings"]["Ports"]["8000/tcp"]
    assert {item["HostIp"] for item in bindings} == {"127.0.0.1"}
    assert found["Config"]["Labels"].items() >= {
        MANAGED_LABEL: "true", RUN_LABEL: run_id, CELL_LABEL: fake_spec().cell_id,
    }.items()  # fmt: skip
    assert engine.image_digest() == found["Image"]


def test_container_has_least_privilege(fake_spec: SpecOf, engine_of: EngineOf) -> None:
    """Without a named privilege the container has no capability and its own namespaces."""
    engine = engine_of(fake_spec())
    engine.start()
    host = raw_inspect(engine.name)["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert not host["Privileged"]
    assert host["NetworkMode"] != "host"
    assert host["IpcMode"] == "private"


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


def test_log_file_holds_the_log_while_the_engine_runs(
    fake_spec: SpecOf, engine_of: EngineOf
) -> None:
    """The log is in the file from the start, and complete once the engine is closed."""
    engine = engine_of(fake_spec())
    engine.start()
    wait_until_healthy(engine)
    poll_until(engine.log_path.read_text, lambda text: "Application startup" in text)
    engine.close()
    assert "Application shutdown complete." in engine.log_path.read_text()


def test_state_counts_processor_time(fake_spec: SpecOf, engine_of: EngineOf) -> None:
    """A hang that burns a core is told by processor seconds that grow."""
    engine = engine_of(fake_spec({"hang_at": "compile", "hang_busy": True}))
    engine.start()
    first = poll_until(lambda: engine.state().cpu_s or 0.0, lambda cpu_s: cpu_s > 0)
    poll_until(lambda: engine.state().cpu_s or 0.0, lambda cpu_s: cpu_s > first)


def test_daemon_and_kernel_agree_on_processor_time(fake_spec: SpecOf, engine_of: EngineOf) -> None:
    """The daemon, asked for a host far away, counts what the kernel counts here."""
    engine = engine_of(fake_spec({"hang_at": "compile"}))
    engine.start()
    with Daemon() as daemon:
        poll_until(lambda: daemon.cpu_s(engine.name) or 0.0, lambda cpu_s: cpu_s > 0)
        before, asked = engine.state().cpu_s, daemon.cpu_s(engine.name)
    assert before is not None
    assert asked is not None
    assert before <= asked <= (engine.state().cpu_s or 0.0)


def test_death_gives_exit_code_and_whole_log(fake_spec: SpecOf, engine_of: EngineOf) -> None:
    """An engine that dies leaves its exit code, and its log to the last line."""
    scenario = {"die_at": "weights", "die_exit_code": 7, "die_log": "RuntimeError: last words\n"}
    engine = engine_of(fake_spec(scenario))
    engine.start()
    assert wait_until_ended(engine).exit_code == 7
    autopsy = engine.autopsy()
    assert autopsy.state == EngineState(running=False, exit_code=7)
    assert "last words" in engine.log_path.read_text()
    assert autopsy.inspect["Name"] == f"/{engine.name}"
    assert "log" not in autopsy.notes


def test_memory_limit_kills_and_says_so(fake_spec: SpecOf, engine_of: EngineOf) -> None:
    """An engine that outgrows its memory limit ends with the flag for it."""
    spec = fake_spec({"oom_at": "weights", "oom_cap_bytes": 2**30})
    engine = engine_of(dataclasses.replace(spec, memory_bytes=128 * 2**20))
    engine.start()
    state = wait_until_ended(engine)
    assert (state.exit_code, state.oom_killed) == (137, True)
    autopsy = engine.autopsy()
    if "kernel log" not in autopsy.notes:
        assert any("oom" in line.lower() for line in autopsy.kernel_log)


def test_close_twice_removes_once(fake_spec: SpecOf, engine_of: EngineOf, run_id: str) -> None:
    """After close nothing is left, and closing again does nothing."""
    engine = engine_of(fake_spec())
    engine.start()
    assert containers_of(run_id) == [engine.name]
    engine.close()
    assert containers_of(run_id) == []
    engine.close()
    assert not engine.state().running


def test_close_kills_an_engine_that_ignores_the_request(
    fake_spec: SpecOf, engine_of: EngineOf, run_id: str
) -> None:
    """An engine that does not end when asked is killed after the grace time."""
    engine = engine_of(
        fake_spec({"ignore_sigterm": True}), deadlines=DockerDeadlines(stop_s=1)
    )  # fmt: skip
    engine.start()
    wait_until_healthy(engine)
    engine.close()
    assert containers_of(run_id) == []
    assert engine.state().exit_code == 137


def test_container_removed_by_others_is_not_running(fake_spec: SpecOf, engine_of: EngineOf) -> None:
    """A container that someone removed is seen as ended, without an exit code."""
    engine = engine_of(fake_spec())
    engine.start()
    with Daemon() as daemon:
        daemon.remove(engine.name, attempt="test")
    assert engine.state() == EngineState(running=False)
    engine.close()


def test_missing_device_is_the_hosts_fault(
    fake_spec: SpecOf, engine_of: EngineOf, run_id: str
) -> None:
    """A device node that is not there is a HostError, and the half start leaves nothing."""
    spec = dataclasses.replace(fake_spec(), devices=("/dev/hwval-no-such-device",))
    engine = engine_of(spec)
    with pytest.raises(HostError, match=r"hwval-no-such-device.* Check that the device node"):
        engine.start()
    assert containers_of(run_id) == []
    assert engine.autopsy().inspect["Name"] == f"/{engine.name}"


def test_missing_gpu_runtime_is_the_hosts_fault(
    fake_spec: SpecOf, engine_of: EngineOf, run_id: str
) -> None:
    """A request for an NVIDIA device that this host lacks is a HostError with a remedy."""
    engine = engine_of(dataclasses.replace(fake_spec(), nvidia_devices=("GPU-none",)))
    with pytest.raises(HostError, match=r"NVIDIA Container Toolkit|nvidia"):
        engine.start()
    assert containers_of(run_id) == []


def test_missing_folder_is_the_hosts_fault(
    fake_spec: SpecOf, engine_of: EngineOf, run_id: str, tmp_path: Path
) -> None:
    """A folder to read that is not there is a HostError; nothing is made in its place."""
    absent = tmp_path / "absent"
    mounts = (Mount(absent, "/model", read_only=True),)
    engine = engine_of(dataclasses.replace(fake_spec(), mounts=mounts))
    with pytest.raises(HostError, match="absent"):
        engine.start()
    assert not absent.exists()
    assert containers_of(run_id) == []


def test_processors_that_do_not_exist_are_the_hosts_fault(
    fake_spec: SpecOf, engine_of: EngineOf
) -> None:
    """Processors that this host lacks are a HostError."""
    with pytest.raises(HostError, match="lscpu"):
        engine_of(fake_spec(cpus=(4000,))).start()


def test_program_that_is_not_there_ends_with_127(fake_spec: SpecOf, engine_of: EngineOf) -> None:
    """A bad entrypoint is the engine's failure: exit code 127, whoever looked for it."""
    engine = engine_of(dataclasses.replace(fake_spec(), entrypoint=("no-such-program",)))
    try:
        engine.start()
        exit_code = wait_until_ended(engine).exit_code
    except EngineExited as error:
        exit_code = error.exit_code
    assert exit_code == 127
    engine.autopsy()
    assert "no-such-program" in engine.log_path.read_text()


def test_endpoint_of_a_dead_container_is_an_error(fake_spec: SpecOf, engine_of: EngineOf) -> None:
    """An engine that never had a port says that it ended, not a wrong address."""
    engine = engine_of(fake_spec())
    with pytest.raises(EngineExited, match="find the port of cpu__"):
        engine.endpoint()


def test_taken_name_is_told_and_left_alone(
    fake_spec: SpecOf, engine_of: EngineOf, run_id: str
) -> None:
    """A second engine of the same cell and run fails, and the first lives on."""
    first, second = engine_of(fake_spec()), engine_of(fake_spec())
    first.start()
    with pytest.raises(HostError, match=r"already in use.* hwval reap"):
        second.start()
    assert first.state().running
    assert containers_of(run_id) == [first.name]


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
    engine = engine_of(spec, deadlines=DockerDeadlines(pull_s=0.5))
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


def test_secrets_stand_in_nothing_that_is_kept(fake_spec: SpecOf, engine_of: EngineOf) -> None:
    """A token of the host reaches the engine, but no log, description or command line."""
    token = "hf_" + "SeCrEt" * 5
    spec = fake_spec()
    shell = "echo token=$HF_TOKEN key=$VLLM_API_KEY; printf %s tail:$HF_TOKEN; exit 3"
    spec = dataclasses.replace(spec, entrypoint=("/bin/sh", "-c"), command=(shell,))
    engine = engine_of(spec, host_environment={"HF_TOKEN": token})
    engine.start()
    assert wait_until_ended(engine).exit_code == 3
    assert f"HF_TOKEN={token}" in raw_inspect(engine.name)["Config"]["Env"]
    autopsy = engine.autopsy()
    key = engine._api_key
    kept = [engine.log_path.read_text(), json.dumps(dict(autopsy.inspect)), engine.command_line]
    for text in [*kept, repr(engine._spec)]:
        assert token not in text
        assert key not in text
    assert engine.log_path.read_text() == "token=[secret] key=[secret]\ntail:[secret]"


def test_writable_cache_of_another_user_can_be_written(
    fake_spec: SpecOf, engine_of: EngineOf, tmp_path: Path
) -> None:
    """Root in the container writes into a cache folder that belongs to a user, and makes it."""
    owned, made = tmp_path / "owned", tmp_path / "made"
    owned.mkdir(mode=0o755)
    if os.geteuid() == 0:
        os.chown(owned, 4242, 4242)
    mounts = (Mount(owned, "/a", read_only=False), Mount(made, "/b", read_only=False))
    spec = dataclasses.replace(
        fake_spec(), image="hwval/base:bookworm", mounts=mounts,
        entrypoint=("/bin/sh", "-c"), command=("echo 1 > /a/one && echo 2 > /b/two",),
    )  # fmt: skip
    engine = engine_of(spec)
    engine.start()
    assert wait_until_ended(engine).exit_code == 0
    assert (owned / "one").exists()
    assert (made / "two").exists()


@pytest.mark.parametrize("way", ["end", "ctrl-c"])
def test_process_that_ends_takes_its_container_along(
    way: str, fake_image: str, run_id: str, tmp_path: Path
) -> None:
    """A process that forgets to close, or gets Ctrl-C, leaves no container."""
    owner, name = start_owner(fake_image, run_id, tmp_path / "log")
    assert containers_of(run_id) == [name]
    if way == "ctrl-c":
        owner.send_signal(signal.SIGINT)
    owner.communicate(timeout=30)
    assert containers_of(run_id) == []
