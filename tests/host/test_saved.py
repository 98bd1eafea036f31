"""Saved probes as files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hwval.errors import UsageError
from hwval.host import probe_host
from hwval.host import read_host
from tests.host.trees import mi300x


def test_saved_probe_is_read(tmp_path: Path) -> None:
    """As it was probed."""
    host = probe_host(mi300x(tmp_path / "tree", compute="SPX", memory="NPS1"))
    path = tmp_path / "host.json"
    path.write_text(json.dumps(host.to_json()))

    assert read_host(path) == host


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "not readable as JSON", id="empty"),
        pytest.param(b"\xff\xfe\x00", "not readable as JSON", id="not-text"),
        pytest.param(b"[]", "not a saved probe; make one with", id="list"),
        pytest.param(b"[" * 100_000, "not readable as JSON", id="deep"),
        pytest.param(b'{"v": 2}', "format version 2, expected 1", id="other-version"),
        pytest.param(b'{"v": 1}', "hostname: Field required", id="nothing"),
        pytest.param(b'{"v": 1, "memory_bytes": NaN}', "expected a saved probe", id="nan"),
        pytest.param(b'{"v": ' + b"9" * 5000 + b"}", "not readable as JSON", id="long-number"),
    ],
)
def test_broken_file_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    """File and what is wrong in it."""
    path = tmp_path / "host.json"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=message) as raised:
        read_host(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    """As the others."""
    with pytest.raises(UsageError, match=r"none\.json: cannot be read: No such file"):
        read_host(tmp_path / "none.json")


def test_what_never_ends_is_not_read_to_its_end() -> None:
    """A device, or a file of another kind."""
    with pytest.raises(UsageError, match="/dev/zero: larger than 16 MiB, no saved probe"):
        read_host(Path("/dev/zero"))


def test_pipes_are_read(tmp_path: Path) -> None:
    """As a shell makes them of ``--host <(ssh lab hwval probe --json)``."""
    host = probe_host(mi300x(tmp_path / "tree", compute="SPX", memory="NPS1"))
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file:
        json.dump(host.to_json(), file)

    assert read_host(Path(f"/dev/fd/{reading}")) == host
    os.close(reading)
