"""Two greedy answers: where they part, and whether rounding explains it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.cell import Dtype
from hwval.generate import Answer
from hwval.quality.agreement import compare
from hwval.quality.agreement import drift_limit_nats
from hwval.quality.agreement import near_tie_nats


def spoken(*steps: tuple[str, Mapping[str, float]]) -> Answer:
    """Return an answer of tokens with their alternatives."""
    tokens = tuple(token for token, _ in steps)
    return Answer(
        text="".join(tokens),
        finish_reason="length",
        tokens=tokens,
        logprobs=tuple(likeliest.get(token, -9.0) for token, likeliest in steps),
        alternatives=tuple(likeliest for _, likeliest in steps),
    )


A = ("a", {"a": -0.1, "x": -3.0})
NEAR_B = ("b", {"b": -0.70, "c": -0.72})
NEAR_C = ("c", {"c": -0.69, "b": -0.75})
SURE_B = ("b", {"b": -0.01, "c": -6.0})
OTHER = ("z", {"z": -0.1, "y": -3.0})


def test_same_answers_agree() -> None:
    """Nothing differs, nothing drifts."""
    agreement = compare(spoken(A, NEAR_B), spoken(A, NEAR_B))

    assert (agreement.tokens, agreement.common_tokens, agreement.drift_nats) == (2, 2, 0.0)
    assert agreement.difference is None
    assert agreement.is_close(0.0)


def test_near_tie_is_explained() -> None:
    """The wider of both gaps counts."""
    agreement = compare(spoken(A, NEAR_B), spoken(A, NEAR_C))

    assert agreement.difference is not None
    assert agreement.difference.gap_nats == pytest.approx(0.06)
    assert agreement.is_close(0.1)
    assert not agreement.is_close(0.05)
    assert str(agreement.difference) == "'c' for 'b' after 1 tokens (0.06 nats apart)"


def test_one_sure_side_is_enough_to_tell_a_mistake() -> None:
    """A tie to one side and a clear matter to the other is no tie."""
    assert not compare(spoken(A, SURE_B), spoken(A, NEAR_C)).is_close(0.78)


def test_unknown_token_is_no_near_tie() -> None:
    """An answer to something else has tokens that nobody thought of."""
    agreement = compare(spoken(A, NEAR_B), spoken(A, OTHER))

    assert agreement.difference is not None
    assert agreement.difference.gap_nats is None
    assert not agreement.is_close(1e9)
    assert "no near tie at all" in str(agreement.difference)


def test_early_end_is_no_near_tie() -> None:
    """A missing token has no probability."""
    assert not compare(spoken(A, NEAR_B), spoken(A)).is_close(1e9)


def test_drift_of_a_common_beginning_counts() -> None:
    """The same words with other probabilities are not the same computation."""
    shifted = ("a", {"a": -2.1, "x": -3.0})
    agreement = compare(spoken(A, A), spoken(shifted, shifted))

    assert agreement.drift_nats == pytest.approx(2.0)
    assert not agreement.is_close(0.78)


@pytest.mark.parametrize(
    ("dtype", "is_quantized", "nats"),
    [
        pytest.param(Dtype.BFLOAT16, False, 0.78, id="bfloat16"),
        pytest.param(Dtype.AUTO, False, 0.78, id="auto"),
        pytest.param(Dtype.FLOAT16, False, 0.098, id="float16"),
        pytest.param(Dtype.FLOAT32, False, 0.098, id="float32"),
        pytest.param(Dtype.FLOAT16, True, 1.5, id="quantized"),
    ],
)
def test_near_ties_are_as_wide_as_rounding(
    dtype: Dtype, *, is_quantized: bool, nats: float
) -> None:
    """The fewer bits, the wider."""
    assert near_tie_nats(dtype, is_quantized=is_quantized) == pytest.approx(nats, rel=0.01)


def test_means_may_drift_less_than_single_tokens() -> None:
    """A quantized model may drift further; wrong scales drift by 2.5 and more."""
    assert drift_limit_nats(is_quantized=False) < drift_limit_nats(is_quantized=True) < 1.0


_TOKENS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=8)


@given(_TOKENS, _TOKENS)
def test_comparison_has_no_sides(one: list[str], other: list[str]) -> None:
    """Who is the reference changes the names, not the judgement."""
    likeliest = {token: -float(index) for index, token in enumerate("abcd")}
    first = compare(*(spoken(*((token, likeliest) for token in tokens)) for tokens in (one, other)))
    second = compare(
        *(spoken(*((token, likeliest) for token in tokens)) for tokens in (other, one))
    )

    assert first.common_tokens == second.common_tokens
    assert (first.difference is None) == (one == other)
    assert first.is_close(0.5) == second.is_close(0.5)
