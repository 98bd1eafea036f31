"""Requests that never fit into a cell's context."""

from __future__ import annotations

from typing import Any

import pytest

from hwval.catalogue import Capability
from hwval.catalogue import Catalogue
from hwval.catalogue import EngineKind
from hwval.catalogue import ImageFacts
from hwval.catalogue import ModelFacts
from hwval.catalogue import Vendor
from hwval.cell import ArgValue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.matrix import Deadlines
from hwval.matrix import MatrixEntry
from hwval.matrix import PromisesSection
from hwval.matrix import overlong_requests

CATALOGUE = Catalogue(
    {},
    {
        "img": ImageFacts(vendors=(Vendor.CPU,), source="s"),
        "elsewhere": ImageFacts(vendors=(Vendor.CPU,), engine=EngineKind.EXTERNAL, source="s"),
    },
    {
        "known": ModelFacts(max_context_tokens=4096, source="s"),
        "unknown": ModelFacts(source="s"),
        "embeds": ModelFacts(
            max_context_tokens=512, capabilities=(Capability.EMBEDDINGS,), source="s"
        ),
    },
)
EVERYTHING: dict[str, Any] = {
    "performance": {"single_stream": {}, "bench_serve": {}},
    "accuracy": {"one": {"max_tokens": 512}, "two": {"max_tokens": 512, "api": "chat"}},
    "capabilities": {"needle": {"tokens": 1024}},
}


def problems(
    promises: dict[str, Any], *, model: str = "unknown", image: str = "img:1", **flags: ArgValue
) -> list[str]:
    """Return what is told of a cell; flags as Python can write them."""
    engine = tuple((name.replace("_", "-"), value) for name, value in flags.items())
    cell = Cell("cpu", 1, image, model, Dtype.AUTO, engine_args=engine)
    asked = PromisesSection.model_validate(promises)
    entry = MatrixEntry(cell, asked, Deadlines(), (), "m.yaml:1", catalogue=CATALOGUE)
    return list(overlong_requests(entry))


def serving(**question: Any) -> dict[str, Any]:
    return {"performance": {"single_stream": question}}


def test_prompt_and_answer_together_fit_or_not() -> None:
    """The longest of a range counts."""
    fits = serving(input_tokens="64..1000", output_tokens=24)

    assert problems(fits, max_model_len=1024) == []
    (problem,) = problems(fits, max_model_len=1023)

    assert problem == (
        "promises.performance.single_stream: its requests take 1,024 tokens, "
        "engine.max-model-len is 1,023; lower input_tokens or output_tokens, "
        "or raise engine.max-model-len"
    )


@pytest.mark.parametrize(
    ("promises", "told"),
    [
        (
            {"performance": {"chunked_prefill": {"long_input_tokens": 512}}},
            "performance.chunked_prefill: its requests take 513 tokens",
        ),
        (
            {"performance": {"bench_serve": {"input_tokens": 500, "output_tokens": 13}}},
            "performance.bench_serve: its requests take 513 tokens",
        ),
        (
            {"accuracy": {"gsm8k": {"max_tokens": 512}}},
            "accuracy.gsm8k: a question and its longest answer take at least 513 tokens",
        ),
        (
            {"capabilities": {"needle": {"tokens": 513}}},
            "capabilities.needle: its prompts take 513 tokens",
        ),
    ],
)
def test_every_length_that_a_matrix_can_ask_for(promises: dict[str, Any], told: str) -> None:
    """Each by its own key."""
    (problem,) = problems(promises, max_model_len=512)

    assert told in problem
    assert problems(promises, max_model_len=513) == []


def test_context_of_the_model_counts_where_the_engine_is_not_told_one() -> None:
    """The flag goes before it, be it longer or shorter."""
    asked = serving(input_tokens=4000, output_tokens=97)
    (problem,) = problems(asked, model="known")

    assert "4,097 tokens, the context of known has 4,096; lower" in problem
    assert problems(asked, model="known", max_model_len=8192) == []
    assert problems(asked, model="known", max_model_len=2048)


@pytest.mark.parametrize(
    "flag",
    ["config", "config_format", "hf_config_path", "hf_overrides", "hf_overrides.x", "rope_scaling"],
)
def test_what_is_not_known_is_left_to_the_run(flag: str) -> None:
    """A model that nobody described, or whose config the engine is told to read otherwise."""
    asked = serving(input_tokens=2**20)

    assert problems(asked) == []
    assert problems(asked, model="known", **{flag: "{}"}) == []


def test_server_that_already_runs_tells_its_context_itself() -> None:
    """It may have been told of a longer one."""
    assert problems(serving(input_tokens=2**20), model="known", image="elsewhere:1") == []


def test_what_a_cell_is_not_asked_need_not_fit() -> None:
    """A matrix promises speed and accuracy for all its cells, also for those that only embed."""
    assert problems(EVERYTHING, model="embeds") == []
    assert problems(EVERYTHING, max_model_len=64, runner="pooling") == []
    assert len(problems(EVERYTHING, max_model_len=64)) == 5
    chats = {"capabilities": {**EVERYTHING["capabilities"], "remove": ["completions"]}}
    (left,) = problems(EVERYTHING | chats, max_model_len=64)
    assert left.startswith("promises.accuracy.two: ")
