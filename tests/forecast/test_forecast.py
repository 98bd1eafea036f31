"""From a cell to what is known of it before it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from hwval.catalogue import Catalogue
from hwval.catalogue import CatalogueSection
from hwval.catalogue import load_catalogue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.forecast import Forecast
from hwval.forecast import Forecaster
from hwval.host import Device
from hwval.planning.plan import PlanVerdict
from tests.planning.configs import LLAMA_8B

GIB = 2**30
CATALOGUE = load_catalogue()
CUDA = "vllm/vllm-openai:v0.33.0"
ROCM = "vllm/vllm-openai-rocm:v0.33.0"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
ZOO = {
    "four-bit": {"source": "x", "config": LLAMA_8B, "quantization_config": {"quant_method": "new"}},
    "only-files": {"source": "x", "weights": "30 GB"},
    "guessed": {"source": "x", "config": LLAMA_8B, "uncertain": True},
}


def cell_of(
    hardware: str,
    model: str,
    *,
    image: str = CUDA,
    dtype: Dtype = Dtype.AUTO,
    count: int = 1,
    partition: str = "",
    **arguments: Any,
) -> Cell:
    named = sorted((name.replace("_", "-"), value) for name, value in arguments.items())
    return Cell(
        hardware, count, image, model, dtype, engine_args=tuple(named), partition_mode=partition
    )


def look(cell: Cell, *devices: Device, catalogue: Catalogue = CATALOGUE) -> Forecast:
    return Forecaster().forecast(cell, catalogue, catalogue.image(cell.image), devices)


@pytest.mark.parametrize(
    ("cell", "verdict", "why"),
    [
        pytest.param(
            cell_of("sm_90-h100", LLAMA, max_model_len=8192), PlanVerdict.RUN, "", id="fits"
        ),
        pytest.param(
            cell_of("sm_86-rtx3060-12gb", LLAMA, max_model_len=4096),
            PlanVerdict.IMPOSSIBLE,
            "weights take 14.9 GiB of 11.0 GiB",
            id="too big",
        ),
        pytest.param(
            cell_of("sm_86-rtx3060-12gb", "mistralai/Ministral-3-14B-Instruct-2512"),
            PlanVerdict.IMPOSSIBLE,
            "weights take 14.4 GiB of 11.0 GiB",
            id="too big by figures that are marked uncertain",
        ),
        pytest.param(
            cell_of("sm_75-t4", "Qwen/Qwen3-0.6B", dtype=Dtype.BFLOAT16),
            PlanVerdict.IMPOSSIBLE,
            "sm_75 has no bfloat16",
            id="dtype",
        ),
        pytest.param(
            cell_of("sm_90-h100", LLAMA, max_model_len=8192, tensor_parallel_size=2),
            PlanVerdict.IMPOSSIBLE,
            "the engine takes 2 devices, the cell has 1",
            id="devices",
        ),
        pytest.param(
            cell_of("gfx1151-strix-halo", "mistralai/Ministral-3-3B-Instruct-2512", image=ROCM),
            PlanVerdict.IMPOSSIBLE,
            "gfx1151 has no FP8",
            id="quantization",
        ),
        pytest.param(
            cell_of("sm_90-h100", LLAMA, max_model_len=131073),
            PlanVerdict.IMPOSSIBLE,
            "131073 of a model that knows 131072 positions",
            id="positions",
        ),
        pytest.param(
            cell_of("gfx942-mi300x-cpx-nps4", "meta-llama/Llama-2-13b-hf", image=ROCM),
            PlanVerdict.IMPOSSIBLE,
            "weights take 24.2 GiB of 22.1 GiB",
            id="partition by its name",
        ),
        pytest.param(
            cell_of("gfx942-mi300x", "meta-llama/Llama-2-13b-hf", image=ROCM, partition="cpx/nps4"),
            PlanVerdict.IMPOSSIBLE,
            "weights take 24.2 GiB of 22.1 GiB",
            id="partition by its mode",
        ),
        pytest.param(
            cell_of("sm_90-h100", "hub:org/name"),
            PlanVerdict.UNKNOWN,
            "the catalogue does not hold the dimensions of hub:org/name",
            id="unknown model",
        ),
        pytest.param(
            cell_of("cpu", "Qwen/Qwen3-0.6B"),
            PlanVerdict.UNKNOWN,
            "how much memory cpu has is not known",
            id="unknown memory",
        ),
        pytest.param(
            cell_of("sm_90-h100", LLAMA, image="external:llama-cpp"),
            PlanVerdict.UNCERTAIN,
            "a server that already runs",
            id="not vLLM",
        ),
        pytest.param(
            cell_of("gfx942-mi300x", LLAMA, image=ROCM, partition="abc"),
            PlanVerdict.UNKNOWN,
            "no partition mode 'abc'",
            id="unknown partition mode",
        ),
        pytest.param(
            cell_of("sm_90-h100", LLAMA, gpu_memory_utilization=1.5),
            PlanVerdict.UNKNOWN,
            "gpu-memory-utilization is 1.5",
            id="absurd argument",
        ),
    ],
)
def test_verdicts(cell: Cell, verdict: PlanVerdict, why: str) -> None:
    """What is decided, and the sentence that says so."""
    found = look(cell)

    assert found.verdict is verdict
    assert why in found.why
    assert bool(found.why) is (verdict is not PlanVerdict.RUN)


@pytest.mark.parametrize(
    ("image", "verdict"),
    [
        ("vllm/vllm-openai:v0.33.0", PlanVerdict.IMPOSSIBLE),
        ("vllm/vllm-openai:v0.14.1", PlanVerdict.RUN),
        ("vllm/vllm-openai:latest", PlanVerdict.RUN),
    ],
)
def test_flags_that_the_image_refuses(image: str, verdict: PlanVerdict) -> None:
    """A command line of one release is held against another before any GPU is touched."""
    found = look(cell_of("sm_90-h100", LLAMA, image=image, max_model_len=8192, swap_space=16))

    assert found.verdict is verdict
    if found.is_impossible:
        assert found.against[0].rule == "engine-flag"
        assert "vLLM 0.33.0 refuses --swap-space, gone since 0.18.0" in found.why
        assert found.plan.memory is not None


def test_flags_are_judged_where_the_model_is_not_known() -> None:
    """What is refused for sure is impossible, whatever else nobody knows."""
    found = look(cell_of("sm_90-h100", "hub:org/name", swap_space=16))

    assert found.verdict is PlanVerdict.IMPOSSIBLE


def test_what_the_catalogue_notes() -> None:
    """A tag that moved, a partition: told, and the verdict stays what it is."""
    found = look(
        cell_of(
            "gfx942-mi300x-cpx-nps4",
            "Qwen/Qwen3-0.6B",
            image="rocm/vllm:instinct_main",
            max_model_len=4096,
        )
    )

    assert found.verdict is PlanVerdict.RUN
    assert [note.rule for note in found.plan.notes] == ["image", "partition"]
    assert "not found on Docker Hub" in found.plan.notes[0].text


@pytest.mark.parametrize(
    ("hardware", "dtype"), [("sm_90-h100", "bfloat16"), ("sm_75-t4", "float32")]
)
def test_auto_dtype_is_one_that_the_family_takes(hardware: str, dtype: str) -> None:
    """Gemma is refused in float16, a T4 has no bfloat16: what is left is float32."""
    found = look(cell_of(hardware, "google/gemma-3-4b-it", max_model_len=2048))
    other = look(cell_of(hardware, "google/gemma-3-4b-it", max_model_len=2048, dtype=Dtype(dtype)))

    assert found.plan.memory is not None
    assert other.plan.memory is not None
    assert found.plan.memory.weights == other.plan.memory.weights
    assert not any(reason.rule == "model-dtype" for reason in found.plan.reasons)


def test_memory_of_the_host_counts() -> None:
    """A card that holds less than the catalogue says is planned as it is."""
    cell = cell_of("sm_86-rtx3090", LLAMA, max_model_len=4096)
    small = Device("0", "cuda", "sm_86", memory_bytes=16 * GIB)

    assert look(cell).verdict is PlanVerdict.RUN
    assert look(cell, small).is_impossible


def test_advice_is_told() -> None:
    """What would fit stands behind what does not."""
    found = look(cell_of("sm_90-h100", "meta-llama/Llama-3.1-70B-Instruct", max_model_len=8192))

    assert found.is_impossible
    assert found.why.endswith("change: --tensor-parallel-size 4 fits, on 4 such devices")


def test_unified_memory_is_never_sure() -> None:
    """How much of it the GPU may use is the host's affair, until a host says so."""
    cell = cell_of("gfx1151-strix-halo", LLAMA, image=ROCM, max_model_len=8192)
    here = Device("0", "rocm", "gfx1151", memory_bytes=96 * GIB)

    assert look(cell).verdict is PlanVerdict.UNCERTAIN
    assert look(cell, here).verdict is PlanVerdict.RUN
    assert look(cell_of("gfx1151-strix-halo", "meta-llama/Llama-3.1-70B-Instruct")).is_impossible


def test_auto_dtype_is_one_that_the_hardware_has() -> None:
    """vLLM falls back to float16 where a bfloat16 checkpoint meets a device without it."""
    found = look(cell_of("sm_75-t4", "Qwen/Qwen3-0.6B", max_model_len=4096))

    assert "bfloat16" not in found.why
    assert not found.is_impossible


def test_positions_may_be_exceeded_if_asked() -> None:
    """vLLM lets who sets a variable have longer requests."""
    cell = Cell(
        *("sm_90-h100", 1, CUDA, "Qwen/Qwen3-0.6B", Dtype.AUTO),
        engine_args=(("max-model-len", 50000),),
        environment=(("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "1"),),
    )

    assert look(cell).verdict is PlanVerdict.RUN


def test_overrides_change_the_model() -> None:
    """`--hf-overrides` counts as config.json."""
    overrides = json.dumps({"max_position_embeddings": 65536})
    arguments: dict[str, Any] = {"max_model_len": 50000, "hf_overrides": overrides}

    assert look(cell_of("sm_90-h100", "Qwen/Qwen3-0.6B", **arguments)).verdict is PlanVerdict.RUN


def test_draft_takes_memory() -> None:
    """A draft model's weights are added; one that is not known makes the plan uncertain."""
    plain = cell_of("sm_90-h100", LLAMA, max_model_len=8192)
    known, unknown = (
        look(
            cell_of(
                *("sm_90-h100", LLAMA),
                max_model_len=8192,
                speculative_config=json.dumps({"model": name, "num_speculative_tokens": 3}),
            )
        )
        for name in ("Qwen/Qwen3-0.6B", "org/eagle")
    )
    extra = known.numbers["planned_weights_bytes"] - look(plain).numbers["planned_weights_bytes"]

    assert extra == pytest.approx(1.2e9, rel=0.05)
    assert (known.verdict, known.is_speculative) == (PlanVerdict.RUN, True)
    assert unknown.verdict is PlanVerdict.UNCERTAIN
    assert "the draft is not counted: the catalogue does not hold" in unknown.why


def own(**models: Any) -> Catalogue:
    return CATALOGUE.extended(CatalogueSection.model_validate({"models": models}))


def test_size_of_the_files_helps_where_the_shape_does_not() -> None:
    """Too big is too big; anything else stays unknown."""
    catalogue = own(**ZOO)
    small = look(cell_of("sm_86-rtx3060-12gb", "only-files"), catalogue=catalogue)
    large = look(cell_of("sm_90-h100", "only-files"), catalogue=catalogue)
    shrunk = look(
        cell_of("sm_86-rtx3060-12gb", "only-files", quantization="fp8"), catalogue=catalogue
    )

    assert small.is_impossible
    assert "the files alone take" in small.why
    assert large.verdict is PlanVerdict.UNKNOWN
    assert shrunk.verdict is PlanVerdict.UNKNOWN


def test_unknown_quantization_is_unknown() -> None:
    """No bytes are made up for a method that nobody knows."""
    found = look(cell_of("sm_90-h100", "four-bit", max_model_len=4096), catalogue=own(**ZOO))

    assert found.verdict is PlanVerdict.UNKNOWN
    assert "'new'" in found.why


def test_uncertain_facts_do_not_decide_a_near_miss() -> None:
    """By five percent is uncertain, by half is not."""
    catalogue = own(**ZOO)
    near, far = (
        look(
            cell_of("sm_90-h100", "guessed", max_model_len=64),
            Device("0", "cuda", "sm_90", memory_bytes=int(size * GIB)),
            catalogue=catalogue,
        )
        for size in (16, 8)
    )

    assert near.verdict is PlanVerdict.UNCERTAIN
    assert "the catalogue marks dimensions of guessed as uncertain" in near.why
    assert far.is_impossible


def test_numbers_for_the_engines_own_log() -> None:
    """Weights and tokens as bounds that hold each other."""
    numbers = look(cell_of("sm_90-h100", LLAMA, max_model_len=8192)).numbers

    assert numbers["planned_weights_bytes"] == pytest.approx(16.06e9, rel=0.01)
    assert (
        numbers["planned_weights_least_bytes"]
        < numbers["planned_weights_bytes"]
        < numbers["planned_weights_most_bytes"]
    )
    assert 0 < numbers["planned_kv_cache_least_tokens"] < numbers["planned_kv_cache_most_tokens"]
    assert look(cell_of("cpu", LLAMA)).numbers == {}


def test_cells_that_differ_in_name_are_planned_once() -> None:
    """A variant's name changes nothing."""
    forecaster, image = Forecaster(), CATALOGUE.image(CUDA)
    one, two = (
        Cell("sm_90-h100", 1, CUDA, LLAMA, Dtype.AUTO, variant=name) for name in ("one", "two")
    )

    assert forecaster.forecast(one, CATALOGUE, image) is forecaster.forecast(two, CATALOGUE, image)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *LLAMA_8B,
        *("head_dim", "quantization_config", "text_config", "vision_config", "rope_scaling"),
        *("layer_types", "num_experts", "num_experts_per_tok", "moe_intermediate_size"),
        *("kv_lora_rank", "sliding_window", "torch_dtype", "dtype", "num_local_experts"),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_absurd_configs_never_crash(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Whatever stands in config.json: a verdict with a reason, and JSON without infinities."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_8B | changes))
    found = look(cell_of("sm_90-h100", str(tmp_path), max_model_len=4096))

    json.dumps(found.to_json(), allow_nan=False)
    assert found.verdict in PlanVerdict
    assert found.why or found.verdict is PlanVerdict.RUN


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size"),
                *("max-model-len", "gpu-memory-utilization", "max-num-seqs", "block-size"),
                *("max-num-batched-tokens", "kv-cache-memory-bytes", "kv-cache-dtype"),
                *("quantization", "cpu-offload-gb", "speculative-config", "hf-overrides"),
                *("compilation-config", "limit-mm-per-prompt", "enforce-eager"),
            ]
        ),
        st.booleans() | st.integers(-10, 2**40) | st.floats() | st.text(max_size=8),
        max_size=4,
    )
)
def test_absurd_arguments_never_crash(arguments: dict[str, Any]) -> None:
    """A flag that vLLM will refuse is unknown here, with its name."""
    cell = cell_of("sm_90-h100", LLAMA, count=4)
    cell = Cell(*(cell.hardware, 4, CUDA, LLAMA, Dtype.AUTO), engine_args=(*arguments.items(),))
    found = look(cell)

    json.dumps(found.to_json(), allow_nan=False)
    assert found.why or found.verdict is PlanVerdict.RUN
