"""Which architectures are known."""

from __future__ import annotations

import pytest

from hwval.catalogue import load_architectures
from hwval.catalogue import load_catalogue


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        ("LlamaForCausalLM", True),
        ("LlamaForSequenceClassification", True),
        ("Qwen3VLMoeForConditionalGeneration", True),
        ("NomicBertModel", True),
        ("QWenLMHeadModel", True),  # until 0.23
        ("BlorpForCausalLM", False),
        ("ForCausalLM", False),
        ("", False),
        (1, False),
    ],
)
def test_names_with_any_of_their_endings(name: object, is_known: bool) -> None:  # noqa: FBT001
    """As vLLM takes them for one another."""
    assert (name in load_architectures()) is is_known


def test_models_of_the_catalogue_have_known_ones() -> None:
    """Whatever their entries name."""
    configs = [facts.full_config or {} for facts in load_catalogue().models_by_name.values()]
    named = [name for config in configs for name in config.get("architectures", [])]

    assert len(named) > 10
    assert [name for name in named if name not in load_architectures()] == []
