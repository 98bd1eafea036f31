"""`hwval show CELL --docker` against how people document the start of the same engine."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from hwval.cli import app
from hwval.engine.container import format_docker_run
from hwval.launch import reproducing_spec
from hwval.placement import PlacedCell
from hwval.placement import select
from hwval.resources import resource_path
from tests.matrices.machines import MACHINES

GOLDEN = yaml.safe_load(Path(__file__).with_name("documented.yaml").read_text("utf-8"))
COMMANDS: dict[str, dict[str, Any]] = GOLDEN["commands"]
EVERYWHERE: dict[str, dict[str, str]] = GOLDEN["everywhere"]

# Option of `docker run` -> aspect that its value belongs to.
_ASPECTS = {
    "--device": "devices",
    "--group-add": "groups",
    "--gpus": "gpus",
    "--ipc": "ipc",
    "--shm-size": "shm",
    "--network": "network",
    "-p": "network",
    "--cap-add": "capabilities",
    "--security-opt": "security",
    "--ulimit": "locked_memory",
    "-e": "environment",
}
# What says nothing of the container's reach, and what is held elsewhere.
_SILENT = {"--mount", "--cap-drop", "--entrypoint"}
_BARE = {"--rm", "--init"}
_ALL = {*_ASPECTS.values(), "privileged", "program", "arguments"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches of the test apart."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HWVAL_CACHE_DIR", str(tmp_path / "cache"))


def placed_of(command: Mapping[str, Any]) -> PlacedCell:
    """Return the cell in whose place the documented command stands, on its machine."""
    matrix = resource_path(f"matrices/{command['matrix']}.yaml")
    (placed,) = select([matrix], MACHINES[command["machine"]](), cells=[command["cell"]]).placed
    assert placed.why_not == ""
    return placed


def taken_apart(line: str, image: str) -> dict[str, set[str]]:
    """Return what a `docker run` line gives the container, aspect by aspect."""
    words = shlex.split(line.replace("\\\n", ""))
    assert words[:2] == ["docker", "run"]
    at = words.index(image)
    found: dict[str, set[str]] = {aspect: set() for aspect in _ALL}
    options = iter(words[2:at])
    for option in options:
        if option == "--privileged":
            found["privileged"].add("privileged")
        elif option in _ASPECTS:
            found[_ASPECTS[option]].add(next(options).strip('"'))
        elif option in _SILENT:
            next(options)
        else:
            assert option in _BARE
    program, arguments = split_command(words[at + 1 :])
    return found | {"program": set(program), "arguments": set(arguments)}


def split_command(words: list[str]) -> tuple[list[str], Iterator[str]]:
    """Return the words before the server's arguments, and each flag with its value."""
    known = {"vllm", "serve", "v2"}
    start = next((i for i, word in enumerate(words) if word not in known), len(words))
    return words[:start], flags(words[start:])


def flags(words: list[str]) -> Iterator[str]:
    """Yield each flag with its value, and what has no flag by itself."""
    rest = iter(words)
    pending = ""
    for word in rest:
        if word.startswith("--"):
            if pending:
                yield pending
            pending = word
        elif pending:
            yield f"{pending} {word}"
            pending = ""
        else:
            yield word
    if pending:
        yield pending


@pytest.mark.parametrize("name", COMMANDS)
def test_shown_command_differs_where_it_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices, groups, memory, environment and arguments are the documented ones, or explained."""
    command = COMMANDS[name]
    placed = placed_of(command)
    machine = MACHINES[command["machine"]]()
    monkeypatch.setattr("hwval.host.probe_host", lambda: machine)
    matrix = str(resource_path(f"matrices/{command['matrix']}.yaml"))
    shown = CliRunner().invoke(app, ["show", placed.cell.id, "--matrix", matrix, "--docker"])
    assert shown.exit_code == 0, shown.output

    ours = taken_apart(shown.stdout.strip(), placed.cell.image)
    for aspect in sorted(_ALL):
        documented = set(command["documented"].get(aspect, ()))
        left_out = set(command.get("left_out", {}).get(aspect, ()))
        added = set(command.get("added", {}).get(aspect, ()))
        absent = set(command.get("absent_everywhere", {}).get(aspect, ()))
        expected = set(EVERYWHERE.get(aspect, ())) - absent
        assert documented - ours[aspect] == left_out, f"{aspect}: documented, and not ours"
        extra = ours[aspect] - documented
        assert extra - expected == added, f"{aspect}: ours, and not documented"
        assert expected <= ours[aspect] | documented, f"{aspect}: ours everywhere, and not here"


@pytest.mark.parametrize("name", [name for name in COMMANDS if "by_name" in COMMANDS[name]])
def test_privileges_by_name_give_what_was_documented(name: str, tmp_path: Path) -> None:
    """A matrix that asks for them gets the documented privileges, and a privileged one all."""
    command = COMMANDS[name]
    placed = placed_of(command)
    cell = replaced(placed, privileges=tuple(command["by_name"]))
    line = format_docker_run(reproducing_spec(cell, tmp_path))
    ours = taken_apart(line, placed.cell.image)
    for aspect in ("ipc", "network", "privileged", "capabilities", "security"):
        documented = set(command["documented"].get(aspect, ()))
        missing = documented - ours[aspect]
        assert missing == set() or (aspect == "capabilities" and ours["privileged"])


def replaced(placed: PlacedCell, **fields: Any) -> PlacedCell:
    """Return a placed cell with other fields of its cell."""
    return replace(placed, entry=replace(placed.entry, cell=replace(placed.cell, **fields)))


def test_every_difference_has_a_reason() -> None:
    """No difference stands without words."""
    for name, command in COMMANDS.items():
        for side in ("left_out", "added"):
            for aspect, reasons in command.get(side, {}).items():
                assert aspect in _ALL, f"{name}: {aspect} is no aspect"
                for what, why in reasons.items():
                    assert len(why) > 10, f"{name}: {what} has no reason"
