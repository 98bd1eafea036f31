"""What the daemon says of itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import NotFound

from hwval.engine.docker_client import Daemon
from hwval.errors import DaemonError
from hwval.host import Docker


def daemon_that_says(monkeypatch: pytest.MonkeyPatch, info: dict[str, Any]) -> Daemon:
    """Return a connection to a daemon that tells these facts of itself."""
    daemon = object.__new__(Daemon)
    monkeypatch.setattr(daemon, "address", "unix:///x", raising=False)
    answers = SimpleNamespace(
        info=lambda: info,
        version=lambda: {"Version": "28.2.2", "ApiVersion": "1.50"},
        images=lambda: [
            {"RepoTags": ["vllm/vllm-openai:v0.32.0"]},
            {"RepoTags": ["<none>:<none>"]},
            {"RepoTags": None},
        ],
    )
    monkeypatch.setattr(daemon, "_api", answers, raising=False)
    return daemon


def daemon_with_logs(
    monkeypatch: pytest.MonkeyPatch, followed: list[bytes], at_rest: list[bytes] | Exception
) -> Daemon:
    """Return a connection to a daemon that tells a log in these parts."""

    def logs(container: str, *, stream: bool, follow: bool, tail: int | str = "all") -> list[bytes]:
        assert (container, stream) == ("abc", True)
        if follow:
            return followed
        if isinstance(at_rest, Exception):
            raise at_rest
        assert isinstance(tail, int)
        return at_rest[-tail:]

    daemon = daemon_that_says(monkeypatch, {})
    monkeypatch.setattr(daemon._api, "logs", logs, raising=False)
    return daemon


@pytest.mark.parametrize("followed", [[b"one\n"], [b"on", b"e\n"], [], [b"one\nlast"]])
@pytest.mark.parametrize("at_rest", [[b"one\n", b"last"], [b"one\nlast"], [b"one\nla", b"st"]])
def test_last_line_that_is_not_followed_to_is_read_at_rest(
    monkeypatch: pytest.MonkeyPatch, followed: list[bytes], at_rest: list[bytes]
) -> None:
    """However both are cut; nothing comes twice."""
    daemon = daemon_with_logs(monkeypatch, followed, at_rest)

    assert b"".join(daemon.follow_log("abc")) == b"one\nlast"


@pytest.mark.parametrize("missing", range(3))
def test_end_of_a_long_log_is_read_without_all_before_it(
    monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    """The daemon tells a few MB a second: a log of an hour would come long after its engine."""
    parts = [b"%d\n" % number for number in range(1000)]
    daemon = daemon_with_logs(monkeypatch, parts[: len(parts) - missing], parts)

    assert list(daemon.follow_log("abc")) == parts


def test_end_of_a_log_that_was_rotated_meanwhile_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker stops to follow where a file ends that the next one replaces too early."""
    daemon = daemon_with_logs(monkeypatch, [b"1\n", b"2\n"], [b"7\n", b"8\n", b"last"])

    assert b"".join(daemon.follow_log("abc")) == b"1\n2\n7\n8\nlast"


def test_log_of_a_container_that_is_gone_is_what_was_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Someone removed it meanwhile."""
    daemon = daemon_with_logs(monkeypatch, [b"one\n"], NotFound("no such container"))

    assert list(daemon.follow_log("abc")) == [b"one\n"]


def test_daemon_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runtimes, CDI, rootless, control groups, folder, images."""
    info = {
        "Runtimes": {"runc": {}, "nvidia": {}},
        "DefaultRuntime": "nvidia",
        "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"],
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"],
        "CgroupVersion": "2",
        "DockerRootDir": "/home/u/.local/share/docker",
    }

    assert daemon_that_says(monkeypatch, info).describe() == Docker(
        address="unix:///x",
        version="28.2.2",
        api_version="1.50",
        runtimes=("nvidia", "runc"),
        default_runtime="nvidia",
        cdi_folders=("/etc/cdi", "/var/run/cdi"),
        rootless=True,
        cgroup_version="2",
        root="/home/u/.local/share/docker",
        images=("vllm/vllm-openai:v0.32.0",),
    )


def test_older_daemon_leaves_things_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker 20.10 says null where Docker 28 has folders."""
    told = daemon_that_says(
        monkeypatch, {"CDISpecDirs": None, "SecurityOptions": ["name=seccomp,profile=default"]}
    ).describe()

    assert (told.rootless, told.cdi_folders, told.runtimes) == (False, (), ())


def test_real_daemon_tells_its_version() -> None:
    """The one of this machine."""
    with Daemon() as daemon:
        told = daemon.describe()

    assert told.version
    assert told.address == daemon.address
    assert "runc" in " ".join(told.runtimes)


def test_missing_daemon_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with what to do, which the doctor tells as the remedy."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")

    with pytest.raises(DaemonError, match=r"\. Start Docker \(systemctl start docker\)"):
        Daemon()
