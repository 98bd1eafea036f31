"""Synthetic checkpoints: found by name, complete, reproducible, and cached."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwval.errors import UsageError
from hwval.synthetic import ARCHITECTURES
from hwval.synthetic import parse_synthetic
from hwval.synthetic import prepare_synthetic
from hwval.synthetic.sight import PROCESSOR_FILES


def _digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_reference_names_a_model_with_and_without_prefix() -> None:
    """``synthetic:qwen3`` and ``qwen3`` are the same model."""
    assert parse_synthetic("synthetic:qwen3") is parse_synthetic("qwen3")
    assert parse_synthetic("qwen3").architecture == "Qwen3ForCausalLM"


def test_every_family_of_the_smoke_matrix_is_known() -> None:
    """The families that the matrices name exist."""
    assert {"llama", "qwen3", "gemma3", "mistral", "phi3", "qwen3-moe"} <= set(ARCHITECTURES)


def test_misspelt_model_lists_near_matches() -> None:
    """A typing error leads to the name that was meant."""
    with pytest.raises(UsageError, match=r"unknown synthetic model 'synthetic:lama'.*llama"):
        parse_synthetic("synthetic:lama")


def test_unlike_name_tells_some_that_are_known() -> None:
    """A name that resembles nothing leads to the first of the list."""
    with pytest.raises(
        UsageError,
        match=r"known are synthetic:llama, synthetic:qwen3, synthetic:gemma3 and \d+ more",
    ):
        parse_synthetic("synthetic:xyzzy")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_checkpoint_has_the_files_of_a_hub_checkpoint(name: str, tmp_path: Path) -> None:
    """An engine finds what it expects, and the config says what the model says."""
    folder = prepare_synthetic(f"synthetic:{name}", tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config", config)

    assert set(_digests(folder)) - set(PROCESSOR_FILES) == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert folder.parent == tmp_path / "synthetic"
    assert folder.name.startswith(f"{name}-")
    assert config["architectures"] == [ARCHITECTURES[name].architecture]
    assert text["max_position_embeddings"] == ARCHITECTURES[name].max_context_tokens


def test_generation_config_changes_no_sampling_default(tmp_path: Path) -> None:
    """Only token ids are set, so that requests mean what they say."""
    folder = prepare_synthetic("synthetic:llama", tmp_path)
    generation = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))

    assert set(generation) == {"bos_token_id", "eos_token_id", "pad_token_id"}


@pytest.mark.parametrize("name", ["llama", "gemma3", "qwen3-moe"])
def test_checkpoint_is_the_same_bytes_in_another_process(name: str, tmp_path: Path) -> None:
    """Neither hash seeds nor the order of work change a bit."""
    here = prepare_synthetic(name, tmp_path / "here")
    code = "import sys, pathlib; from hwval.synthetic import prepare_synthetic as p; "
    code += "print(p(sys.argv[1], pathlib.Path(sys.argv[2])))"
    argv = [sys.executable, "-c", code, name, str(tmp_path / "there")]
    environment = os.environ | {"PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(argv, check=True, capture_output=True, text=True, env=environment)

    assert _digests(here) == _digests(Path(result.stdout.strip()))


def test_second_call_writes_nothing(tmp_path: Path) -> None:
    """A checkpoint that is there is used as it is."""
    folder = prepare_synthetic("synthetic:phi3", tmp_path)
    written = (folder / "model.safetensors").stat().st_mtime_ns

    assert prepare_synthetic("synthetic:phi3", tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


def test_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint is there completely or not at all."""

    def refuse(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("hwval.synthetic._write_safetensors", refuse)
    with pytest.raises(OSError, match="no space"):
        prepare_synthetic("synthetic:llama", tmp_path)

    assert list((tmp_path / "synthetic").iterdir()) == []


def test_dishonest_checkpoint_claims_a_quantization(tmp_path: Path) -> None:
    """The variant for refusals differs from the plain model in its config alone."""
    folder = prepare_synthetic("synthetic:llama-bitsandbytes", tmp_path)
    plain = prepare_synthetic("synthetic:llama", tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))

    assert config["quantization_config"]["quant_method"] == "bitsandbytes"
    differing = {
        name for name, digest in _digests(plain).items() if _digests(folder)[name] != digest
    }
    assert differing == {"config.json"}
