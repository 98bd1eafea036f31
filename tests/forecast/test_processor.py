"""What is told of the cache of an engine on a processor."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.catalogue import Vendor
from hwval.catalogue import load_catalogue
from hwval.cell import ArgValue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.forecast import Forecast
from hwval.forecast import Forecaster
from hwval.forecast.processor import CACHE_RULE
from hwval.forecast.processor import CACHE_SPACE
from hwval.forecast.processor import space_gib
from hwval.forecast.processor import space_refusals
from hwval.host import Device
from hwval.planning.engine_settings import Version
from hwval.planning.plan import PlanVerdict

GIB = 2**30
CATALOGUE = load_catalogue()
HOST = Device("cpu", "cpu", "x86_64", memory_bytes=24 * GIB)
CPU = "vllm/vllm-openai-cpu:v0.32.0-x86_64"
CELL = Cell("cpu", 1, CPU, "Qwen/Qwen3-0.6B", Dtype.BFLOAT16)


def look(cell: Cell = CELL, *, space: str | None = None, **arguments: ArgValue) -> Forecast:
    named = {"max-model-len": 512} | {name.replace("_", "-"): v for name, v in arguments.items()}
    environment = () if space is None else ((CACHE_SPACE, space),)
    cell = replace(cell, engine_args=tuple(named.items()), environment=environment)
    return Forecaster().forecast(cell, CATALOGUE, CATALOGUE.image(cell.image), (HOST,))


def notes(found: Forecast) -> list[str]:
    return [note.text for note in found.plan.notes if note.rule == CACHE_RULE]


def test_cache_that_nothing_limits_is_told() -> None:
    """With what it takes of the host, and what to write."""
    found = look()
    (note,) = notes(found)

    assert found.verdict is PlanVerdict.RUN
    assert "up to 20.6 GiB of 24.0 GiB" in note
    assert "set `environment: {VLLM_CPU_KVCACHE_SPACE: 1}` (GiB) or more" in note
    (longer,) = notes(look(max_model_len=40960))
    assert "{VLLM_CPU_KVCACHE_SPACE: 5}" in longer  # 4.375 GiB for one request


@pytest.mark.parametrize("model", ["hub:org/unknown", "Qwen/Qwen3-0.6B"])
def test_what_is_advised_is_silent(model: str) -> None:
    """Also where the model is not known."""
    cell = replace(CELL, model=model)
    (note,) = notes(look(cell))
    advised = note.partition(f"{CACHE_SPACE}: ")[2].partition("}")[0]

    assert not notes(look(cell, space=advised))
    assert look(cell, space=advised).verdict is look(cell).verdict


@pytest.mark.parametrize(
    "cell",
    [
        replace(CELL, memory_bytes=8 * GIB),
        replace(CELL, image="vllm/vllm-openai-cpu:v0.11.0"),
        replace(CELL, image="external:staging"),
        replace(CELL, image="michaelf34/infinity:0.0.77-cpu"),
        replace(CELL, hardware="sm_90-h100", image="vllm/vllm-openai:v0.32.0"),
    ],
)
def test_what_is_limited_otherwise_is_not_told(cell: Cell) -> None:
    """A container's limit, 4 GiB of old engines, other servers, memory of its own."""
    assert not notes(look(cell))


def test_other_limits_of_the_cache() -> None:
    """A small share and a size by the flag are somebody's decision."""
    assert not notes(look(gpu_memory_utilization=0.3))
    assert not notes(look(kv_cache_memory_bytes=GIB))
    assert notes(look(gpu_memory_utilization=0.9))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("1 GiB", 1), ("1G", 1), ("16GB", 15), ("8gib", 8), ("1.5", 2), ("512 MiB", 1),
        ("much", 4), ("-3", 4), ("0", 4), ("1e3", 4), ("9" * 5000, 4),
    ],
)  # fmt: skip
def test_values_that_no_engine_reads(value: str, written: int) -> None:
    """They are impossible, and what was meant is told."""
    found = look(space=value)

    assert found.verdict is PlanVerdict.IMPOSSIBLE
    assert f"write {written}, a whole number; GiB are meant" in found.why
    assert not notes(found)


def test_value_is_judged_where_the_model_is_not_known() -> None:
    """The engine reads it all the same; a server that already runs does not."""
    unknown = replace(CELL, model="hub:org/unknown")

    assert look(unknown, space="1 GiB").verdict is PlanVerdict.IMPOSSIBLE
    assert look(replace(unknown, image="external:a"), space="x").verdict is not (
        PlanVerdict.IMPOSSIBLE
    )


@pytest.mark.parametrize(
    ("version", "expected"), [((0, 11), []), ((0, 26), [False]), (None, [False]), ((0, 32), [True])]
)
def test_nothing_is_a_size_of_old_engines(version: Version | None, expected: list[bool]) -> None:
    """0 was vLLM's default once, and is a cache of nothing since."""
    found = space_refusals({CACHE_SPACE: "0"}, Vendor.CPU, version)

    assert [refusal.is_certain for refusal in found] == expected


def test_more_than_the_host_has() -> None:
    """The variable and what it asks for are told, and the sizes that fit."""
    found = look(space="100")

    assert found.verdict is PlanVerdict.IMPOSSIBLE
    assert found.why.startswith("VLLM_CPU_KVCACHE_SPACE asks for 100 GiB of 24.0 GiB; change: ")
    low, high = found.plan.advice[0].split()[1].split("..")
    assert low == "1"
    assert look(space=high).verdict is PlanVerdict.RUN
    assert look(space=str(int(high) + 1)).verdict is PlanVerdict.UNCERTAIN


def test_less_than_one_request_needs() -> None:
    """It is the variable that is too small."""
    found = look(space="1", max_model_len=40960)

    assert found.verdict is PlanVerdict.IMPOSSIBLE
    assert "for one request, VLLM_CPU_KVCACHE_SPACE gives it 1.00 GiB" in found.why
    assert any(text.startswith("VLLM_CPU_KVCACHE_SPACE 5..") for text in found.plan.advice)


@given(st.text(max_size=12))
def test_every_value_is_read_or_refused(value: str) -> None:
    """Never both, and never with an exception."""
    variables = {CACHE_SPACE: value}
    refused = space_refusals(variables, Vendor.CPU, (0, 32))

    assert bool(refused) is (bool(value) and space_gib(variables) is None)
    assert not space_refusals(variables, Vendor.CUDA, (0, 32))
