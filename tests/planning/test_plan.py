"""A cell planned as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import MemoryDevice
from hwval.planning.interval import GIB_BYTES
from hwval.planning.model_shape import ShapeError
from hwval.planning.model_shape import read_shape
from hwval.planning.parallelism import Parallelism
from hwval.planning.partition import parse_partition
from hwval.planning.plan import Accelerator
from hwval.planning.plan import Plan
from hwval.planning.plan import PlanVerdict
from hwval.planning.plan import effective_quantization
from hwval.planning.plan import plan
from hwval.planning.quantization import WeightFormat
from hwval.planning.roofline import Speed
from tests.planning.configs import ALL
from tests.planning.configs import AWQ
from tests.planning.configs import LLAMA_2_7B
from tests.planning.configs import LLAMA_8B
from tests.planning.configs import LLAMA_70B
from tests.planning.configs import QWEN2_14B

H100 = Accelerator(
    "sm_90",
    MemoryDevice("cuda", 80 * GIB_BYTES, "H100"),
    Speed(3.35e12, {"bfloat16": 989e12, "fp8": 1979e12}),
    count=8,
)
MI300X = Accelerator(
    "gfx942",
    MemoryDevice("rocm", 192 * GIB_BYTES, "MI300X"),
    Speed(5.3e12, {"bfloat16": 1307.4e12}),
)
MI60 = Accelerator("gfx906", MemoryDevice("rocm", 32 * GIB_BYTES, "MI60"), count=2)


def planned(config: dict[str, Any], accelerator: Accelerator, **options: Any) -> Plan:
    settings = {
        name: options.pop(name)
        for name in ("parallelism", "max_model_len_tokens", "version")
        if name in options
    }
    return plan(read_shape(config), EngineSettings(**settings), accelerator, **options)


def test_a_cell_that_runs() -> None:
    """With its ceiling, and no advice."""
    found = planned(LLAMA_8B, H100, max_model_len_tokens=8192)

    assert found.verdict is PlanVerdict.RUN
    assert found.ceiling is not None
    assert found.ceiling.decode_tokens_per_s == pytest.approx(223.2, rel=0.01)
    assert found.advice == ()
    assert found.tensor_parallel == 1


def test_advice_is_followed_to_success() -> None:
    """The size it names fits."""
    found = planned(LLAMA_70B, H100, max_model_len_tokens=8192)

    assert found.verdict is PlanVerdict.IMPOSSIBLE
    assert found.tensor_parallel == 4
    assert found.advice == ("--tensor-parallel-size 4 fits, on 4 such devices",)
    again = planned(LLAMA_70B, H100, max_model_len_tokens=8192, parallelism=Parallelism(4))
    assert again.verdict is PlanVerdict.RUN


def test_shorter_requests_are_advised() -> None:
    """If they help."""
    found = planned(LLAMA_2_7B | {"max_position_embeddings": 65536}, MI60, dtype="float16")

    assert found.verdict is PlanVerdict.IMPOSSIBLE
    assert found.advice[0].startswith("--max-model-len ")


def test_partitions_are_small_devices() -> None:
    """One of eight dies: 24 GiB, enough for 7 billion in 16 bits; two for 13."""
    cpx = MI300X.partitioned(parse_partition("cpx/nps4"))
    llama_13b = LLAMA_2_7B | {
        "hidden_size": 5120,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
        "num_key_value_heads": 40,
        "intermediate_size": 13824,
    }

    assert cpx.count == 8
    assert cpx.memory.capacity_bytes == 24 * GIB_BYTES
    assert cpx.speed is not None
    assert cpx.speed.bandwidth_bytes_per_s == pytest.approx(662.5e9)
    small = planned(LLAMA_2_7B, cpx, max_model_len_tokens=4096)
    large = planned(llama_13b, cpx, max_model_len_tokens=4096)
    assert small.verdict is PlanVerdict.RUN
    assert large.verdict is PlanVerdict.IMPOSSIBLE
    assert large.tensor_parallel == 2


@pytest.mark.parametrize(
    ("config", "accelerator", "options", "rule", "verdict"),
    [
        (LLAMA_8B, MI60, {}, "bfloat16", PlanVerdict.UNCERTAIN),
        (LLAMA_8B, MI60, {"parallelism": Parallelism(4)}, "devices", PlanVerdict.IMPOSSIBLE),
        (
            LLAMA_8B,
            MI60,
            {"dtype": "float16", "image": "vllm/vllm-openai-rocm:v0.32.0"},
            "image-architecture",
            PlanVerdict.UNCERTAIN,
        ),
        (LLAMA_8B, H100, {"quantization_flag": "awq"}, "quantization", PlanVerdict.IMPOSSIBLE),
        (
            QWEN2_14B | {"quantization_config": AWQ},
            H100,
            {"parallelism": Parallelism(8), "version": (0, 32)},
            "group-size",
            PlanVerdict.UNCERTAIN,
        ),
        (
            QWEN2_14B | {"quantization_config": AWQ},
            H100,
            {"parallelism": Parallelism(8), "version": (0, 20)},
            "group-size",
            PlanVerdict.IMPOSSIBLE,
        ),
        (
            LLAMA_8B | {"quantization_config": {"quant_method": "aqlm"}},
            H100,
            {},
            "unknown",
            PlanVerdict.UNKNOWN,
        ),
        (
            LLAMA_8B | {"max_position_embeddings": None},
            H100,
            {"max_model_len_tokens": None},
            "unknown",
            PlanVerdict.UNKNOWN,
        ),
    ],
)
def test_reasons_name_their_rule(
    config: dict[str, Any],
    accelerator: Accelerator,
    options: dict[str, Any],
    rule: str,
    verdict: PlanVerdict,
) -> None:
    """What is certain makes a cell impossible, what is not makes it uncertain."""
    found = planned(config, accelerator, **{"max_model_len_tokens": 4096} | options)

    assert found.verdict is verdict
    assert rule in {reason.rule for reason in found.reasons}


def test_flags_and_checkpoints() -> None:
    """A flag may name the kernels of the same method, or quantize 16 bits, and no more."""
    plain, awq = read_shape(LLAMA_8B), read_shape(LLAMA_8B | {"quantization_config": AWQ})
    quark = read_shape(LLAMA_8B | {"quantization_config": {"quant_method": "quark"}})

    assert effective_quantization(plain, None) is None
    online = effective_quantization(plain, "fp8")
    marlin = effective_quantization(awq, "awq_marlin")
    assert online is not None
    assert online.format is WeightFormat.FP8
    assert marlin is not None
    assert (marlin.method, marlin.group) == ("awq_marlin", 128)
    with pytest.raises(ShapeError, match="fp8 does not match the checkpoint's 'quark'"):
        effective_quantization(quark, "fp8")


def test_float32_takes_twice_as_much() -> None:
    """Weights and cache."""
    half = planned(LLAMA_8B, H100, max_model_len_tokens=4096, dtype="float16").memory
    single = planned(LLAMA_8B, H100, max_model_len_tokens=4096, dtype="float32").memory

    assert half is not None
    assert single is not None
    assert single.weights.per_rank_bytes == pytest.approx(2 * half.weights.per_rank_bytes, rel=0.01)
    assert single.needed_bytes == 2 * half.needed_bytes


@given(
    st.sampled_from(sorted(ALL)),
    st.sampled_from([H100, MI300X, MI60]),
    st.integers(1, 16),
    st.sampled_from([None, "fp8", "awq", "bitsandbytes"]),
)
def test_every_plan_can_be_written(
    name: str, accelerator: Accelerator, ranks: int, flag: str | None
) -> None:
    """As JSON in base units, whose sums agree."""
    found = planned(
        ALL[name],
        accelerator,
        parallelism=Parallelism(ranks),
        max_model_len_tokens=8192,
        quantization_flag=flag,
    )
    written = json.loads(json.dumps(found.to_json()))

    assert written["verdict"] == found.verdict
    assert (found.verdict is PlanVerdict.RUN) <= (found.memory is not None)
    if found.memory is not None:
        memory = written["memory"]
        assert memory["required_low_bytes"] <= memory["required_bytes"]
        fits = memory["required_bytes"] <= memory["budget_bytes"]
        assert fits or found.verdict is not PlanVerdict.RUN


def test_refused_quantization_still_has_figures() -> None:
    """The flag is wrong, the checkpoint is not: its memory and its ceiling are those it has."""
    plain = planned(LLAMA_8B, H100, max_model_len_tokens=8192)
    found = planned(LLAMA_8B | {"quantization_config": AWQ}, H100, quantization_flag="fp8")

    assert found.verdict is PlanVerdict.IMPOSSIBLE
    assert found.reasons[0].rule == "quantization"
    assert found.memory is not None
    assert plain.memory is not None
    assert found.memory.weights.per_rank_bytes < plain.memory.weights.per_rank_bytes


@pytest.mark.parametrize("unified", [True, False])
def test_no_second_device_beside_the_hosts_own_memory(unified: bool) -> None:  # noqa: FBT001
    """More ranks are advised where there can be more devices, not for an APU."""
    memory = MemoryDevice("rocm", 64 * GIB_BYTES, "APU", unified=unified)
    found = planned(LLAMA_70B, Accelerator("gfx1151", memory), max_model_len_tokens=8192)

    assert found.verdict is PlanVerdict.IMPOSSIBLE
    assert found.advice == (
        () if unified else ("--tensor-parallel-size 4 fits, on 4 such devices",)
    )


def test_partitions_that_are_needed() -> None:
    """A model that is too large for one partition is told how many it takes."""
    found = planned(
        LLAMA_8B, MI300X.partitioned(parse_partition("cpx/nps4")), max_model_len_tokens=131072
    )

    assert found.advice[-1].endswith("fits, on 4 of the 8 partitions of a device")
    assert [note.rule for note in found.notes] == ["partition"]
    assert found.to_json()["notes"] == [
        {
            "rule": "partition",
            "text": "1 of the 8 partitions of a device, 24.0 GiB each; "
            "8 such engines fit on a device",
        }
    ]


def test_encoders_decode_nothing() -> None:
    """An embedding model has no ceiling of decoding."""
    config = {
        "model_type": "nomic_bert",
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_inner": 3072,
        "vocab_size": 30528,
        "n_positions": 8192,
    }

    assert planned(config, H100).ceiling is None


def test_more_ranks_than_devices_have_no_ceiling() -> None:
    """Nobody has the bandwidth of devices that are not there."""
    found = planned(LLAMA_8B, MI300X, parallelism=Parallelism(tensor=8))

    assert found.verdict is PlanVerdict.IMPOSSIBLE
    assert found.ceiling is None
