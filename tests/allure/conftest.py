"""Runs with their Allure results."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwval.allure import write_allure
from hwval.pictures import draw_pictures
from hwval.result import Run
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import measured_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The run with every outcome, with logs."""
    run = all_outcomes(tmp_path / "run")
    (run.folder / "logs").mkdir(parents=True)
    for engine in run.engines:
        (run.folder / str(engine.log)).write_text("a line of the log\n")
    return run


@pytest.fixture
def out(run: Run, tmp_path: Path) -> Path:
    """Its Allure results."""
    write_allure(run, tmp_path / "allure-results")
    return tmp_path / "allure-results"


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run that measured speed, accuracy and capabilities."""
    folder = tmp_path_factory.mktemp("run")
    run = measured_run(folder)
    draw_pictures(run)
    for engine in run.engines:
        log = folder / str(engine.log)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("a line of the log\n")
    write_allure(run, folder / "out")
    return folder / "out"
