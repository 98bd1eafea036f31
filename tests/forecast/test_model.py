"""What is known of a model, and what is said where it is not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hwval.catalogue import load_catalogue
from hwval.errors import UsageError
from hwval.forecast.model import find_model
from hwval.forecast.model import read_folder
from hwval.forecast.model import read_object
from tests.planning.configs import LLAMA_8B

CATALOGUE = load_catalogue()


def folder_of(path: Path, config: dict[str, Any] | str, **files: str) -> Path:
    """Return a checkpoint's folder without its weights."""
    text = config if isinstance(config, str) else json.dumps(config)
    (path / "config.json").write_text(text)
    for name, content in files.items():
        (path / f"{name.replace('__', '.')}.json").write_text(content)
    return path


@pytest.mark.parametrize("reference", ["Qwen/Qwen3-0.6B", "hub:Qwen/Qwen3-0.6B@abc"])
def test_catalogue_knows_shapes(reference: str) -> None:
    """By name or by the Hub's."""
    model = find_model(reference, CATALOGUE)

    assert model.shape is not None
    assert (model.shape.layer_count, model.dtype, model.problem) == (28, "bfloat16", "")
    assert model.files_bytes == 1_192_000_000


def test_synthetic_models_are_their_recipes() -> None:
    """Nothing is made to know its shape."""
    model = find_model("synthetic:qwen3-moe", CATALOGUE)

    assert model.shape is not None
    assert (model.shape.hidden, model.shape.max_positions) == (128, 2048)


def test_folder_is_read(tmp_path: Path) -> None:
    """Shape from config.json, size from the index."""
    index = json.dumps({"metadata": {"total_size": 16_060_522_496}, "weight_map": {}})
    folder = folder_of(tmp_path, LLAMA_8B, model__safetensors__index=index)
    model = find_model(str(folder), CATALOGUE)

    assert model.shape is not None
    assert (model.shape.hidden, model.files_bytes, model.dtype) == (4096, 16060522496, "bfloat16")


def test_files_without_an_index_are_added_up(tmp_path: Path) -> None:
    """Once: some repositories hold the same in another layout."""
    folder = folder_of(tmp_path, LLAMA_8B)
    for name in ("model-1-of-2", "model-2-of-2", "consolidated"):
        with (folder / f"{name}.safetensors").open("wb") as file:
            file.truncate(8 * 10**9)  # sparse: takes no room

    assert read_folder(folder).files_bytes == 16 * 10**9


@pytest.mark.parametrize("size", [-5, 10**30, "many", True, None])
def test_unbelievable_sizes_are_left_out(tmp_path: Path, size: object) -> None:
    """An index is a file like any other."""
    index = json.dumps({"metadata": {"total_size": size}})

    assert (
        read_folder(folder_of(tmp_path, LLAMA_8B, model__safetensors__index=index)).files_bytes
        is None
    )


@pytest.mark.parametrize("size", [1000, 70 * 10**9])
def test_files_of_another_size_than_the_dimensions_make(tmp_path: Path, size: int) -> None:
    """One of both is wrong, and nobody knows which."""
    index = json.dumps({"metadata": {"total_size": size}})

    with pytest.raises(UsageError, match=r"its dimensions make 16\.1 GB of weights, and the files"):
        read_folder(folder_of(tmp_path, LLAMA_8B, model__safetensors__index=index))


def test_checkpoint_in_32_bits_is_no_other_model(tmp_path: Path) -> None:
    """Twice the bytes that are loaded."""
    index = json.dumps({"metadata": {"total_size": 32121044992}})
    folder = folder_of(tmp_path, LLAMA_8B, model__safetensors__index=index)

    assert read_folder(folder).files_bytes == 32121044992


def test_architecture_that_vllm_does_not_name(tmp_path: Path) -> None:
    """Its layers may hold anything."""
    config = LLAMA_8B | {"architectures": ["BlorpForCausalLM"]}

    with pytest.raises(UsageError, match="BlorpForCausalLM is no architecture that vLLM names"):
        read_folder(folder_of(tmp_path, config))


def test_quantization_in_a_file_of_its_own(tmp_path: Path) -> None:
    """ModelOpt leaves it beside config.json."""
    other = json.dumps({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8"}})
    shape = read_folder(folder_of(tmp_path, LLAMA_8B, hf_quant_config=other)).shape

    assert shape is not None
    assert shape.quantization is not None
    assert (shape.quantization.method, shape.quantization.format) == ("modelopt", "fp8")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        pytest.param("{", "not readable as JSON", id="broken"),
        pytest.param("[" * 100_000, "not readable as JSON", id="deep"),
        pytest.param("[]", "holds list, expected an object", id="a list"),
        pytest.param(
            LLAMA_8B | {"num_attention_heads": -32}, "num_attention_heads is -32", id="negative"
        ),
        pytest.param(
            LLAMA_8B | {"num_hidden_layers": 10**18},
            "num_hidden_layers is 1000000000000000000",
            id="too many layers",
        ),
        pytest.param(LLAMA_8B | {"hidden_size": None}, "no 'hidden_size'", id="missing"),
        pytest.param(LLAMA_8B | {"hidden_size": "4096"}, "hidden_size is '4096'", id="text"),
    ],
)
def test_broken_configs_are_told_by_name(
    tmp_path: Path, config: dict[str, Any] | str, problem: str
) -> None:
    """File, field, value; no shape is made up."""
    model = find_model(str(folder_of(tmp_path, config)), CATALOGUE)

    assert model.shape is None
    assert f"{tmp_path / 'config.json'}: " in model.problem
    assert problem in model.problem


def test_config_that_is_no_file(tmp_path: Path) -> None:
    """A pipe or a folder of that name is told, and not waited for."""
    os.mkfifo(tmp_path / "config.json")

    with pytest.raises(UsageError, match=r"config\.json: is no file"):
        read_folder(tmp_path)


def test_file_without_an_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only so much is read of a file as one of its kind can have."""
    monkeypatch.setattr("hwval.forecast.model._MAX_BYTES", 2**20)
    (tmp_path / "large.json").write_text(" " * (2**20 + 1))

    with pytest.raises(UsageError, match="larger than 1 MiB"):
        read_object(tmp_path / "large.json")
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        read_object(Path("/dev/zero"))


def test_folder_that_is_elsewhere(tmp_path: Path) -> None:
    """A path of another host says so."""
    with pytest.raises(UsageError, match="no folder on this host"):
        read_folder(tmp_path / "none")
    with pytest.raises(UsageError, match=r"config\.json: cannot be read"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("scaling", "certain"),
    [({}, True), ({"rope_type": "llama3", "factor": 8.0}, True), ({"type": "linear"}, False)],
)
def test_positions_of_stretched_ropes_are_not_certain(
    tmp_path: Path, *, scaling: dict[str, Any], certain: bool
) -> None:
    """vLLM multiplies some of them."""
    model = read_folder(folder_of(tmp_path, LLAMA_8B | {"rope_scaling": scaling}))

    assert model.positions_are_certain is certain


def test_name_that_is_none() -> None:
    """A draft may be named by anything."""
    assert "not in the catalogue" in find_model("org/name", CATALOGUE).problem
