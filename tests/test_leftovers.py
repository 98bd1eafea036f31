"""Leftovers of dead runs are removed, with or without a Docker daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwval import leftovers
from hwval.errors import DaemonError
from hwval.errors import HostError


def test_both_kinds_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes first, then containers, one line each."""
    monkeypatch.setattr(leftovers, "reap_processes", lambda folder: [f"process in {folder.name}"])
    monkeypatch.setattr(leftovers, "reap", lambda: ["container a"])

    assert leftovers.reap_leftovers(tmp_path) == [f"process in {tmp_path.name}", "container a"]


def test_without_a_daemon_there_are_no_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without Docker cleans up its processes and says nothing of containers."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    assert leftovers.reap_leftovers(tmp_path) == []


def test_other_trouble_of_the_lab_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the absence of a daemon is no news."""

    def refuse() -> list[str]:
        raise HostError("read the socket: permission denied")

    monkeypatch.setattr(leftovers, "reap", refuse)
    with pytest.raises(HostError, match="permission denied"):
        leftovers.reap_leftovers(tmp_path)
    assert not issubclass(HostError, DaemonError)
