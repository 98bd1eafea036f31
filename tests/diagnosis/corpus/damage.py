"""Ways in which a checkpoint arrives damaged; each makes a function of its folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize
from safetensors.numpy import save_file

__all__ = [
    "Damage",
    "config",
    "cut",
    "fifo",
    "installed",
    "private",
    "read_tensors",
    "remove",
    "rename_tensors",
    "several",
    "sharded",
    "shrink_tensor",
    "tokenizer_config",
    "without_tensor",
    "write",
]

Damage = Callable[[Path], None]
_WEIGHTS = "model.safetensors"


def several(*damages: Damage) -> Damage:
    """Do one after the other."""

    def apply(folder: Path) -> None:
        for damage in damages:
            damage(folder)

    return apply


def config(**changes: Any) -> Damage:
    """Change keys of config.json; None takes one away."""
    return lambda folder: _change(folder / "config.json", changes)


def tokenizer_config(**changes: Any) -> Damage:
    """Change keys of tokenizer_config.json; None takes one away."""
    return lambda folder: _change(folder / "tokenizer_config.json", changes)


def remove(*names: str) -> Damage:
    """Remove files."""

    def apply(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return apply


def write(name: str, text: str) -> Damage:
    """Write a file."""

    def apply(folder: Path) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return apply


def cut(name: str, *, to_ratio: float) -> Damage:
    """Keep the first part of a file, as a broken download does."""

    def apply(folder: Path) -> None:
        path = folder / name
        os.truncate(path, int(path.stat().st_size * to_ratio))

    return apply


def fifo(folder: Path) -> None:
    """Put a pipe that nobody writes to in the place of the weights: a file system that hangs."""
    (folder / _WEIGHTS).unlink()
    os.mkfifo(folder / _WEIGHTS)


def installed(*requirements: str) -> Damage:
    """Install other versions of packages where PYTHONPATH may point, from the package index."""
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target")

    def apply(folder: Path) -> None:
        subprocess.run([*pip, folder.parents[1] / "packages", *requirements], check=True)

    return apply


def private(folder: Path) -> None:
    """Let nobody but the owner read the files."""
    for file in folder.iterdir():
        file.chmod(0o600)


def without_tensor(name: str) -> Damage:
    """Leave a tensor out."""
    return _tensors(lambda tensors: {key: tensors[key] for key in tensors if key != name})


def rename_tensors(old: str, new: str) -> Damage:
    """Write a part of all names in another way."""
    return _tensors(lambda tensors: {key.replace(old, new): tensors[key] for key in tensors})


def shrink_tensor(name: str) -> Damage:
    """Leave half of a tensor's rows out."""

    def shrink(tensors: dict[str, Any]) -> dict[str, Any]:
        return {**tensors, name: np.ascontiguousarray(tensors[name][: len(tensors[name]) // 2])}

    return _tensors(shrink)


def sharded(folder: Path) -> None:
    """Split the weights into two files with an index, of which the second is missing."""
    tensors = read_tensors(folder)
    half = len(tensors) // 2
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    places = {key: names[rank >= half] for rank, key in enumerate(tensors)}
    first = {key: tensors[key] for key, file in places.items() if file == names[0]}
    save_file(first, folder / names[0], {"format": "pt"})
    (folder / _WEIGHTS).unlink()
    index = {"metadata": {"total_size": 1_108_480}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _change(path: Path, changes: Mapping[str, Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(kept, indent=2), encoding="utf-8")


def _tensors(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Damage:
    def apply(folder: Path) -> None:
        save_file(change(read_tensors(folder)), folder / _WEIGHTS, {"format": "pt"})

    return apply


def read_tensors(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return the tensors by name; numpy knows no bfloat16, so they become float32."""
    tensors = {}
    for name, tensor in deserialize((folder / _WEIGHTS).read_bytes()):  # type: ignore[no-untyped-call]
        data = tensor["data"]
        if tensor["dtype"] == "BF16":
            data = (np.frombuffer(data, dtype="<u2").astype("<u4") << 16).tobytes()
        tensors[name] = np.frombuffer(data, dtype="<f4").reshape(tensor["shape"])
    return tensors
