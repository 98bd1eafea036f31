"""The venv engine: its process, environment, port and end, played by the fault-injecting engine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hwval import client
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.engine.processes import EngineProcesses
from hwval.engine.processes import find_processes
from hwval.engine.processes import reap_processes
from hwval.engine.spec import LeasedDevices
from hwval.engine.venv import VenvEngine
from hwval.engine.wait import wait_until_ready
from hwval.errors import EngineExited
from hwval.errors import HostError
from hwval.errors import ResponseError

ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., VenvEngine]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment whose `vllm` is the fault-injecting engine."""
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    python = folder / "python"
    python.write_text('#!/bin/sh\nexec "$@"\n')
    python.chmod(0o755)
    (folder / "vllm").symlink_to(ROOT / "tests/fakes/bin/vllm")
    return folder.parent


def make_cell(scenario: dict[str, object]) -> Cell:
    variables = (("FAKE_ENGINE", json.dumps(scenario)), ("FAKE_ENGINE_PYTHON", sys.executable))
    return Cell("cpu", 1, "venv:fake", "synthetic:llama", Dtype.BFLOAT16, environment=variables)


@pytest.fixture
def make(tmp_path: Path, environment: Path) -> Iterator[Make]:
    """Make engines, and end them however the test ends."""
    engines: list[VenvEngine] = []

    def make_engine(
        scenario: dict[str, object] | None = None,
        *,
        lease: LeasedDevices | None = None,
        **host: str,
    ) -> VenvEngine:
        engine = VenvEngine(
            make_cell(scenario or {}),
            environment=environment,
            model_argument="/models/tiny",
            lease=lease or LeasedDevices(),
            log_path=tmp_path / "logs" / "engine.log",
            cache_dir=tmp_path / "cache",
            host_environment={"PATH": os.environ["PATH"], "HOME": "/home/me", **host},
        )
        engines.append(engine)
        return engine

    yield make_engine
    for engine in engines:
        engine.close()


def records(tmp_path: Path) -> list[EngineProcesses]:
    files = sorted((tmp_path / "cache" / "processes").glob("*.json"))
    return [EngineProcesses(**json.loads(file.read_text())) for file in files]


def until(condition: Callable[[], bool]) -> bool:
    """Wait up to 20 s for something that other processes do."""
    deadline_s = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return condition()


def test_engine_serves_and_ends_without_a_trace(make: Make, tmp_path: Path) -> None:
    """It answers with the cell's model; after close no process and no record is left."""
    engine = make()
    engine.start()
    wait_until_ready(engine, cell_id="c", deadline_s=30, poll_s=0.05)
    (record,) = records(tmp_path)

    assert [model.id for model in client.list_models(engine.endpoint())] == ["synthetic:llama"]
    assert engine.state().running
    assert (engine.state().cpu_s or 0) > 0
    assert engine.log_path is not None
    assert "Application startup complete." in engine.log_path.read_text()

    engine.close()
    engine.close()

    assert find_processes(record) == []
    assert records(tmp_path) == []
    assert not engine.state().running


def test_engine_asks_for_its_key(make: Make) -> None:
    """A client without the key of this engine is refused."""
    engine = make()
    engine.start()
    wait_until_ready(engine, cell_id="c", deadline_s=30, poll_s=0.05)
    stranger = type(engine.endpoint())(engine.endpoint().base_url, "another")

    with pytest.raises(ResponseError, match="status 401"):
        client.list_models(stranger)


def test_death_carries_its_exit_code(make: Make) -> None:
    """The command's own exit status comes through."""
    engine = make({"die_at": "weights", "die_exit_code": 7, "die_log": "RuntimeError: no"})
    engine.start()

    with pytest.raises(EngineExited, match="exited with code 7 after") as caught:
        wait_until_ready(engine, cell_id="c", deadline_s=30, poll_s=0.05)

    assert caught.value.exit_code == 7
    assert engine.autopsy().state.exit_code == 7


def test_death_by_a_signal_is_told_as_containers_tell_it(make: Make) -> None:
    """Signal N is exit code 128 + N in every kind of engine."""
    engine = make({"die_at": "boot", "die_signal": "SIGSEGV"})
    engine.start()

    with pytest.raises(EngineExited, match="exited with code 139"):
        wait_until_ready(engine, cell_id="c", deadline_s=30, poll_s=0.05)


def test_engine_that_ignores_sigterm_is_killed(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its grace it gets SIGKILL, and close waits until it is gone."""
    monkeypatch.setattr("hwval.engine.venv._CLOSE_GRACE_S", 0.1)
    engine = make({"ignore_sigterm": True})
    engine.start()
    wait_until_ready(engine, cell_id="c", deadline_s=30, poll_s=0.05)
    (record,) = records(tmp_path)

    engine.close()

    assert find_processes(record) == []
    assert engine.state().exit_code == 137


def test_port_stays_reserved_until_the_engine_takes_it(make: Make) -> None:
    """Nobody who asks for any free port gets the engine's, and a plain server cannot bind it."""
    engine = make({"hang_at": "boot"})
    engine.start()
    port = int(engine.endpoint().base_url.rpartition(":")[2])

    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(("127.0.0.1", port))


def test_host_environment_is_not_passed_on(make: Make, tmp_path: Path) -> None:
    """Only what the engine needs, and secrets that are named."""
    engine = make(
        {"hang_at": "boot"},
        HF_TOKEN="hf_named",
        HF_HUB_CACHE="/hub",
        AWS_SECRET_ACCESS_KEY="aws",
        HF_OTHER_TOKEN="hf_other",
        PYTHONPATH="/mine",
        https_proxy="http://me:pass@proxy",
        http_proxy="http://proxy",
    )
    engine.start()
    (record,) = records(tmp_path)
    assert until(lambda: len(find_processes(record)) > 1)
    variables = psutil.Process(record.leader).environ()

    assert variables["HF_TOKEN"] == "hf_named"
    assert variables["HF_HUB_CACHE"] == "/hub"
    assert variables["http_proxy"] == "http://proxy"
    assert not {"AWS_SECRET_ACCESS_KEY", "HF_OTHER_TOKEN", "PYTHONPATH", "https_proxy"} & set(
        variables
    )


def test_command_line_names_secrets_and_holds_none(make: Make, environment: Path) -> None:
    """A line to paste: variables, pinned processors, command; the key and tokens by name."""
    engine = make(lease=LeasedDevices(cpus=(0, 1)), HF_TOKEN="hf_named")

    line = engine.command_line

    assert 'HF_TOKEN="$HF_TOKEN" VLLM_API_KEY="$VLLM_API_KEY" taskset -c 0,1 ' in line
    assert f"{environment}/bin/vllm serve /models/tiny --host 127.0.0.1 --port 8000" in line
    assert "hf_named" not in line
    assert engine.endpoint().api_key not in line


def test_secret_is_taken_out_of_the_log(make: Make) -> None:
    """What the engine printed of its key is gone once it is closed."""
    engine = make({"hang_at": "boot"})
    engine.start()
    assert engine.log_path is not None
    with engine.log_path.open("a") as log:
        log.write(f"key={engine.endpoint().api_key}\n")

    engine.close()

    assert "key=[secret]" in engine.log_path.read_text()


def test_missing_environment_is_the_labs_fault(make: Make, environment: Path) -> None:
    """Nothing is started; the message says what to do."""
    (environment / "bin" / "python").unlink()
    engine = make()

    with pytest.raises(HostError, match=r"no .*/bin/python \(remove .*, so it is made anew\)"):
        engine.start()


def test_engine_runs_on_its_processors(make: Make, tmp_path: Path) -> None:
    """The lease's processors hold for the engine and everything below it."""
    cpu = min(os.sched_getaffinity(0))
    engine = make({"hang_at": "boot"}, lease=LeasedDevices(cpus=(cpu,)))
    engine.start()
    (record,) = records(tmp_path)

    assert until(lambda: os.sched_getaffinity(record.leader) == {cpu})


OWNER = """
    import json, os, sys
    from pathlib import Path
    from hwval.engine.spec import LeasedDevices
    from hwval.engine.venv import VenvEngine
    from hwval.engine.wait import wait_until_ready
    from tests.engine.test_venv import make_cell

    folder = Path(sys.argv[1])
    engine = VenvEngine(
        make_cell({}), environment=folder / "env", model_argument="m", lease=LeasedDevices(),
        log_path=folder / "engine.log", cache_dir=folder / "cache",
    )
    engine.start()
    wait_until_ready(engine, cell_id="c", deadline_s=30)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path: Path, environment: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs an engine."""
    assert environment.exists()
    command = [sys.executable, "-c", textwrap.dedent(OWNER), str(tmp_path)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()
        process.wait()


def test_engine_dies_with_its_owner(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    """After kill -9 of the run nothing of the engine stays, and the next start forgets it."""
    (record,) = records(tmp_path)
    owner.kill()
    owner.wait()

    assert until(lambda: find_processes(record) == [])
    assert reap_processes(tmp_path / "cache") == []
    assert records(tmp_path) == []


def test_reaper_leaves_engines_of_living_runs_alone(
    owner: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Another run on the same machine keeps its engine."""
    (record,) = records(tmp_path)

    assert reap_processes(tmp_path / "cache") == []
    assert find_processes(record) != []
    assert owner.poll() is None


def test_reaper_ends_what_outlived_even_the_keeper(
    owner: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Run and keeper both killed: the record on disk still leads to the engine."""
    (record,) = records(tmp_path)
    for pid in (owner.pid, record.leader):
        os.kill(pid, signal.SIGSTOP)
    for pid in (record.leader, owner.pid):
        os.kill(pid, signal.SIGKILL)
    owner.wait()
    assert until(lambda: not psutil.pid_exists(record.leader))
    assert find_processes(record) != []

    (line,) = reap_processes(tmp_path / "cache")

    assert line.startswith(record.name)
    assert find_processes(record) == []
