"""The keeper: exit statuses, and the end of everything with the end of the pipe."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hwval.engine import keeper


def run_keeper(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command under the keeper until it ends by itself."""
    reading_end, writing_end = os.pipe()
    try:
        return subprocess.run(
            [sys.executable, "-I", "-S", str(keeper.__file__), str(reading_end), "-", *command],
            pass_fds=(reading_end,),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(reading_end)
        os.close(writing_end)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        pytest.param("exit 0", 0, id="success"),
        pytest.param("exit 3", 3, id="failure"),
        pytest.param("kill -9 $$", 137, id="killed"),
        pytest.param("kill -TERM $$", 143, id="terminated"),
    ],
)
def test_status_is_the_commands(script: str, status: int) -> None:
    """Signals become 128 + N, as shells and containers tell them."""
    assert run_keeper(["sh", "-c", script]).returncode == status


def test_missing_command_is_said(tmp_path: Path) -> None:
    """What cannot be run is named on standard error, which is the engine's log."""
    result = run_keeper([str(tmp_path / "nothing")])

    assert result.returncode == 127
    assert result.stderr == f"{tmp_path}/nothing: No such file or directory\n"


def test_end_of_the_pipe_ends_everything() -> None:
    """A detached grandchild that ignores SIGTERM goes too."""
    script = "(trap '' TERM; setsid sleep 600 & echo $!; wait) & wait"
    reading_end, writing_end = os.pipe()
    command = [sys.executable, "-I", "-S", str(keeper.__file__), str(reading_end), "-"]
    with subprocess.Popen(
        [*command, "sh", "-c", script], pass_fds=(reading_end,), stdout=subprocess.PIPE, text=True
    ) as process:
        os.close(reading_end)
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())

        os.close(writing_end)
        process.wait(timeout=60)

        # Whoever adopts it may take a while to collect it.
        with contextlib.suppress(psutil.NoSuchProcess):
            assert psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE
