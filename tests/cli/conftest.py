"""The command as people and programs call it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from hwval import cli
from tests.cli.calling import LAB
from tests.cli.calling import MIXED
from tests.cli.calling import Call

# What typer makes of the command at each start takes longer than most of its answers.
_MADE = get_command(cli.app)


@pytest.fixture
def hwval(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Call:
    """Calls the command with arguments: exit status, standard output, standard error."""
    monkeypatch.setattr(cli, "app", _MADE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HWVAL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    (tmp_path / "m.yaml").write_text(MIXED)
    (tmp_path / "lab.json").write_text(json.dumps(LAB.to_json()))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hwval", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call
