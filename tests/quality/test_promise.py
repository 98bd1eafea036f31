"""What a matrix may promise of generated text."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hwval.catalogue import Capability
from hwval.quality.promise import GenerateSection
from hwval.quality.promise import PerplexitySection

CHAT = frozenset({Capability.COMPLETIONS, Capability.CHAT})


@pytest.mark.parametrize(
    ("content", "limit"),
    [
        pytest.param({"at_most": 12.0, "source": "lab"}, 12.0, id="bound"),
        pytest.param({"reference": 10, "tolerance": 0.05, "source": "lab"}, 10.5, id="reference"),
        pytest.param({"reference": 10, "tolerance": "5 %", "source": "lab"}, 10.5, id="percent"),
        pytest.param(
            {"at_most": 10.2, "reference": 10, "tolerance": 0.05, "source": "lab"}, 10.2, id="both"
        ),
    ],
)
def test_lower_bound_counts(content: dict[str, Any], limit: float) -> None:
    """Of a bound and a reference with its tolerance."""
    assert PerplexitySection.model_validate(content).limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({"perplexity": {"source": "lab"}}, "give 'at_most'", id="no-bound"),
        pytest.param({"perplexity": {"at_most": 9}}, "source", id="no-source"),
        pytest.param(
            {"perplexity": {"reference": 9, "source": "lab"}}, "go together", id="no-tolerance"
        ),
        pytest.param(
            {"perplexity": {"at_most": 0.5, "source": "lab"}}, "or equal to 1", id="never-held"
        ),
        pytest.param(
            {"reference": {"cell": "a", "agreement": "90"}}, "write 0.03 or 3 %", id="no-percent"
        ),
        pytest.param({"reference": {}}, "either 'file' or 'cell'", id="no-reference"),
        pytest.param(
            {"reference": {"file": "a", "cell": "b"}}, "either 'file' or 'cell'", id="both"
        ),
        pytest.param({"near_tie": True}, "valid number", id="no-number"),
        pytest.param({"nearly": 1}, "unknown key 'nearly'", id="unknown"),
    ],
)
def test_mistakes_are_refused(content: dict[str, Any], message: str) -> None:
    """A promise without its figures or its source is none."""
    with pytest.raises(ValidationError, match=message):
        GenerateSection.model_validate(content)


def test_agreement_may_be_written_in_percent() -> None:
    """As shares are elsewhere in a matrix."""
    section = GenerateSection.model_validate({"reference": {"cell": "a", "agreement": "90 %"}})

    assert section.reference is not None
    assert section.reference.agreement == pytest.approx(0.9)


def test_questions_follow_what_is_promised() -> None:
    """Chats of models that chat; a reference where one is named; all else always."""
    plain = GenerateSection()
    named = GenerateSection.model_validate({"reference": {"cell": "other"}})

    assert plain.asks("completion", CHAT)
    assert plain.asks("chat", CHAT)
    assert not plain.asks("chat", frozenset({Capability.COMPLETIONS}))
    assert not plain.asks("reference", CHAT)
    assert named.asks("reference", CHAT)
