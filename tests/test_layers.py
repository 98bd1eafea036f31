"""Which part may import which: the house of the design, kept by reading every import."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From low to high; a room imports only from rows above its own. The rooms of a row do not know
# each other. `engine.base` is a room of its own: what the client and the engines share.
ROWS = (
    ("errors", "clock", "units", "spelling", "cell", "verdict", "inert", "redaction", "stats"),
    (
        "resources",
        "host",
        "planning",
        "diagnosis",
        "yamlfile",
        "result",
        "generate",
        "engine.base",
        "load",
        "telemetry",
    ),
    ("yamlmodel", "synthetic", "summary", "judgement", "client", "merge"),
    ("catalogue", "engine", "threshold"),
    ("accuracy", "capability", "measured", "performance", "quality"),
    ("matrix", "pictures", "leftovers", "failure", "forecast", "signoff_words"),
    ("ledger", "live", "compare", "evidence"),
    ("signoff", "allure"),
    ("placement", "table"),
    ("launch", "doctor", "ci_matrix"),
    ("session",),
    ("cli",),
)
RANK = {room: rank for rank, row in enumerate(ROWS) for room in row}

# One door for each outside system: nobody else may know it.
DOORS = {
    "docker": {"hwval.engine.docker_client", "hwval.engine.docker_errors"},
    "requests": {"hwval.engine.docker_errors"},  # what the Docker SDK lets through
    "urllib3": {"hwval.engine.docker_errors"},
    "httpx": {"hwval.client"},
    "jsonschema": {"hwval.capability.structured"},
    "lm_eval": {"hwval.accuracy.harness"},
    "matplotlib": {"hwval.pictures.draw"},
    "openai": {
        "hwval.capability.skills",
        "hwval.client",
        "hwval.generate",
        "hwval.judgement",
    },
    "scipy": {"hwval.stats.interval"},
    "time": {
        "hwval.clock",
        "hwval.engine.keeper",  # runs alone, without hwval
        "hwval.load.wire",  # asks for every read, where a detour would be measured
    },
    "uvloop": {"hwval.load.work"},
    "yaml": {"hwval.yamlfile", "hwval.accuracy.taskfile", "hwval.diagnosis.rules"},
    "jinja2": {"hwval.signoff"},
    "huggingface_hub": {"hwval.forecast.hub"},
    "numpy": {
        "hwval.load.summary",
        "hwval.synthetic",
        "hwval.synthetic.hearing",
        "hwval.synthetic.quantization",
        "hwval.synthetic.sight",
        "hwval.synthetic.weights",
    },
    "psutil": {"hwval.engine.processes"},
    "typer": {
        "hwval.cli",
        "hwval.cli.cells",
        "hwval.cli.ci_matrix",
        "hwval.cli.common",
        "hwval.cli.compare",
        "hwval.cli.diagnose",
        "hwval.cli.host",
        "hwval.cli.load",
        "hwval.cli.runs",
    },
    "allure_commons": set[str](),
    "pytest": set[str](),
    "fixtures": set[str](),
    "suites": set[str](),
    "tests": set[str](),
}
# Where variables of the environment are read; everything else is told by its caller.
ENVIRONMENT_READERS = {
    "hwval.accuracy.harness",
    "hwval.accuracy.process",
    "hwval.cli.host",
    "hwval.cli.common",
    "hwval.launch",
    "hwval.redaction",
    "hwval.engine.docker",
    "hwval.engine.external",
    "hwval.engine.venv",
    "fixtures.engine",
    "fixtures.making",
    "fixtures.options",
    "fixtures.progress",
}


class Import(NamedTuple):
    """One arrow between two modules."""

    importer: str
    imported: str
    where: str


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src" if path.is_relative_to(ROOT / "src") else ROOT)
    return ".".join(parts.with_suffix("").parts).removesuffix(".__init__")


def modules(*folders: str) -> dict[str, Path]:
    return {module_name(path): path for part in folders for path in (ROOT / part).rglob("*.py")}


HWVAL = modules("src/hwval")
GLUE = modules("fixtures")
SUITES = modules("suites")


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Return all of a module's syntax; to read every module takes seconds."""
    return tuple(ast.walk(ast.parse(path.read_text("utf-8"))))


@cache
def imports_of(name: str, path: Path) -> tuple[Import, ...]:
    """Return every import of a module, those inside functions too."""
    found: list[Import] = []
    for node in nodes_of(path):
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            found += (Import(name, alias.name, where) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{where}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.append(Import(name, full if full in HWVAL else str(node.module), where))
    return tuple(found)


def all_imports(names: dict[str, Path]) -> list[Import]:
    return [arrow for name, path in names.items() for arrow in imports_of(name, path)]


def room_of(module: str) -> str:
    """Return the room that a module of hwval is in, empty for the package itself."""
    room = module.removeprefix("hwval").removeprefix(".")
    return room if room in RANK else room.partition(".")[0]


def readers_of_environment(names: dict[str, Path]) -> set[str]:
    attributes = {"environ", "environb", "getenv"}
    return {
        name
        for name, path in names.items()
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute) and node.attr in attributes
    }


def test_every_module_has_a_room() -> None:
    """A new module is put into the table of rooms, and no row names a room that is gone."""
    assert {room_of(name) for name in HWVAL} - {""} == set(RANK)


def test_rooms_import_only_lower_rooms() -> None:
    """Inside hwval arrows point downwards."""
    broken = [
        f"{arrow.where}: {importer} may not import {imported} (row {RANK[importer]} of "
        f"{RANK[imported]}); move what both need into a lower room"
        for arrow in all_imports(HWVAL)
        if arrow.imported.startswith("hwval.")
        and (importer := room_of(arrow.importer)) != (imported := room_of(arrow.imported))
        and RANK[importer] <= RANK[imported]
    ]

    assert broken == []


@pytest.mark.parametrize("outside", DOORS)
def test_each_outside_system_has_one_door(outside: str) -> None:
    """What is not ours is imported by the modules that stand for it, and by no other."""
    doors = {
        arrow.importer for arrow in all_imports(HWVAL) if arrow.imported.split(".")[0] == outside
    }

    assert doors == DOORS[outside], f"{outside} is imported by {sorted(doors)}"


def test_glue_imports_neither_suites_nor_tests() -> None:
    """Suites import fixtures, fixtures import hwval, never the other way round."""
    broken = [
        f"{arrow.where}: {arrow.importer} may not import {arrow.imported}"
        for arrow in all_imports(GLUE)
        if arrow.imported.split(".")[0] in {"suites", "tests", "docker", "httpx", "time"}
    ]

    assert broken == []


def test_suites_import_only_what_a_question_needs() -> None:
    """A question knows its fixtures, types of hwval and the client's errors."""
    known = {"__future__", "fixtures", "hwval", "openai", "pytest"}
    broken = [
        f"{arrow.where}: {arrow.importer} may not import {arrow.imported}"
        for arrow in all_imports(SUITES)
        if arrow.imported.split(".")[0] not in known
    ]

    assert broken == []


def test_environment_is_read_at_the_edges_alone() -> None:
    """Variables are read where an engine or a run begins; the rest is told."""
    assert readers_of_environment(HWVAL | GLUE | SUITES) == ENVIRONMENT_READERS


def test_command_starts_without_heavy_libraries() -> None:
    """`hwval --help` waits for nothing that only some commands need."""
    heavy = ("docker", "httpx", "jinja2", "numpy", "openai", "pydantic", "pytest", "yaml")
    code = f"import hwval.cli, sys; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_no_module_loads_the_sdk_or_a_model_library_by_itself() -> None:
    """The Docker SDK, the OpenAI client and pytest are loaded when they are used."""
    names = sorted(name for name in HWVAL if not name.endswith("__main__"))
    heavy = ("docker", "httpx", "openai", "pytest", "allure_commons")
    code = (
        f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
        f"print(*[name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
