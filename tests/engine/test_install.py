"""Running installers: what they do is told, and a second way is tried."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hwval.engine.install import InstallStep
from hwval.engine.install import run_step
from hwval.errors import HostError


def _python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_activity_of_the_installer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's own lines become progress with the time that has passed."""
    monkeypatch.setattr("hwval.engine.install._REPORT_EVERY_S", 0.0)
    told: list[str] = []
    code = "print('noise'); print('  Downloading torch-2.13.0.whl (190.0 MB)')"
    run_step(InstallStep("install", _python(code)), "[1/1] install", tmp_path, told.append)

    assert told == ["[1/1] install", "[1/1] install: Downloading torch-2.13.0.whl (190.0 MB) (0 s)"]


def test_silent_installer_gives_a_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that prints nothing still shows that it lives."""
    monkeypatch.setattr("hwval.engine.install._HEARTBEAT_S", 0.05)
    told: list[str] = []
    step = InstallStep("install", _python("import sys, time; time.sleep(0.5)"))
    run_step(step, "install", tmp_path, told.append)

    assert "install: working" in told[1]


def test_second_way_is_tried_when_the_first_fails(tmp_path: Path) -> None:
    """A failing command is replaced by its alternative, visibly."""
    told: list[str] = []
    step = InstallStep("install", ("/nonexistent/uv", "pip"), otherwise=_python("pass"))
    run_step(step, "install", tmp_path, told.append)

    assert told == ["install", "install: uv failed, trying another way"]


def test_optional_step_may_fail(tmp_path: Path) -> None:
    """A step that is not required never stops the installation."""
    told: list[str] = []
    step = InstallStep("compile", _python("raise SystemExit(1)"), required=False)
    run_step(step, "compile", tmp_path, told.append)

    assert told == ["compile"]


def test_only_the_last_lines_are_kept(tmp_path: Path) -> None:
    """The note holds the end of a long output, where the reason stands."""
    code = "import sys; [print('line', n) for n in range(1000)]; sys.exit(1)"
    with pytest.raises(HostError) as caught:
        run_step(InstallStep("install", _python(code)), "install", tmp_path, lambda _: None)

    assert caught.value.__notes__[0].splitlines()[-1] == "line 999"
    assert len(caught.value.__notes__[0].splitlines()) == 25
