"""What is known of a cell's model: its shape from the catalogue, a folder, or a recipe.

Only files of this host are read, unless the Hub is to be asked. What is missing, broken or absurd
is told, never guessed: a planner that is confident about the wrong model costs more than one that
does not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

from hwval.catalogue import Catalogue
from hwval.catalogue import ModelFacts
from hwval.catalogue import load_architectures
from hwval.errors import UsageError
from hwval.forecast.hub import hub_folder
from hwval.planning.model_shape import ModelShape
from hwval.planning.model_shape import ShapeError
from hwval.planning.model_shape import read_shape
from hwval.planning.quantization import WeightFormat
from hwval.planning.weights import stored_bytes

__all__ = ["KnownModel", "find_model", "read_folder", "read_object"]

_MAX_BYTES: Final = 64 * 2**20
"""A safetensors index of a model with 100,000 tensors has 10 MB; a larger file is none."""
_MOST_FILES_BYTES: Final = 2**50
# float32 files hold twice what is loaded; towers, extra heads and parts in 16 bits are estimated.
_LEAST_SHARE: Final = 0.4
_MOST_SHARE: Final = 3
# Kinds of rope scaling whose factor is in max_position_embeddings already, or in ``read_shape``
# (vLLM 0.32.0, ``config/model.py`` _get_and_verify_max_len).
_TOLD_ROPES: Final = frozenset(
    {"default", "llama3", "longrope", "su", "yarn", "mrope", "proportional"}
)


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model as far as it is known.

    Attributes:
        shape: Its dimensions; None if they are not known.
        dtype: Of the checkpoint, as its config.json says; empty if it does not.
        files_bytes: Size of the tensors in its files; None if that is not known.
        problem: Why the shape is not known; empty if it is.
        is_uncertain: Whether the catalogue marks its figures so.
        positions_are_certain: Whether ``shape.max_positions`` is what vLLM makes of the config.
    """

    shape: ModelShape | None = None
    dtype: str = ""
    files_bytes: int | None = None
    problem: str = ""
    is_uncertain: bool = False
    positions_are_certain: bool = True


def find_model(
    reference: str,
    catalogue: Catalogue,
    overrides: Mapping[str, Any] | None = None,
    *,
    fetch: bool = False,
) -> KnownModel:
    """Return what is known of a model; never raises for one that is not known.

    Args:
        reference: As a cell names it: catalogue key, ``hub:ORG/NAME[@REVISION]``, absolute path or
            ``synthetic:NAME``.
        catalogue: Where names are looked up.
        overrides: ``--hf-overrides``: what is to be different in its config.json.
        fetch: Whether the Hub is asked for the config.json of models that are not known here.
    """
    try:
        facts = catalogue.model(reference)
        if facts.full_config is not None:
            return _of_facts(facts, overrides)
        if reference.startswith("synthetic:"):
            return _of_config(_synthetic_config(reference), overrides)
        if reference.startswith("/"):
            return read_folder(Path(reference), overrides)
        folder = hub_folder(reference.removeprefix("hub:"), fetch=fetch)
        if folder is not None:
            return read_folder(folder, overrides)
    except UsageError as error:
        return KnownModel(problem=str(error))
    return KnownModel(
        files_bytes=facts.weights_bytes,
        problem=(
            f"the catalogue does not hold the dimensions of {reference}; give it a 'config' under "
            "'catalogue: models:' in the matrix, name a folder that holds the model, or let "
            "`hwval plan --hub` fetch its config.json"
        ),
        is_uncertain=facts.uncertain,
    )


def read_folder(folder: Path, overrides: Mapping[str, Any] | None = None) -> KnownModel:
    """Return what the files of a checkpoint say.

    Args:
        folder: Holds config.json, and the safetensors index if there is one.
        overrides: As for ``find_model``.

    Raises:
        UsageError: There is no config.json, or it is broken or absurd; the message names it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder on this host, so its config.json is not known")
    path = folder / "config.json"
    if path.exists() and not path.is_file():  # a pipe would never end
        raise UsageError(f"{path}: is no file")
    config = read_object(path)
    separate = folder / "hf_quant_config.json"  # where ModelOpt leaves it
    if "quantization_config" not in config and separate.is_file():
        config["quantization_config"] = {"quant_method": "modelopt", **read_object(separate)}
    try:
        return _believable(_of_config(config, overrides, files_bytes=_files_bytes(folder)))
    except ShapeError as error:
        raise UsageError(f"{path}: {str(error).removeprefix('config.json: ')}") from error


def _believable(model: KnownModel) -> KnownModel:
    """Return a model whose files are not only well-formed but also believed.

    Raises:
        ShapeError: An architecture that vLLM does not name, or files of quite another size than
            the dimensions make.
    """
    shape = model.shape
    if shape is None:
        return model
    if shape.architecture and shape.architecture not in load_architectures():
        raise ShapeError(
            f"{shape.architecture} is no architecture that vLLM names, so what its layers hold is "
            "not known"
        )
    if model.files_bytes is None or not _is_sized_by_formula(shape):
        return model
    whole = stored_bytes(shape, shape.quantization) + 2 * shape.tower_params
    if not _LEAST_SHARE * whole <= model.files_bytes <= _MOST_SHARE * whole:
        raise ShapeError(
            f"its dimensions make {whole / 1e9:,.3g} GB of weights, and the files beside it hold "
            f"{model.files_bytes / 1e9:,.3g} GB"
        )
    return model


def _is_sized_by_formula(shape: ModelShape) -> bool:
    found = shape.quantization
    return found is None or found.format is not WeightFormat.UNKNOWN


def _of_facts(facts: ModelFacts, overrides: Mapping[str, Any] | None) -> KnownModel:
    return _of_config(
        facts.full_config or {},
        overrides,
        files_bytes=facts.weights_bytes,
        is_uncertain=facts.uncertain,
    )


def _of_config(
    config: Mapping[str, Any],
    overrides: Mapping[str, Any] | None,
    *,
    files_bytes: int | None = None,
    is_uncertain: bool = False,
) -> KnownModel:
    config = {**config, **(overrides or {})}
    return KnownModel(
        shape=read_shape(config),
        dtype=_dtype(config),
        files_bytes=files_bytes,
        is_uncertain=is_uncertain,
        positions_are_certain=_rope_kind(config) in _TOLD_ROPES,
    )


def _dtype(config: Mapping[str, Any]) -> str:
    for part in (config, config.get("text_config")):
        if isinstance(part, Mapping):
            name = part.get("dtype") or part.get("torch_dtype")
            if isinstance(name, str):
                return name.removeprefix("torch.")
    return ""


def _rope_kind(config: Mapping[str, Any]) -> str:
    for part in (config, config.get("text_config")):
        if isinstance(part, Mapping):
            scaling = part.get("rope_scaling") or part.get("rope_parameters")
            if isinstance(scaling, Mapping):
                return str(scaling.get("rope_type") or scaling.get("type") or "default")
    return "default"


def _synthetic_config(reference: str) -> Mapping[str, Any]:
    # numpy is only needed where a matrix names a synthetic model.
    from hwval.synthetic.architecture import hf_config
    from hwval.synthetic.architecture import parse_synthetic

    return hf_config(parse_synthetic(reference), bos_id=0, eos_id=1, pad_id=2)


def read_object(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds.

    Raises:
        UsageError: It cannot be read, is too large, no JSON, or no object; the message names it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise UsageError(f"{path}: larger than {_MAX_BYTES // 2**20} MiB, no file of its kind")
        data = json.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: holds {type(data).__name__}, expected an object")
    return data


def _files_bytes(folder: Path) -> int | None:
    """Return the size of the tensors, None where no index or no file tells a believable one."""
    try:
        metadata = read_object(folder / "model.safetensors.index.json").get("metadata")
        size = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    except UsageError:
        # ``consolidated.safetensors`` would hold the same once more.
        size = sum(path.stat().st_size for path in folder.glob("model*.safetensors"))
    is_size = isinstance(size, int) and not isinstance(size, bool) and 0 < size < _MOST_FILES_BYTES
    return size if is_size else None
