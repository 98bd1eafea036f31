"""Checkpoints of real architectures with small dimensions, made on the spot.

They let the whole path run where nothing can be downloaded: the files are those of a Hugging Face
checkpoint, so an engine loads them by path and knows nothing of this. Neither torch nor
transformers is needed to write them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Final
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import TensorSpec
from safetensors import serialize_file

from hwval.synthetic.architecture import ARCHITECTURES
from hwval.synthetic.architecture import SyntheticModel
from hwval.synthetic.architecture import hf_config
from hwval.synthetic.architecture import parse_synthetic
from hwval.synthetic.hearing import HEARING_FILES
from hwval.synthetic.hearing import add_hearing
from hwval.synthetic.quantization import quantize
from hwval.synthetic.sight import PROCESSOR_FILES
from hwval.synthetic.sight import add_sight
from hwval.synthetic.tokenizer import BOS_ID
from hwval.synthetic.tokenizer import EOS_ID
from hwval.synthetic.tokenizer import PAD_ID
from hwval.synthetic.tokenizer import PICTURE_TOKENS
from hwval.synthetic.tokenizer import SOUND_TOKENS
from hwval.synthetic.tokenizer import speakable_ids
from hwval.synthetic.tokenizer import train_tokenizer
from hwval.synthetic.tokenizer import training_text
from hwval.synthetic.tokenizer import write_tokenizer
from hwval.synthetic.weights import build_weights
from hwval.synthetic.weights import to_bfloat16_bits

__all__ = ["ARCHITECTURES", "SyntheticModel", "parse_synthetic", "prepare_synthetic"]

# Raised whenever the files change for the same model, so that no stale checkpoint is found.
_RECIPE: Final = 2
# Of numpy, which has no names for the first two: their bit patterns are kept.
_DTYPE_NAMES: Final = {
    "uint16": "bfloat16",
    "uint8": "float8_e4m3fn",
    "int8": "int8",
    "int32": "int32",
    "float16": "float16",
    "float32": "float32",
}


class _Sense(NamedTuple):
    """What a checkpoint has before its language model: its tokens, its files, its tensors."""

    tokens: Sequence[str]
    files: Mapping[str, Mapping[str, object]]
    add: Callable[[SyntheticModel, Mapping[str, Any]], dict[str, Any]] | None


_NO_SENSE: Final = _Sense((), {}, None)
_SENSES: Final = {
    "Idefics3ForConditionalGeneration": _Sense(PICTURE_TOKENS, PROCESSOR_FILES, add_sight),
    "GlmAsrForConditionalGeneration": _Sense(SOUND_TOKENS, HEARING_FILES, add_hearing),
}


def prepare_synthetic(name: str, cache_dir: Path) -> Path:
    """Return the folder of a synthetic checkpoint, making it if it is not there.

    Args:
        name: Reference such as ``synthetic:llama``.
        cache_dir: Where checkpoints are kept; the folder is
            ``<cache_dir>/synthetic/<name>-<hash of the recipe>``.

    Raises:
        UsageError: No such synthetic model.
    """
    model = parse_synthetic(name)
    folder = cache_dir / "synthetic" / f"{model.name}-{_recipe_hash(model)}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write_checkpoint(model, unfinished)
        unfinished.chmod(0o755)  # a container may read it as another user
        _rename_unless_present(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _rename_unless_present(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        # Another process was faster; its files are the same.
        if not folder.is_dir():
            raise


def _recipe_hash(model: SyntheticModel) -> str:
    recipe = f"{_RECIPE}\n{model!r}\n{training_text()}"
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def _write_checkpoint(model: SyntheticModel, folder: Path) -> None:
    sense = _SENSES.get(model.architecture, _NO_SENSE)
    tokenizer = train_tokenizer(model.vocab_size, more_tokens=sense.tokens)
    write_tokenizer(tokenizer, folder, max_context_tokens=model.max_context_tokens)
    ids = {"bos_id": BOS_ID, "eos_id": EOS_ID, "pad_id": PAD_ID}
    _write_json(folder / "config.json", hf_config(model, **ids))
    for name, content in sense.files.items():
        _write_json(folder / name, content)
    # No sampling parameters: the engine's defaults are those of the API.
    generation = {"bos_token_id": BOS_ID, "eos_token_id": EOS_ID, "pad_token_id": PAD_ID}
    _write_json(folder / "generation_config.json", generation)
    weights = quantize(model, build_weights(model, speakable_ids(tokenizer)))
    if sense.add:
        weights = sense.add(model, weights)
    tensors = {name: _stored(values) for name, values in weights.items()}
    _write_safetensors(folder / "model.safetensors", tensors)


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """Return what the file holds: float64, in which weights are computed, becomes bfloat16."""
    return to_bfloat16_bits(values) if values.dtype == np.float64 else np.ascontiguousarray(values)


def _write_safetensors(file: Path, tensors: dict[str, NDArray[Any]]) -> None:
    specs = {
        name: TensorSpec(
            dtype=_DTYPE_NAMES[values.dtype.name],
            shape=list(values.shape),
            data_ptr=values.ctypes.data,
            data_len=values.nbytes,
        )
        for name, values in tensors.items()
    }
    serialize_file(specs, file, {"format": "pt"})


def _write_json(file: Path, content: Mapping[str, object]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
