"""Servers that are not vLLM, or not started here: physics alone."""

from __future__ import annotations

from typing import Any

import pytest

from hwval.catalogue import Catalogue
from hwval.catalogue import CatalogueSection
from hwval.catalogue import load_catalogue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.forecast import Forecast
from hwval.forecast import Forecaster
from hwval.planning.plan import PlanVerdict

CATALOGUE = load_catalogue()
GGUF = "bartowski/Qwen2.5-14B-Instruct-GGUF"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"


def look(
    hardware: str,
    image: str,
    model: str,
    *,
    count: int = 1,
    catalogue: Catalogue = CATALOGUE,
    **arguments: Any,
) -> Forecast:
    named = tuple(sorted((name.replace("_", "-"), value) for name, value in arguments.items()))
    cell = Cell(hardware, count, image, model, Dtype.AUTO, engine_args=named)
    return Forecaster().forecast(cell, catalogue, catalogue.image(image))


@pytest.mark.parametrize(
    ("hardware", "image", "model", "verdict", "why"),
    [
        pytest.param(
            "gfx1151-strix-halo",
            "external:llama.cpp",
            GGUF,
            PlanVerdict.UNCERTAIN,
            "llama.cpp, a server that already runs: what it reserves is its own affair",
            id="fits",
        ),
        pytest.param(
            "gfx1151-strix-halo",
            "external:llama.cpp",
            LLAMA_70B,
            PlanVerdict.IMPOSSIBLE,
            "the weights alone take 118 GiB of",
            id="no other memory to go to",
        ),
        pytest.param(
            "gfx1100-7900xtx",
            "external:ollama",
            LLAMA_70B,
            PlanVerdict.UNCERTAIN,
            "the rest would lie in the host's memory",
            id="may lie on the host",
        ),
        pytest.param(
            "gfx1100-7900xtx",
            "external:sglang",
            LLAMA_70B,
            PlanVerdict.IMPOSSIBLE,
            "of 24.0 GiB",
            id="must lie on the device",
        ),
        pytest.param(
            "sm_90-h100",
            "michaelf34/infinity:0.0.70",
            "nomic-ai/nomic-embed-text-v1.5",
            PlanVerdict.UNCERTAIN,
            "infinity, not vLLM",
            id="started here",
        ),
        pytest.param(
            "sm_90-h100",
            "external:staging",
            "hub:org/name",
            PlanVerdict.UNCERTAIN,
            "vllm, a server that already runs",
            id="model that nobody knows",
        ),
    ],
)
def test_verdicts(hardware: str, image: str, model: str, verdict: PlanVerdict, why: str) -> None:
    """Weights that fit nowhere are impossible; everything else is the server's own affair."""
    if hardware == "gfx1151-strix-halo" and model == LLAMA_70B:
        small = CATALOGUE.hardware(hardware).model_copy(update={"memory_at_most_bytes": 64 * 2**30})
        catalogue = CATALOGUE.extended(CatalogueSection(hardware={hardware: small}))
        found = look(hardware, image, model, catalogue=catalogue)
    else:
        found = look(hardware, image, model)

    assert found.verdict is verdict
    assert why in found.why
    assert found.plan.memory is None
    assert found.plan.advice == ()


def test_ceiling_holds_for_every_server() -> None:
    """No engine reads faster than its memory; all devices may read at the same time."""
    one = look("gfx1151-strix-halo", "external:llama.cpp", GGUF).plan.ceiling
    four = look("sm_90-h100", "external:sglang", LLAMA_70B, count=4).plan.ceiling

    assert one is not None
    assert one.decode_tokens_per_s == pytest.approx(34.4, abs=0.1)
    assert four is not None
    assert four.decode_tokens_per_s == pytest.approx(4 * 3350 / 139, rel=0.01)


def test_flags_are_of_another_program() -> None:
    """What a matrix says of vLLM's flags means nothing to it."""
    found = look(
        "gfx1151-strix-halo", "external:ollama", GGUF, swap_space=16, gpu_memory_utilization=7.0
    )

    assert found.verdict is PlanVerdict.UNCERTAIN
    assert found.plan.notes == ()
