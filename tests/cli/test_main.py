"""What all commands share: help, version, one line for a mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwval import __version__
from tests.cli.calling import LAB
from tests.cli.calling import Call


def test_help_names_every_command(hwval: Call) -> None:
    """What there is, with the way to the runs themselves."""
    code, out, _ = hwval("--help")

    assert code == 0
    assert all(
        f" {name} " in out
        for name in ("probe", "plan", "show", "diagnose", "load", "report", "ci-matrix", "reap")
    )
    assert "pytest" in out


def test_version_is_told(hwval: Call) -> None:
    """The version of the package."""
    assert hwval("--version") == (0, f"hwval {__version__}\n", "")


def test_installed_command_answers() -> None:
    """The script of the installation reaches the same code."""
    command = Path(sys.executable).with_name("hwval")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)

    assert done.stdout == f"hwval {__version__}\n"


BAD_FILES = {
    "not-yaml.yaml": b"axes: [\n",
    "unknown-key.yaml": b"axs: {}\n",
    "not-text.yaml": b"\xff\xfe\x00",
    "empty.yaml": b"",
    "list.json": b"[]",
    "old.json": b'{"v": 0}',
    "wrong-type.json": b'{"v": 1, "devices": 5}',
    "not-text.json": b"\xff\xfe\x00",
    "deep.json": b"[" * 100_000,
    "not-json.json": b"{",
    "odd-memory.json": json.dumps(
        LAB.to_json() | {"devices": [LAB.to_json()["devices"][0] | {"memory_bytes": "x"}]}
    ).encode(),
}


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--matrix", "none.yaml"),
        ("plan", "--matrix", "."),
        ("plan", "--matrix", "not-yaml.yaml"),
        ("plan", "--matrix", "unknown-key.yaml"),
        ("plan", "--matrix", "not-text.yaml"),
        ("plan", "--matrix", "empty.yaml"),
        ("plan", "--matrix", "m.yaml", "--matrix", "m.yaml"),
        ("plan", "--host", "none.json"),
        ("plan", "--host", "."),
        ("plan", "--host", "list.json"),
        ("plan", "--host", "old.json"),
        ("plan", "--host", "wrong-type.json"),
        ("plan", "--host", "not-text.json"),
        ("plan", "--host", "not-json.json"),
        ("plan", "--host", "deep.json"),
        ("plan", "--matrix", "m.yaml", "--host", "odd-memory.json"),
        ("show", "nobody"),
        ("show", "cpu*"),
        ("show", "sm_90*", "--matrix", "none.yaml"),
        ("report", "none"),
        ("report", "m.yaml"),
        ("report", "damaged"),
        ("probe", "--save", "none/p.json"),
    ],
    ids=" ".join,
)
def test_mistake_is_one_line(hwval: Call, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """What, where, what to do: exit status 2, nothing on standard output, no traceback."""
    for name, content in BAD_FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "records.jsonl").write_bytes(b'{"no": "record"}\n{}\n')
    code, out, err = hwval(*arguments)

    assert (code, out) == (2, "")
    assert err.startswith("hwval: ")
    assert err.count("\n") == 1
    assert len(err) > len("hwval: \n")


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("show",), "hwval show"),
        (("plan", "--nope"), "hwval plan"),
        (("plan", "--host"), "hwval plan"),
        (("ci-matrix", "--cells"), "hwval ci-matrix"),
        (("nope",), "hwval"),
        (("report",), "hwval report"),
        (("probe", "x"), "hwval probe"),
        (("compare", "a", "b", "--least-change=7"), "hwval compare"),
        (("ci-matrix", "--shards=0"), "hwval ci-matrix"),
    ],
)
def test_wrong_usage_is_one_line(hwval: Call, arguments: tuple[str, ...], command: str) -> None:
    """With a pointer to the help of what was called."""
    code, out, err = hwval(*arguments)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.endswith(f"; see `{command} --help`\n")


@pytest.mark.parametrize(
    ("argument", "told"), [("", "an argument is empty"), ("--host=", "--host= is empty")]
)
def test_variable_that_is_not_set_is_told(hwval: Call, argument: str, told: str) -> None:
    """It would stand for the folder one is in, whatever is there."""
    code, out, err = hwval("plan", argument)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"hwval: {told}")


def test_nothing_asked_is_the_help(hwval: Call) -> None:
    """As somebody sees it who has just installed it."""
    code, out, err = hwval()

    assert (code, err) == (2, "")
    assert "Usage: hwval" in out


@pytest.mark.parametrize("command", ["hwval plan | true", "hwval plan >&-"])
def test_reader_that_is_gone_is_no_traceback(command: str) -> None:
    """Neither one that has seen enough nor one that was never there."""
    scripts = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-c", command], stderr=subprocess.PIPE, check=False, timeout=60,
        env=os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}"},
    )  # fmt: skip

    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") <= 1


def test_plain_locale_is_enough() -> None:
    """What it cannot write it writes otherwise."""
    command = Path(sys.executable).with_name("hwval")
    done = subprocess.run(
        [command, "plan", "--matrix=\u00fc.yaml"], capture_output=True, check=False,
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )  # fmt: skip

    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)


def test_disk_that_is_full_is_one_line() -> None:
    """Output that cannot be written is told, not traced."""
    command = Path(sys.executable).with_name("hwval")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [command, "probe", "--json"], stdout=full, stderr=subprocess.PIPE, check=False,
            env=os.environ | {"COLUMNS": "80"},
        )  # fmt: skip

    assert done.returncode != 0
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("plan", "lab.yaml"), "(lab.yaml); write --matrix=lab.yaml; see `hwval plan --help`"),
        (("doctor", "a.yml", "b.yaml"), "; write --matrix=a.yml --matrix=b.yaml; see"),
        (("show", "lab.yaml", "base"), "(base); write --matrix=lab.yaml; see `hwval show"),
        (("plan", "lab"), "(lab); see `hwval plan --help`"),
        (("compare", "a", "b", "c.yaml"), "(c.yaml); see `hwval compare --help`"),
        (("load", "URL", "--rate", "5/s"),
         "'--rate': expected a number (Open loop: requests per second); see"),
        (("load", "URL", "--requests", "5.5"), "'--requests': expected a whole number (How many);"),
    ],
)  # fmt: skip
def test_mistake_is_told_with_what_was_meant(
    hwval: Call, arguments: tuple[str, ...], told: str
) -> None:
    """A matrix is an option's value, and a number has no unit: in words of this project."""
    code, out, err = hwval(*arguments)

    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1
