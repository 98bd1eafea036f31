"""`hwval probe`."""

from __future__ import annotations

import json
from pathlib import Path

from hwval.host import Host
from tests.cli.calling import Call


def test_probe_can_be_kept_and_planned_with(hwval: Call, tmp_path: Path) -> None:
    """What one machine saves, another reads."""
    code, out, _ = hwval("probe", "--json", "--save", "p.json")
    saved = Host.from_json(json.loads((tmp_path / "p.json").read_text()))

    assert (code, Host.from_json(json.loads(out))) == (0, saved)
    assert hwval("plan", "--host", "p.json")[0] == 0


def test_probe_is_readable(hwval: Call) -> None:
    """Host, processor, memory, accelerators."""
    code, out, _ = hwval("probe")

    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} >= {"host", "processor", "memory"}
