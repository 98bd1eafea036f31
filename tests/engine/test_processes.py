"""Finding and ending the processes of an engine, also those that try to get away."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hwval.engine.processes import TOKEN_VARIABLE
from hwval.engine.processes import EngineProcesses
from hwval.engine.processes import cpu_seconds
from hwval.engine.processes import end_processes
from hwval.engine.processes import find_processes
from hwval.engine.processes import reap_processes

# Splits off a worker in a session of its own and says both process ids once they run. It works
# until the kernel's clock of processes, which counts in hundredths of a second, has seen it.
PARENT = """
import os, subprocess, sys, time
while os.times().user < 0.05:
    pass
worker = subprocess.Popen(
    [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"],
    start_new_session=True, stdout=subprocess.PIPE)
worker.stdout.readline()
print(worker.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def family() -> Iterator[tuple[EngineProcesses, subprocess.Popen[str], int]]:
    """An engine of two processes; the second left the session of the first."""
    environment = os.environ | {TOKEN_VARIABLE: "abc123"}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        engine = EngineProcesses.of_child("cpu__x", parent.pid, "abc123")
        yield engine, parent, worker
        end_processes(engine, grace_s=0)


Family = tuple[EngineProcesses, subprocess.Popen[str], int]


def test_worker_in_another_session_is_found_and_ended(family: Family) -> None:
    """Descent leads to it while the first process lives."""
    engine, parent, worker = family

    assert {process.pid for process in find_processes(engine)} == {parent.pid, worker}
    assert cpu_seconds(engine) > 0
    assert end_processes(engine, grace_s=10)
    assert find_processes(engine) == []


def test_orphan_is_found_by_its_token(family: Family) -> None:
    """The first process is dead and the session another: the environment still tells."""
    engine, parent, worker = family
    parent.kill()
    parent.wait()

    assert [process.pid for process in find_processes(engine)] == [worker]


def test_reused_process_id_is_a_stranger(family: Family, tmp_path: Path) -> None:
    """A process that was started at another time is not the recorded one, nor is its session."""
    engine, parent, _ = family
    stranger = dataclasses.replace(
        engine, leader_started_s=engine.leader_started_s - 60, token="other", owner_started_s=0.0
    )
    stranger.save(tmp_path)

    assert find_processes(stranger) == []
    assert reap_processes(tmp_path) == []
    assert psutil.pid_exists(parent.pid)
    assert list((tmp_path / "processes").iterdir()) == []


def test_unreadable_record_is_left_alone(tmp_path: Path) -> None:
    """Another version's record is not ours to judge."""
    record = tmp_path / "processes" / "1-x.json"
    record.parent.mkdir()
    record.write_text('{"something": "else"}')

    assert reap_processes(tmp_path) == []
    assert record.exists()
