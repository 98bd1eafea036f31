"""The Docker engine against a real daemon and the fault-injecting engine's image."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from pathlib import Path

import httpx
import pytest

from hwval.engine.base import EngineState
from hwval.engine.docker_client import Daemon
from hwval.engine.docker_labels import CELL_LABEL
from hwval.engine.docker_labels import MANAGED_LABEL
from hwval.engine.docker_labels import RUN_LABEL
from hwval.engine.spec import Mount
from hwval.errors import EngineExited
from hwval.errors import HostError
from tests.engine.containers import EngineOf
from tests.engine.containers import SpecOf
from tests.engine.containers import containers_of
from tests.engine.containers import poll_until
from tests.engine.containers import raw_inspect
from tests.engine.containers import start_owner
from tests.engine.containers import wait_until_ended
from tests.engine.containers import wait_until_healthy

pytestmark = pytest.mark.docker


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
    fake_spec: SpecOf, engine_of: EngineOf, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that does not end when asked is killed after the grace time."""
    monkeypatch.setattr("hwval.engine.docker._STOP_S", 1)
    engine = engine_of(fake_spec({"ignore_sigterm": True}))
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


def test_secrets_stand_in_nothing_that_is_kept(
    fake_spec: SpecOf, engine_of: EngineOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of the host reaches the engine, but no log, description or command line."""
    token = "hf_" + "SeCrEt" * 5
    spec = fake_spec()
    shell = "echo token=$HF_TOKEN key=$VLLM_API_KEY; printf %s tail:$HF_TOKEN; exit 3"
    spec = dataclasses.replace(spec, entrypoint=("/bin/sh", "-c"), command=(shell,))
    monkeypatch.setenv("HF_TOKEN", token)
    engine = engine_of(spec)
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
