"""Commands beside an engine: in its container, or in its environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.engine.base import Workbench
from hwval.engine.docker import DockerEngine
from hwval.engine.external import ExternalEngine
from hwval.engine.spec import EngineSpec
from hwval.engine.spec import LeasedDevices
from hwval.engine.venv import VenvEngine

SHOW = 'echo "key $OPENAI_API_KEY, $0 $1"'


@pytest.fixture
def venv(tmp_path: Path) -> VenvEngine:
    """An engine that was never started, whose `vllm` says what it is asked for."""
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    for name, text in (("python", 'exec "$@"'), ("vllm", 'echo "own $* for $OPENAI_API_KEY"')):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    (tmp_path / "logs").mkdir()
    return VenvEngine(
        Cell("cpu", 1, "venv:fake", "synthetic:llama", Dtype.BFLOAT16),
        environment=folder.parent,
        model_argument="/models/tiny",
        lease=LeasedDevices(cpus=(min(os.sched_getaffinity(0)),)),
        log_path=tmp_path / "logs" / "engine.log",
        cache_dir=tmp_path / "cache",
        host_environment={"PATH": os.environ["PATH"], "HF_TOKEN": "the-token"},
    )


def test_environment_runs_its_own_vllm(venv: VenvEngine) -> None:
    """With the engine's key, which is in no output."""
    done = venv.run_beside(["vllm", "bench", "serve"], 20)

    assert done.exit_code == 0
    assert done.output.startswith("own bench serve for ")
    assert venv.endpoint().api_key not in done.output


def test_environment_runs_commands_on_the_engines_processors(venv: VenvEngine) -> None:
    """As the engine itself would run."""
    done = venv.run_beside(["grep", "Cpus_allowed_list", "/proc/self/status"], 20)

    assert done.output.split() == ["Cpus_allowed_list:", str(min(os.sched_getaffinity(0)))]


def test_secrets_are_taken_out_of_the_output(venv: VenvEngine) -> None:
    """Whatever a command prints."""
    done = venv.run_beside(["sh", "-c", 'echo "$HF_TOKEN"; exit 3'], 20)

    assert done.exit_code == 3
    assert "the-token" not in done.output


def test_command_that_takes_too_long_is_ended(venv: VenvEngine) -> None:
    """With what it split off; what it had printed is kept."""
    done = venv.run_beside(["sh", "-c", "echo begun; sleep 600 & wait"], 1)

    assert (done.exit_code, done.output) == (124, "begun\n")


def test_command_that_is_not_there(venv: VenvEngine) -> None:
    """Its exit status is a shell's."""
    assert venv.run_beside(["no-such-command"], 20).exit_code == 127


def test_running_server_is_no_place_for_commands(venv: VenvEngine) -> None:
    """Both of our own engines are one."""
    assert isinstance(venv, Workbench)
    assert not isinstance(ExternalEngine("http://127.0.0.1:1"), Workbench)


@pytest.mark.docker
def test_container_runs_commands(
    fake_spec: Callable[..., EngineSpec], engine_of: Callable[..., DockerEngine]
) -> None:
    """Inside, where the engine's port is the container's."""
    engine = engine_of(fake_spec())
    engine.start()
    shown = engine.run_beside(["sh", "-c", SHOW, "name", "word"], 20)
    late = engine.run_beside(["sh", "-c", "echo begun; sleep 600"], 1)
    missing = engine.run_beside(["no-such-command"], 20)

    assert isinstance(engine, Workbench)
    assert (engine.beside_url, engine.model_argument) == ("http://127.0.0.1:8000", "/model")
    assert shown.exit_code == 0
    assert shown.output.endswith(", name word\n")
    assert engine.endpoint().api_key not in shown.output
    assert (late.exit_code, late.output) == (124, "begun\n")
    assert missing.exit_code == 127


@pytest.mark.docker
def test_idle_container_serves_nothing_and_runs_commands(
    fake_spec: Callable[..., EngineSpec], engine_of: Callable[..., DockerEngine]
) -> None:
    """The engine's own command stays as words that nobody reads."""
    spec = replace(fake_spec(), entrypoint=("sh", "-c", "exec sleep infinity"))
    engine = engine_of(spec)
    engine.start()
    done = engine.run_beside(["sh", "-c", "cat /proc/*/comm"], 20)

    assert engine.model_argument == "/model"
    assert "sleep" in done.output.split()
    assert "python" not in done.output
