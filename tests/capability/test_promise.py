"""What a matrix may promise of capabilities, and which questions follow from it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hwval.capability.promise import QUESTIONS
from hwval.capability.promise import CapabilitiesSection
from hwval.catalogue import Capability

SUITE = Path(__file__).resolve().parents[2] / "suites" / "test_capabilities.py"


def _asked(offered: set[Capability], **section: Any) -> set[str]:
    promised = CapabilitiesSection.model_validate(section)
    return {name for name in QUESTIONS if promised.asks(name, frozenset(offered))}


def test_every_question_has_its_capability() -> None:
    """The suite and the table name the same questions."""
    functions = [
        node.name.removeprefix("test_")
        for node in ast.parse(SUITE.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]

    assert functions == list(QUESTIONS)


def test_every_capability_beyond_text_has_a_question() -> None:
    """What can be promised can be asked."""
    text = {Capability.COMPLETIONS, Capability.CHAT}

    assert set(QUESTIONS.values()) | text == set(Capability)


def test_only_what_is_promised_is_asked() -> None:
    """Text alone leads to no question of this suite."""
    assert _asked({Capability.COMPLETIONS, Capability.CHAT}) == set()
    assert _asked({Capability.VISION}) == {"picture_seen", "picture_colour", "picture_shape"}
    assert _asked({Capability.VISION}, remove=["vision"]) == set()
    assert _asked(set(), add=["audio-out"]) == {"audio_out"}


def test_references_and_long_contexts_are_asked_where_they_are_named() -> None:
    """A matrix without figures promises nothing of them."""
    named = _asked(
        {Capability.COMPLETIONS, Capability.EMBEDDINGS},
        needle={"tokens": 4096},
        embeddings={"reference": "embeddings.json"},
    )

    assert {"needle", "embedding_parity"} <= named
    assert not {"needle", "embedding_parity"} & _asked(set(Capability))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({"add": ["sight"]}, "sight", id="unknown"),
        pytest.param({"add": ["chat"], "remove": ["chat"]}, "both added and removed", id="both"),
        pytest.param({"embeddings": {"dimension": 0}}, "greater than 0", id="dimension"),
        pytest.param({"needle": {"tokens": 512, "depths": [1.5]}}, "less than", id="depth"),
        pytest.param({"needle": {"tokens": 8}}, "no long context, expected 512", id="short"),
        pytest.param({"needle": {"tokens": 511}}, "no long context, expected 512", id="too-short"),
        pytest.param({"needle": {"tokens": 512, "depths": []}}, "names no depth", id="no-depth"),
        pytest.param({"needle": {}}, "Field required", id="tokens"),
        pytest.param({"audio": {"by": "letter"}}, "'chat' or 'transcriptions'", id="audio"),
    ],
)
def test_mistakes_are_refused(content: dict[str, Any], message: str) -> None:
    """With what is allowed."""
    with pytest.raises(ValidationError, match=message):
        CapabilitiesSection.model_validate(content)
