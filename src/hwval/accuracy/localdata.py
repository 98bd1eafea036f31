"""Data on this host in the words of lm-evaluation-harness's task descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final

from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble

__all__ = ["local_data"]

# Kind of file -> loader of the datasets library.
_LOADERS: Final = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}


def local_data(place: str | Mapping[str, str]) -> dict[str, Any]:
    """Return the part of a task's description that names its data.

    Args:
        place: Folder with a file for each split or with a copy of the Hub's repository, or split
            and file.

    Raises:
        SetbackError: It is not there, or of a kind that cannot be read.
    """
    if isinstance(place, str):
        if not Path(place).is_dir():
            raise SetbackError(Trouble.DATASET, f"its data, {place}, are no folder")
        if not any(path.is_file() for path in Path(place).rglob("*")):
            raise SetbackError(Trouble.DATASET, f"its data: {place} holds no file")
        found: dict[str, Any] = {"dataset_path": place, "dataset_kwargs": None}
        if not (Path(place) / "README.md").exists():
            found["dataset_name"] = None  # subsets are described in a repository's README
        return found
    missing = [path for path in place.values() if not Path(path).is_file()]
    if missing:
        raise SetbackError(Trouble.DATASET, f"its data: {missing[0]} is no file")
    kinds = {_LOADERS.get(Path(path).suffix) for path in place.values()}
    if len(kinds) != 1 or None in kinds:
        names = ", ".join(sorted({Path(path).suffix for path in place.values()}))
        raise SetbackError(
            Trouble.DATASET, f"its data: found {names}, expected one kind of {', '.join(_LOADERS)}"
        )
    options = {"data_files": dict(place)}
    return {"dataset_path": kinds.pop(), "dataset_name": None, "dataset_kwargs": options}
