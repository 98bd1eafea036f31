"""Log probabilities by themselves: sound numbers, and the surprise at a fixed text."""

from __future__ import annotations

import math

import pytest

from hwval.quality.logprobs import UNLEARNED_BITS
from hwval.quality.logprobs import Surprise
from hwval.quality.logprobs import passage
from hwval.quality.logprobs import trouble_with


@pytest.mark.parametrize(
    ("logprobs", "trouble"),
    [
        pytest.param([-0.5, math.nan], "token 1 of 2 has the log probability nan", id="nan"),
        pytest.param([-math.inf], "token 0 of 1 has the log probability -inf", id="minus-infinity"),
        pytest.param([-9999.0], "token 0 of 1 has the log probability -9999.0", id="clamped"),
        pytest.param([0.5], "token 0 of 1 has a log probability above 0: 0.5", id="above-zero"),
        pytest.param([-6.931] * 8, "all 8 log probabilities are -6.931", id="all-alike"),
    ],
)
def test_unsound_numbers_are_told(logprobs: list[float], trouble: str) -> None:
    """The first thing that is wrong, with its place."""
    assert trouble_with(logprobs) == trouble


@pytest.mark.parametrize(
    "logprobs",
    [
        pytest.param([], id="none"),
        pytest.param([-0.1, -2.0, -30.0], id="plain"),
        pytest.param([1e-6, -0.5], id="rounded-above-zero"),
        pytest.param([-1.5] * 7, id="alike-but-few"),
        pytest.param([0.0] * 20, id="certain-of-each"),
    ],
)
def test_sound_numbers_are_fine(logprobs: list[float]) -> None:
    """Rounding, few tokens and a model that is certain raise no alarm."""
    assert trouble_with(logprobs) == ""


def test_surprise_of_a_known_model() -> None:
    """Guessing among 256 bytes costs 8 bits a character and has the perplexity 256."""
    surprise = Surprise.of([-math.log(256)] * 10, "0123456789")

    assert surprise.perplexity == pytest.approx(256)
    assert surprise.bits_per_character == pytest.approx(8)


def test_boundless_surprise_stays_a_number() -> None:
    """A journal holds no infinity."""
    assert math.isfinite(Surprise.of([-9998.0], "a").perplexity)


@pytest.mark.parametrize(
    ("vocabulary_tokens", "characters_per_token"), [(1024, 2.4), (32_000, 4.2), (150_000, 4.6)]
)
def test_choosing_among_all_tokens_alike_is_beyond_the_bound(
    vocabulary_tokens: int, characters_per_token: float
) -> None:
    """Zeroed logits must not pass for a model that learned something."""
    text = "a" * round(100 * characters_per_token)
    surprise = Surprise.of([-math.log(vocabulary_tokens)] * 100, text)

    assert surprise.bits_per_character > UNLEARNED_BITS + 0.5


def test_passage_is_prose_of_a_page() -> None:
    """Long enough for a mean, short enough for a context of 2048 tokens of any tokenizer."""
    assert 1200 < len(passage().encode()) < 1900
    assert passage().isascii()
