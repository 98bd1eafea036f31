"""What the generator sees of itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from hwval.load import health
from hwval.load.health import HealthWatch


async def watch(busy: int) -> health.Health:
    """Watch for some ticks, with so many steps of work in the middle."""
    seen = HealthWatch(asyncio.get_running_loop())
    await asyncio.sleep(0.03)
    sum(range(busy))
    await asyncio.sleep(0.03)
    return seen.stop(late_connections=2, resent_requests=0)


def test_signs_are_taken() -> None:
    """Processor time within wall time, a lag for each timer."""
    found = asyncio.run(watch(0))

    assert found.late_connections == 2
    assert found.wall_s > 0
    assert found.cpu_s >= 0
    assert found.peak_memory_bytes > 1_000_000
    assert len(found.lags_ns) >= 1
    assert min(found.lags_ns) >= 0


def test_busy_loop_is_late() -> None:
    """Work between two looks at the sockets shows as lag, and as processor time."""
    found = asyncio.run(watch(20_000_000))

    assert max(found.lags_ns) > 10_000_000
    assert found.cpu_s > 0.01


@pytest.mark.parametrize("text", ["", "1", "a b c"])
def test_kernel_that_does_not_tell_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Absent is absent."""
    (tmp_path / "schedstat").write_text(text)
    monkeypatch.setattr(health, "_SCHEDSTAT", tmp_path / "schedstat")

    assert asyncio.run(watch(0)).starved_s is None


def test_memory_of_the_parent_is_not_the_generators() -> None:
    """A command that was started by a large process is not large."""
    ballast = bytearray(b"x") * 300_000_000
    code = "from hwval.load import health; print(health._peak_memory_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert 1_000_000 < int(done.stdout) < len(ballast)
