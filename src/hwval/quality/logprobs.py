"""What log probabilities tell of an engine: whether they are sound, and how surprised it is.

The fixed text is one that every language model should find easy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["UNLEARNED_BITS", "Surprise", "passage", "trouble_with"]

UNLEARNED_BITS: Final = 2.62
"""Bits per character that English words cost by their frequencies alone: no language model that
learned anything needs more, and one that chooses among all its tokens alike needs 3.5 and more.

A vocabulary of 32,000 tokens is 15 bits a token, of some 4.2 characters; of 150,000 tokens 17 bits,
of some 4.6; larger vocabularies cost more bits and have longer tokens.

Source: Shannon, Prediction and Entropy of Printed English (1951), 2.62 bits a letter; Radford et
al., Language Models are Unsupervised Multitask Learners (2019), table 3: 1.16 bits per byte of
enwik8 for the smallest GPT-2.
"""
# What vLLM's server writes for a log probability of minus infinity, which JSON cannot hold.
# Source: vLLM 0.32.0, vllm/entrypoints (``max(logprob, -9999.0)``).
_STANDS_FOR_MINUS_INFINITY: Final = -9999.0
# Rounding may lift a probability of 1 above 1 by this much.
_ABOVE_ZERO: Final = 1e-4
_ALIKE_NATS: Final = 1e-6
_ENOUGH_TO_DIFFER: Final = 8


@dataclass(frozen=True, slots=True)
class Surprise:
    """How well an engine foresees a text.

    Attributes:
        tokens: Tokens that were foreseen.
        nats: Sum of their negative log probabilities.
        characters: Length of the text.
    """

    tokens: int
    nats: float
    characters: int

    @classmethod
    def of(cls, logprobs: Sequence[float], text: str) -> Surprise:
        """Add up the log probabilities of the tokens of ``text``, at least one."""
        return cls(len(logprobs), -math.fsum(logprobs), len(text))

    @property
    def perplexity(self) -> float:
        """Per token, so it compares models with the same tokenizer alone."""
        return math.exp(min(self.nats / self.tokens, 700.0))

    @property
    def bits_per_character(self) -> float:
        """The same for every tokenizer."""
        return self.nats / self.characters / math.log(2)


def passage() -> str:
    """Return the fixed text, written for this project: a page of plain English prose."""
    return Path(__file__).with_name("passage.txt").read_text(encoding="utf-8").strip()


def trouble_with(logprobs: Sequence[float]) -> str:
    """Return what is wrong with log probabilities of tokens, empty if nothing is.

    Each must be a finite number and at most 0; many that are all alike come from logits that are
    all alike, as of weights that are zero.
    """
    for place, value in enumerate(logprobs):
        if not math.isfinite(value) or value <= _STANDS_FOR_MINUS_INFINITY:
            return f"token {place} of {len(logprobs)} has the log probability {value}"
        if value > _ABOVE_ZERO:
            return f"token {place} of {len(logprobs)} has a log probability above 0: {value:g}"
    if len(logprobs) >= _ENOUGH_TO_DIFFER and max(logprobs) - min(logprobs) < _ALIKE_NATS:
        alike = f"all {len(logprobs)} log probabilities are {logprobs[0]:.6g}"
        # A model that is certain of each token is none that guesses among all alike.
        return alike if logprobs[0] < -_ABOVE_ZERO else ""
    return ""
