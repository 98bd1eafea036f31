"""A spec as a shell line and as an API request: both give the same container."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hwval.engine.container import container_capabilities
from hwval.engine.container import create_request
from hwval.engine.container import format_docker_run
from hwval.engine.container import host_request
from hwval.engine.docker_client import Daemon
from hwval.engine.docker_labels import RUN_LABEL
from hwval.engine.spec import EngineSpec
from hwval.engine.spec import Mount

PLAIN = EngineSpec(
    "cell", "org/image:1", None, ("/model", "--flag", "a 'b' $c"), secret_names=("HF_TOKEN",)
)
FULL = dataclasses.replace(
    PLAIN,
    entrypoint=("python3", "-m", "server"),
    environment=(("A", "1 2"), ("B", "")),
    devices=("/dev/kfd", "/dev/dri/renderD128"),
    group_ids=(44, 992),
    shm_bytes=2**30,
    cpuset="0-1",
    memory_bytes=2**28,
)
VARIANTS = {
    "plain": PLAIN,
    "full": FULL,
    "ipc-host": dataclasses.replace(PLAIN, ipc_host=True, privileges=("ipc-host",)),
    "privileges": dataclasses.replace(
        PLAIN, privileges=("ptrace", "seccomp-unconfined", "sys-nice")
    ),
    "privileged": dataclasses.replace(PLAIN, privileges=("privileged", "host-network")),
    "tpu": dataclasses.replace(PLAIN, memlock_unlimited=True),
    "infinity": dataclasses.replace(PLAIN, api_key_variable="INFINITY_API_KEY", port=7997),
    "nvidia": dataclasses.replace(PLAIN, nvidia_devices=("GPU-a", "GPU-b")),
}


def test_line_reads_back_as_the_same_words() -> None:
    """A shell splits the line into exactly the words that are meant."""
    words = shlex.split(format_docker_run(FULL).replace("\\\n", ""))
    assert words[:2] == ["docker", "run"]
    image = words.index("org/image:1")
    assert words[image + 1 :] == ["-m", "server", *FULL.command]
    assert words[words.index("--entrypoint") + 1] == "python3"
    assert "A=1 2" in words
    assert words[words.index("-p") + 1] == "127.0.0.1:0:8000"


def test_line_breaks_where_an_option_begins() -> None:
    """Each option has a line of its own, so that people can read and edit it."""
    lines = format_docker_run(PLAIN).split(" \\\n  ")
    assert lines[0] == "docker run --rm --init"
    assert lines[-3:-1] == ["org/image:1", "/model"]
    assert lines[-1].startswith("--flag ")


def test_secrets_are_named_and_never_shown() -> None:
    """The line passes secrets by name."""
    words = shlex.split(format_docker_run(PLAIN).replace("\\\n", ""))
    passed = [words[i + 1] for i, word in enumerate(words) if word == "-e"]
    assert passed == ["HF_TOKEN", "VLLM_API_KEY"]


def test_capabilities_are_those_that_are_needed() -> None:
    """Folders of users need one capability, named privileges theirs, and no other is kept."""
    assert container_capabilities(PLAIN) == ()
    mounted = dataclasses.replace(PLAIN, mounts=(Mount(Path("/m"), "/m", read_only=True),))
    assert container_capabilities(mounted) == ("DAC_OVERRIDE",)
    assert container_capabilities(VARIANTS["privileges"]) == ("SYS_PTRACE", "SYS_NICE")


def test_nothing_is_granted_without_being_asked_for() -> None:
    """The plain request holds no privilege."""
    host = host_request(PLAIN)
    assert host["cap_drop"] == ["ALL"]
    assert host["cap_add"] == []
    assert host["security_opt"] == ["no-new-privileges"]
    assert host.keys().isdisjoint({"privileged", "network_mode", "ipc_mode", "device_requests"})


_COMPARED = (
    "Binds", "CapAdd", "CapDrop", "CpusetCpus", "DeviceRequests", "Devices", "GroupAdd", "Init",
    "IpcMode", "Memory", "MemorySwap", "Mounts", "Privileged", "SecurityOpt", "ShmSize",
    "Ulimits",
)  # fmt: skip


def essence(inspect: dict[str, Any]) -> dict[str, Any]:
    """Return what matters of a container, in a form that both ways of asking share."""
    host, config = inspect["HostConfig"], inspect["Config"]
    seen = {key: host.get(key) or None for key in _COMPARED}
    if seen["DeviceRequests"]:
        seen["DeviceRequests"] = [request["DeviceIDs"] for request in seen["DeviceRequests"]]
    if seen["Mounts"]:
        seen["Mounts"] = [
            (item["Source"], item["Target"], bool(item.get("ReadOnly"))) for item in seen["Mounts"]
        ]
    seen["SecurityOpt"] = sorted(
        option.removesuffix(":true") for option in seen["SecurityOpt"] or ()
    )
    seen["PortBindings"] = {
        port: [(item["HostIp"], item["HostPort"] or "0") for item in bindings]
        for port, bindings in (host["PortBindings"] or {}).items()
    }
    seen["HostNetwork"] = host["NetworkMode"] == "host"
    # Newer clients send the kernel's spelling.
    added = sorted(name.removeprefix("CAP_") for name in host["CapAdd"] or ())
    seen["CapAdd"] = added
    # The shell line can only split them behind the first word.
    command = config["Entrypoint"] + config["Cmd"]
    return seen | {"Command": command, "Env": sorted(config["Env"])}


@pytest.mark.docker
@pytest.mark.parametrize("name", VARIANTS)
def test_line_and_request_give_the_same_container(
    name: str, fake_image: str, run_id: str, tmp_path: Path
) -> None:
    """Who runs the printed line by hand gets the container that the engine made."""
    folder = tmp_path / 'a,b "c" d'
    folder.mkdir()
    mounts = (Mount(folder, "/x", read_only=True), Mount(tmp_path, "/y", read_only=False))
    spec = dataclasses.replace(VARIANTS[name], image=fake_image, mounts=mounts)
    labels, secrets = {RUN_LABEL: run_id}, {"HF_TOKEN": "t0k3n", spec.api_key_variable: "k3y-k3y"}
    create = format_docker_run(spec).replace(
        "docker run --rm", f"docker create --label {RUN_LABEL}={run_id} --name {run_id}-by-hand", 1
    )
    by_hand = subprocess.run(
        ["/bin/sh", "-c", create], env=os.environ | secrets, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert by_hand.returncode == 0, by_hand.stderr
    with Daemon() as daemon:
        request = create_request(spec, name=f"{run_id}-by-api", labels=labels, secrets=secrets)
        daemon.create(request, host_request(spec), attempt="test")
        names = (f"{run_id}-by-hand", f"{run_id}-by-api")
        hand, api = (daemon.inspect(each, attempt="test") for each in names)
        for each in names:
            daemon.remove(each, attempt="test")
    assert hand is not None
    assert api is not None
    assert essence(hand) == essence(api)
