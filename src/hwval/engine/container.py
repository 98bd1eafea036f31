"""Says how an ``EngineSpec`` becomes a container: as a shell line and as an API request.

Both stand in one module so that a rule cannot be added to one and forgotten in the other.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final

from hwval.engine.spec import EngineSpec
from hwval.engine.spec import Mount

__all__ = ["container_capabilities", "create_request", "format_docker_run", "host_request"]

_MEMLOCK: Final = {"Name": "memlock", "Soft": -1, "Hard": -1}


def create_request(
    spec: EngineSpec, *, name: str, labels: Mapping[str, str], secrets: Mapping[str, str]
) -> dict[str, Any]:
    """Return the arguments of the API's create call, without its host part.

    Args:
        spec: The container.
        name: Container name.
        labels: Labels that the reaper goes by.
        secrets: Variables whose values are set here alone.
    """
    return {
        "image": spec.image,
        "name": name,
        "labels": dict(labels),
        "entrypoint": list(spec.entrypoint) if spec.entrypoint else None,
        "command": list(spec.command),
        "environment": dict(spec.environment) | dict(secrets),
        "ports": [] if "host-network" in spec.privileges else [spec.port],
    }


def host_request(spec: EngineSpec) -> dict[str, Any]:
    """Return the arguments of the API's host configuration."""
    host: dict[str, Any] = {
        "init": True,
        # The log is read back through the API, which not every driver can do.
        "log_config": {"Type": "json-file", "Config": {}},
        "mounts": [_bind(mount) for mount in spec.mounts],
        "devices": [f"{node}:{node}:rwm" for node in spec.devices],
        "group_add": [str(group) for group in spec.group_ids],
        "shm_size": spec.shm_bytes,
        "ipc_mode": "host" if spec.ipc_host else None,
        "ulimits": [_MEMLOCK] if spec.memlock_unlimited else None,
        "cpuset_cpus": spec.cpuset,
        "mem_limit": spec.memory_bytes,
        "memswap_limit": spec.memory_bytes,
        **_network(spec),
        **_security(spec),
    }
    if spec.nvidia_devices:
        ids = list(spec.nvidia_devices)
        host["device_requests"] = [{"device_ids": ids, "capabilities": [["gpu"]]}]
    return {key: value for key, value in host.items() if value is not None}


def _bind(mount: Mount) -> dict[str, Any]:
    source, target = str(mount.source), mount.target
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": mount.read_only}


def _network(spec: EngineSpec) -> dict[str, Any]:
    if "host-network" in spec.privileges:
        return {"network_mode": "host"}
    return {"port_bindings": {spec.port: ("127.0.0.1", None)}}


def _security(spec: EngineSpec) -> dict[str, Any]:
    options = ["seccomp=unconfined"] if "seccomp-unconfined" in spec.privileges else []
    if "privileged" in spec.privileges:
        return {"privileged": True, "security_opt": options}
    return {
        "cap_drop": ["ALL"],
        "cap_add": list(container_capabilities(spec)),
        "security_opt": ["no-new-privileges", *options],
    }


def container_capabilities(spec: EngineSpec) -> tuple[str, ...]:
    """Return the Linux capabilities that the container keeps; all others are dropped."""
    kept = []
    # Without it root in the container can neither read nor write a user's private folders. The
    # narrower DAC_READ_SEARCH is no better choice: it opens any file of the host by its handle.
    if spec.mounts:
        kept.append("DAC_OVERRIDE")
    if "ptrace" in spec.privileges:
        kept.append("SYS_PTRACE")
    if "sys-nice" in spec.privileges:
        kept.append("SYS_NICE")
    return tuple(kept)


def format_docker_run(spec: EngineSpec) -> str:
    """Return the ``docker run`` line that reproduces ``spec`` by hand; secrets go by name."""
    entrypoint = spec.entrypoint or ()
    lines = [
        ["docker", "run", "--rm", "--init"],
        *_isolation_options(spec),
        *_device_options(spec),
        *([option, value] for option, value in _limit_options(spec)),
        *(["--mount", _mount_option(mount)] for mount in spec.mounts),
        *(["-e", f"{name}={value}"] for name, value in spec.environment),
        *(["-e", name] for name in (*spec.secret_names, spec.api_key_variable)),
        *([["--entrypoint", entrypoint[0]]] if entrypoint else []),
        [spec.image, *entrypoint[1:]],
        # A flag and its value stand on one line.
        *_flag_lines(spec.command),
    ]
    return " \\\n  ".join(shlex.join(line) for line in lines if line)


def _isolation_options(spec: EngineSpec) -> list[list[str]]:
    published = [["-p", f"127.0.0.1:0:{spec.port}"]]
    network = [["--network", "host"]] if "host-network" in spec.privileges else published
    seccomp = "seccomp-unconfined" in spec.privileges
    unconfined = [["--security-opt", "seccomp=unconfined"]] if seccomp else []
    if "privileged" in spec.privileges:
        return [["--privileged"], *unconfined, *network]
    kept = [["--cap-add", name] for name in container_capabilities(spec)]
    locked = [["--cap-drop", "ALL"], *kept, ["--security-opt", "no-new-privileges"]]
    return [*locked, *unconfined, *network]


def _device_options(spec: EngineSpec) -> list[list[str]]:
    nvidia = ",".join(spec.nvidia_devices)
    return [
        *(["--device", node] for node in spec.devices),
        *(["--group-add", str(group)] for group in spec.group_ids),
        # The inner quotes belong to docker's own grammar: a comma would end the value.
        *([["--gpus", f'"device={nvidia}"']] if nvidia else []),
    ]


def _limit_options(spec: EngineSpec) -> list[tuple[str, str]]:
    values: list[tuple[str, str | int | None]] = [
        ("--ipc", "host" if spec.ipc_host else None),
        ("--shm-size", spec.shm_bytes),
        ("--ulimit", "memlock=-1:-1" if spec.memlock_unlimited else None),
        ("--cpuset-cpus", spec.cpuset),
        ("--memory", spec.memory_bytes),
        ("--memory-swap", spec.memory_bytes),
    ]
    return [(option, str(value)) for option, value in values if value is not None]


def _mount_option(mount: Mount) -> str:
    fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    fields += ["readonly"] if mount.read_only else []
    # docker reads the option as one line of CSV.
    return ",".join(_csv_field(field) for field in fields)


def _csv_field(text: str) -> str:
    special = any(character in text for character in ',"\n')
    return '"' + text.replace('"', '""') + '"' if special else text


def _flag_lines(words: Sequence[str]) -> list[list[str]]:
    lines: list[list[str]] = [[]]
    for word in words:
        if word.startswith("--"):
            lines.append([])
        lines[-1].append(word)
    return lines
