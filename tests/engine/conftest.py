"""Fixtures of the engine's tests: an image, engines that are always closed, a registry."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.engine.docker import DockerEngine
from hwval.engine.docker_client import Daemon
from hwval.engine.docker_labels import RUN_LABEL
from hwval.engine.spec import EngineSpec
from hwval.engine.spec import LeasedDevices
from hwval.engine.spec import build_spec
from tests.engine.registry import Registry

REPOSITORY = Path(__file__).parents[2]
FAKE_IMAGE = "hwval/fake-vllm:0.32.0"


@pytest.fixture(scope="session")
def fake_image() -> str:
    """Image of the fault-injecting engine, made if it is not there or not up to date."""
    made = subprocess.run(
        [REPOSITORY / "scripts" / "images", "fake"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return FAKE_IMAGE


@pytest.fixture
def run_id() -> Iterator[str]:
    """Name of a run of this test's own; what the test left of it is removed and told."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    with Daemon() as daemon:
        left = daemon.list_containers({RUN_LABEL: name})
        for container in left:
            daemon.remove(container.container_id, attempt="clean up a test")
    assert left == (), "the test left containers"


@pytest.fixture
def fake_spec(fake_image: str) -> Callable[..., EngineSpec]:
    """Makes the spec of a fake engine that plays a scenario, with fields replaced."""

    def make(scenario: dict[str, Any] | None = None, **lease: Any) -> EngineSpec:
        cell = Cell(
            "cpu", 1, fake_image, "org/model", Dtype.FLOAT32,
            environment=(("FAKE_ENGINE", json.dumps(scenario or {})),),
        )  # fmt: skip
        devices = LeasedDevices(**lease)
        return build_spec(cell, vendor="cpu", serve=(), model_argument="/model", lease=devices)

    return make


@pytest.fixture
def engine_of(
    tmp_path: Path, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., DockerEngine]]:
    """Makes engines that are closed after the test; no token of this machine reaches them."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    engines: list[DockerEngine] = []

    def make(spec: EngineSpec, **options: Any) -> DockerEngine:
        log_path = tmp_path / "logs" / f"{len(engines)}.log"
        options = {"run_id": run_id} | options
        engines.append(DockerEngine(spec, log_path=log_path, **options))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    """An image registry on loopback that serves one small image."""
    with Registry() as serving:
        yield serving
