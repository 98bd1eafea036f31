"""A config.json becomes a shape, or a clear error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import MemoryDevice
from hwval.planning.model_shape import ShapeError
from hwval.planning.model_shape import read_shape
from hwval.planning.parallelism import Parallelism
from hwval.planning.plan import Accelerator
from hwval.planning.plan import PlanVerdict
from hwval.planning.plan import plan
from hwval.planning.weights import stored_bytes
from tests.planning.configs import ALL
from tests.planning.configs import DEEPSEEK_V3
from tests.planning.configs import GEMMA3_4B
from tests.planning.configs import LLAMA_2_7B
from tests.planning.configs import LLAMA_8B
from tests.planning.configs import LLAMA_70B
from tests.planning.configs import QWEN2_14B
from tests.planning.configs import QWEN3_30B_A3B
from tests.planning.configs import QWEN35_MOE

NAMES = sorted({name for config in ALL.values() for name in config})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("config", "params"),
    [
        # Published counts: Hugging Face model pages and Lightning-AI/litgpt.
        (LLAMA_8B, 8_030_261_248),
        (LLAMA_70B, 70_553_706_496),
        (LLAMA_2_7B, 6_738_415_616),
        (QWEN2_14B, 14_770_033_664),
        (QWEN3_30B_A3B, 30_532_122_624),
    ],
)
def test_parameters_are_the_published_ones(config: dict[str, Any], params: int) -> None:
    """To the last one."""
    assert stored_bytes(read_shape(config), item_bytes=1) == params


def test_language_model_is_found_inside_a_multimodal_one() -> None:
    """Its own section counts, with the defaults of its configuration class."""
    shape = read_shape(GEMMA3_4B)

    assert (shape.hidden, shape.layer_count, shape.vocab) == (2560, 34, 262208)
    assert shape.tied
    assert 400e6 < shape.tower_params < 450e6  # SigLIP so400m


def test_embedding_models_have_no_head() -> None:
    """Their class says so, and they are smaller for it."""
    shape = read_shape(LLAMA_8B | {"architectures": ["LlamaModel"]})

    assert not shape.has_head
    assert stored_bytes(shape, item_bytes=1) == 8_030_261_248 - 128256 * 4096


def test_scaled_rope_gives_more_positions() -> None:
    """YaRN multiplies what was trained, as vLLM derives max_model_len."""
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}

    shape = read_shape(QWEN2_14B | {"rope_scaling": scaling})

    assert shape.max_positions == 131072
    assert read_shape(QWEN2_14B).max_positions == 32768


def test_partial_rotation_makes_a_smaller_cache() -> None:
    """Only a share of the head is rotated."""
    text = QWEN35_MOE["text_config"] | {"partial_rotary_factor": 0.25}

    assert read_shape({"text_config": text}).rope_dim == 64
    assert read_shape(DEEPSEEK_V3).rope_dim == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": -32}, "num_attention_heads is -32"),
        ({"num_hidden_layers": 10**18}, "num_hidden_layers is 1000000000000000000"),
        ({"hidden_size": None}, "no 'hidden_size'"),
        ({"num_attention_heads": 31}, "31 heads do not divide hidden_size 4096"),
        ({"num_key_value_heads": 64}, "64 KV heads for 32 heads"),
        ({"num_key_value_heads": 7}, "32 heads cannot share 7 KV heads"),
        ({"model_type": "falcon_h1"}, "'falcon_h1' are not known"),
        ({"layer_types": ["quantum_attention"] * 32}, "'quantum_attention' is not known"),
        ({"layer_types": ["full_attention"]}, "does not name 32 layers"),
        ({"vocab_size": 3.5}, "vocab_size is 3.5"),
        ({"quantization_config": [1]}, "quantization_config is no object"),
    ],
)
def test_nonsense_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ShapeError, match=message):
        read_shape(LLAMA_8B | change)


@pytest.mark.parametrize("config", [[], "x", None, 3])
def test_a_config_that_is_no_object_is_refused(config: Any) -> None:
    """The error says what it is."""
    with pytest.raises(ShapeError, match="holds an object, not"):
        read_shape(config)


@given(
    st.sampled_from(sorted(ALL)),
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4),
    st.integers(1, 9),
)
def test_any_config_gives_a_shape_or_a_clear_error(
    name: str, change: dict[str, Any], ranks: int
) -> None:
    """And any shape can be planned with: no crash, whatever a file says."""
    try:
        shape = read_shape(ALL[name] | change)
    except ShapeError:
        return
    accelerator = Accelerator("sm_90", MemoryDevice("cuda", 80 * 2**30), count=8)
    settings = EngineSettings(parallelism=Parallelism(ranks), max_model_len_tokens=4096)

    assert plan(shape, settings, accelerator).verdict in PlanVerdict


ABSURD = (-5, 10**18, 1.5, "7", True, {"a": 1}, float("nan"), float("inf"))
DIMENSIONS = sorted(
    (name, field)
    for name, config in ALL.items()
    for field, value in config.items()
    # What is written per layer in some families is left to them.
    if isinstance(value, int) and not isinstance(value, bool) and field != "moe_layer_freq"
)


@given(st.sampled_from(DIMENSIONS), st.sampled_from(ABSURD))
def test_no_dimension_may_be_absurd(where: tuple[str, str], value: Any) -> None:
    """Negative heads or 10^18 layers are told by name, in every field of every family."""
    name, field = where

    with pytest.raises(ShapeError, match=field):
        read_shape(ALL[name] | {field: value})


def test_stages_are_dealt_out_like_vllm_does() -> None:
    """What is left over goes to the stages before the last one."""
    shape = read_shape(LLAMA_8B | {"num_hidden_layers": 27})

    assert shape.stage(2).total() == 14
    assert shape.stage(1).total() == 27
    with pytest.raises(ValueError, match="27 layers make no 28 stages"):
        shape.stage(28)
