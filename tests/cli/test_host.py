"""`hwval probe` and `hwval doctor`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwval.cli import host as command
from hwval.host import Docker
from hwval.host import Host
from hwval.host import probe_host
from tests.cli.calling import LAB
from tests.cli.calling import Call
from tests.host.trees import mi300x
from tests.host.trees import strix_halo


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no daemon to ask, and no token."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")
    monkeypatch.delenv("HF_TOKEN", raising=False)


def test_probe_can_be_kept_and_planned_with(hwval: Call, tmp_path: Path) -> None:
    """What one machine saves, another reads."""
    code, out, _ = hwval("probe", "--json", "--save", "p.json")
    saved = Host.from_json(json.loads((tmp_path / "p.json").read_text()))

    # What is free on disks differs from one moment to the next.
    told = Host.from_json(json.loads(out))
    assert (code, replace(told, disks=())) == (0, replace(saved, disks=()))
    assert {disk.purpose for disk in saved.disks} == {"models", "cache"}
    assert hwval("plan", "--host", "p.json")[0] == 0
    assert hwval("doctor", "--host", "p.json")[0] in {0, 1}


def test_probe_is_readable(hwval: Call) -> None:
    """Host, processor, memory, accelerators."""
    code, out, _ = hwval("probe")

    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} >= {"hostname", "processor", "memory"}
    assert "no docker" in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_probe_tells_alike_devices_once(
    hwval: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """64 partitions are one line and a few names, not 64 lines."""
    host = probe_host(mi300x(tmp_path / "tree", compute="CPX", memory="NPS4"))
    monkeypatch.setattr(command, "_this_host", lambda: host)
    _, out, _ = hwval("probe")

    assert "64 x AMD Instinct MI300X OAM, gfx942, 24.0 GiB, CPX/NPS4" in out
    assert "amd-0000:0c:00.0-7  /dev/dri/renderD135 (group" in out
    assert "... 56 more" in out
    assert "memory nodes 2: 1.00 TiB, 1.00 TiB" in " ".join(out.split())


def test_probe_tells_what_an_integrated_gpu_is_given(
    hwval: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Carve-out and GTT, what its kernel keeps from programs; a daemon with its runtimes."""
    host = probe_host(strix_halo(tmp_path / "tree", told_bytes=2**29))
    docker = Docker("x", "28.0", "1.48", ("runc",), cgroup_version="2", rootless=True)
    monkeypatch.setattr(command, "_this_host", lambda: replace(host, docker=docker))
    _, out, _ = hwval("probe")

    assert "rocm, gfx1151, 110 GiB, 512 MiB carve-out, 110 GiB GTT" in out
    told = "note amd-0000:c5:00.0: its driver tells programs of 512 MiB only"
    assert told in " ".join(out.split())
    assert "28.0 (API 1.48, cgroup v2, rootless, runtimes runc)" in out


def test_doctor_tells_problems_first(hwval: Call) -> None:
    """No daemon: exit status 1, with what to do."""
    code, out, _ = hwval("doctor")

    assert code == 1
    assert out.splitlines()[0].startswith("problem  docker")
    assert "-> Start Docker (systemctl start docker), or set DOCKER_HOST" in out
    assert out.splitlines()[-1].startswith("1 problem, ")


def test_doctor_is_json(hwval: Call) -> None:
    """Each check with its state."""
    code, out, _ = hwval("doctor", "--json")
    told = json.loads(out)

    assert (code, told["host"]) == (1, probe_host().hostname)
    assert {"name", "state", "text", "remedy"} == set(told["checks"][0])
    states = {check["name"]: check["state"] for check in told["checks"]}
    assert states["docker"] == "problem"


def test_doctor_without_problems_is_fine(hwval: Call) -> None:
    """A saved probe that tells little: what cannot be checked is no problem."""
    code, out, _ = hwval("doctor", "--host", "lab.json", "--matrix", "m.yaml", "--json")
    states = {check["name"]: check["state"] for check in json.loads(out)["checks"]}

    assert (states["cells"], states["docker"], states["disk"]) == (
        *("ok", "not-checkable"),
        "not-checkable",
    )
    assert code == int("problem" in states.values())


@pytest.mark.parametrize("where", ["variable", "file"])
def test_token_is_seen_and_never_told(
    hwval: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    """Whether there is one, not which."""
    secret = "hf_thisIsVerySecret"
    if where == "variable":
        monkeypatch.setenv("HF_TOKEN", secret)
    else:
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf/token").write_text(f"{secret}\n")
    _, out, err = hwval("probe", "--json")

    assert json.loads(out)["hub_token"] is True
    assert secret not in out + err + hwval("doctor", "--json")[1] + hwval("probe")[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"memory_bytes": -1}, "memory_bytes is -1, expected 1..1125899906842624 or null"),
        ({"cpus": "all"}, "cpus: Input should be a valid"),
        ({"v": 7}, "format version 7, expected 1"),
        ({"extra": 1}, "extra: Unexpected keyword argument"),
    ],
)
@pytest.mark.parametrize("name", ["doctor", "plan"])
def test_broken_host_is_one_line(
    hwval: Call, name: str, change: dict[str, Any], message: str
) -> None:
    """File, field, what is wrong; exit status 2 and no other word."""
    Path("lab.json").write_text(json.dumps(LAB.to_json() | change))
    code, out, err = hwval(name, "--host", "lab.json", "--matrix", "m.yaml")

    assert (code, out) == (2, "")
    assert err.startswith(f"hwval: lab.json: {message}")
    assert err.count("\n") == 1


def test_missing_matrix_is_one_line(hwval: Call) -> None:
    """As for every command."""
    code, out, err = hwval("doctor", "--matrix", "none.yaml")

    assert (code, out, err.count("\n")) == (2, "", 1)
