"""Fixtures of the project's own tests: a Docker daemon, or one visible line that there is none.

pytest loads this file for hardware runs too, which need nothing of it, nor Hypothesis.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import pytest

from fixtures.options import is_hardware_run
from hwval.engine.docker_client import Daemon
from hwval.errors import LabError

REQUIRE_DOCKER = "HWVAL_REQUIRE_DOCKER"


@cache
def missing_docker() -> str | None:
    """Return why no Docker daemon can be used, None if one answers."""
    try:
        with Daemon(call_s=5):
            return None
    except LabError as error:
        return str(error).splitlines()[0]


def pytest_configure(config: pytest.Config) -> None:
    """Set up Hypothesis; refuse to run without Docker where it is required."""
    if is_hardware_run(config):
        return
    from hypothesis import settings

    # No test judges by the clock: how long an example takes says how busy the machine is.
    settings.register_profile("hwval", deadline=None)
    settings.load_profile("hwval")
    if os.environ.get(REQUIRE_DOCKER) == "1" and (reason := missing_docker()):
        raise pytest.UsageError(f"{REQUIRE_DOCKER}=1, but no Docker daemon answers: {reason}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs Docker where none answers."""
    needy = [item for item in items if item.get_closest_marker("docker")]
    reason = missing_docker() if needy else None
    if reason is None:
        return
    config.stash[_SKIPPED] = f"{len(needy)} Docker tests skipped: {reason}"
    for item in needy:
        item.add_marker(pytest.mark.skip(reason=f"no Docker daemon: {reason}"))


_SKIPPED = pytest.StashKey[str]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say in one line that Docker tests were skipped."""
    line = config.stash.get(_SKIPPED, None)
    if line is not None:
        terminalreporter.write_line(line, yellow=True, bold=True)


# They share a daemon, and some start runs that remove what dead runs left there.
_IN_ONE_WORKER = ("tests/engine/", "tests/fixtures/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker whole files, since what they share is made once a session."""
    if is_hardware_run(config):
        return None
    from xdist.scheduler import LoadScopeScheduling

    class FileScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist is not typed for mypy
        """Groups tests by file, and those that start engines in containers."""

        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return next((part for part in _IN_ONE_WORKER if file.startswith(part)), file)

    return FileScheduling(config, log)
