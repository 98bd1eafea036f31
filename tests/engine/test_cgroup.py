"""Processor time from both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwval.engine.cgroup import container_cpu_s

ID = "c0ffee" * 8


@pytest.fixture
def host(tmp_path: Path) -> tuple[Path, Path]:
    proc, root = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "7").mkdir(parents=True)
    root.mkdir()
    return proc, root


def test_version_1(host: tuple[Path, Path]) -> None:
    """Version 1 counts nanoseconds under the controller's own folder."""
    proc, root = host
    (proc / "7" / "cgroup").write_text(f"12:cpu:/docker/{ID}\n4:cpuacct:/docker/{ID}\n0::/\n")
    (root / "cpuacct" / "docker" / ID).mkdir(parents=True)
    (root / "cpuacct" / "docker" / ID / "cpuacct.usage").write_text("1500000000\n")
    assert container_cpu_s(ID, 7, proc=proc, root=root) == 1.5


def test_version_2(host: tuple[Path, Path]) -> None:
    """Version 2 counts microseconds in the one hierarchy."""
    proc, root = host
    scope = f"system.slice/docker-{ID}.scope"
    (proc / "7" / "cgroup").write_text(f"0::/{scope}\n")
    (root / scope).mkdir(parents=True)
    (root / scope / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    assert container_cpu_s(ID, 7, proc=proc, root=root) == 2.5


def test_process_of_another_host_is_not_taken_for_ours(host: tuple[Path, Path]) -> None:
    """A process that merely has the number of a far container's process tells nothing."""
    proc, root = host
    (proc / "7" / "cgroup").write_text("0::/user.slice\n")
    assert container_cpu_s(ID, 7, proc=proc, root=root) is None


def test_process_that_is_gone(host: tuple[Path, Path]) -> None:
    """A container that has ended has no answer, and no error."""
    proc, root = host
    assert container_cpu_s(ID, 8, proc=proc, root=root) is None
