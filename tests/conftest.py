"""Fixtures of the project's own tests: a Docker daemon, or one visible line that there is none."""

from __future__ import annotations

import os
from functools import cache

import pytest
from hypothesis import settings

from hwval.engine.docker_client import Daemon
from hwval.errors import LabError

REQUIRE_DOCKER = "HWVAL_REQUIRE_DOCKER"

# No test judges by the clock: how long an example takes says how busy the machine is.
settings.register_profile("hwval", deadline=None)
settings.load_profile("hwval")


@cache
def missing_docker() -> str | None:
    """Return why no Docker daemon can be used, None if one answers."""
    try:
        with Daemon(call_s=5):
            return None
    except LabError as error:
        return str(error).splitlines()[0]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs Docker where none answers; with HWVAL_REQUIRE_DOCKER=1 fail instead."""
    needy = [item for item in items if item.get_closest_marker("docker")]
    reason = missing_docker() if needy else None
    if reason is None:
        return
    if os.environ.get(REQUIRE_DOCKER) == "1":
        raise pytest.UsageError(f"{REQUIRE_DOCKER}=1, but no Docker daemon answers: {reason}")
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
