"""Models of the Hub: this host's cache, and the Hub only if asked."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError
from huggingface_hub.errors import LocalEntryNotFoundError

from hwval.catalogue import load_catalogue
from hwval.errors import UsageError
from hwval.forecast import hub
from hwval.forecast.hub import hub_folder
from hwval.forecast.model import find_model
from tests.planning.configs import LLAMA_8B

REVISION = "0a1b2c3d"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the Hub that holds one model's config.json, at one revision."""
    snapshot = tmp_path / "models--org--name" / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(LLAMA_8B))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_network)
    monkeypatch.setattr("hwval.forecast.hub._outage", lambda: "")
    return tmp_path


def no_network(*_: object, **__: object) -> str:
    raise AssertionError("the Hub was asked")


def test_cache_is_looked_into(cache: Path) -> None:
    """At the revision that the cell names, without asking anybody."""
    found = hub_folder(f"org/name@{REVISION}")

    assert found == cache / "models--org--name" / "snapshots" / REVISION
    assert hub_folder("org/name@another") is None
    assert hub_folder("org/other") is None
    assert hub_folder("no/such/name") is None


def test_model_of_the_cache_is_known(cache: Path) -> None:
    """Its shape is read like that of any folder; others stay unknown."""
    del cache
    known = find_model(f"hub:org/name@{REVISION}", load_catalogue())
    unknown = find_model("hub:org/other", load_catalogue())

    assert known.shape is not None
    assert known.shape.hidden == 4096
    assert "does not hold the dimensions of hub:org/other" in unknown.problem


def test_hub_is_asked_for_two_small_files(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never for weights; a model of one file has no index."""
    asked: list[tuple[str, str, str]] = []

    def download(name: str, file: str, *, revision: str, cache_dir: Path | None) -> str:
        del cache_dir
        asked.append((name, file, revision))
        if file != "config.json":
            raise EntryNotFoundError("404")
        return str(cache / "models--org--name" / "snapshots" / REVISION / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    model = find_model(f"hub:org/name@{REVISION}", load_catalogue(), fetch=True)

    assert model.shape is not None
    assert asked == [
        ("org/name", "config.json", REVISION),
        ("org/name", "model.safetensors.index.json", REVISION),
    ]


def test_hub_that_does_not_answer_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the model, nothing else."""
    del cache

    def download(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("no connection\nand so on")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)

    with pytest.raises(UsageError, match=r"^org/name@1: the Hub gives .*: no connection$"):
        hub_folder("org/name@1", fetch=True)
    with pytest.raises(UsageError, match="write hub:org/name@REVISION"):
        hub_folder("org/name", fetch=True)


def test_hub_that_cannot_be_reached_is_asked_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own library would try for half a minute, for each model again; the cache still helps."""
    asked: list[float] = []

    class Session:
        def head(self, _: str, timeout: float) -> None:
            asked.append(timeout)
            raise ConnectionError("no route\nto the Hub")

    monkeypatch.undo()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    hub._outage.cache_clear()
    catalogue = load_catalogue()
    models = [
        find_model(f"hub:org/{name}@{REVISION}", catalogue, fetch=True) for name in ("a", "b")
    ]
    known = hub_folder(f"org/name@{REVISION}", fetch=True)
    hub._outage.cache_clear()

    assert [model.problem for model in models] == [
        f"org/{name}@{REVISION}: the Hub cannot be reached: no route" for name in ("a", "b")
    ]
    assert known == cache / "models--org--name" / "snapshots" / REVISION
    assert asked == [5.0]
