"""Do two greedy answers to one prompt agree, token by token, and where not, was it a near tie?

No engine promises the same bits for another batch, another kernel or another device: sums are
taken in another order, and where two tokens are almost equally likely the other one may win. From
there on the answers have nothing to do with each other, so that only the common beginning and the
first difference say anything. That difference is fine if each side knew the other's token among
its likeliest, and the gap is no wider than rounding explains; a wrong answer has no such excuse.

Sources: https://docs.vllm.ai/en/stable/features/batch_invariance/ (batch invariance must be turned
on, and is not there for processors); vLLM's own tests hold models against others by the same rule:
at the first difference each token must be among the likeliest five of the other side
(``check_logprobs_close`` in vllm-project/vllm, tests/models/utils.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from hwval.cell import Dtype
from hwval.generate import Answer

__all__ = ["Agreement", "Difference", "compare", "drift_limit_nats", "near_tie_nats"]

# Logits of language models reach about 20, and each of some hundred operations on the way to them
# rounds once; errors that do not know of each other grow with the root of their number.
_LOGIT: Final = 20.0
_OPERATIONS: Final = 100
# Bits of the fraction. float32 counts as TF32: devices multiply it so, if they are let.
_FRACTION_BITS: Final[Mapping[Dtype, int]] = {
    Dtype.FLOAT16: 10,
    Dtype.FLOAT32: 10,
    Dtype.BFLOAT16: 7,
    Dtype.AUTO: 7,
}
# Activations that are rounded to 8 bits by a scale of the whole batch move more than weights do.
_QUANTIZED_NATS: Final = 1.5
_DRIFT_NATS: Final = 0.2
_DRIFT_QUANTIZED_NATS: Final = 0.5


def near_tie_nats(dtype: Dtype, *, is_quantized: bool) -> float:
    """Return how far apart two tokens may be for rounding to swap them.

    Half a unit in the last place for each of 100 operations, as a random walk, on logits of 20:
    0.78 in bfloat16, 0.10 in float16 and float32; 1.5 where weights or activations are quantized.
    It is an estimate, which a matrix may replace by what was measured (``near_tie``).
    """
    if is_quantized:
        return _QUANTIZED_NATS
    rounding = 2.0 ** -(_FRACTION_BITS.get(dtype, 7) + 1)
    return _LOGIT * math.sqrt(_OPERATIONS) * rounding


def drift_limit_nats(*, is_quantized: bool) -> float:
    """Return how far the log probabilities of a text may be from a reference's, in the mean.

    0.2, or 0.5 with quantized weights, which may be held against others. An estimate with room:
    quantized synthetic checkpoints drift by 0.02 to 0.05 from those they were made of, the same
    with wrong scales by 2.5 (``docs/quality.md``).
    """
    return _DRIFT_QUANTIZED_NATS if is_quantized else _DRIFT_NATS


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two answers part.

    Attributes:
        place: Tokens before it.
        expected: Token of the one side; empty where it ended.
        found: Token of the other; empty where it ended.
        gap_nats: How much likelier each side's token is to it than the other's, the wider of both;
            None if one side does not have the other's among its likeliest.
    """

    place: int
    expected: str
    found: str
    gap_nats: float | None

    def is_near_tie(self, limit_nats: float) -> bool:
        """Whether rounding explains it."""
        return self.gap_nats is not None and self.gap_nats <= limit_nats

    def __str__(self) -> str:
        gap = "no near tie at all" if self.gap_nats is None else f"{self.gap_nats:.3g} nats apart"
        return f"{self.found!r} for {self.expected!r} after {self.place} tokens ({gap})"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two answers go together.

    Attributes:
        tokens: Length of the longer answer.
        common_tokens: Length of the common beginning.
        drift_nats: Mean distance of its log probabilities; 0 without a common token.
        difference: Where they part, None if they do not.
    """

    tokens: int
    common_tokens: int
    drift_nats: float
    difference: Difference | None

    def is_close(self, limit_nats: float) -> bool:
        """Whether rounding explains all that differs.

        The log probabilities of a common beginning may drift as far as a near tie may be apart.
        """
        parts = self.difference is None or self.difference.is_near_tie(limit_nats)
        return parts and self.drift_nats <= limit_nats


def compare(expected: Answer, found: Answer) -> Agreement:
    """Hold two greedy answers to one prompt against each other.

    Args:
        expected: With its tokens, their log probabilities and alternatives, as `found`.
        found: The other one.
    """
    pairs = zip(expected.tokens, found.tokens, strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    drifts = [
        abs(one - other)
        for one, other in zip(expected.logprobs[:common], found.logprobs[:common], strict=True)
    ]
    tokens = max(len(expected.tokens), len(found.tokens))
    difference = _difference(expected, found, common) if common < tokens else None
    return Agreement(tokens, common, math.fsum(drifts) / max(common, 1), difference)


def _difference(expected: Answer, found: Answer, place: int) -> Difference:
    one, other = _token(expected.tokens, place), _token(found.tokens, place)
    gaps = [_gap(expected, place, one, other), _gap(found, place, other, one)]
    known = [gap for gap in gaps if gap is not None]
    return Difference(place, one, other, max(known) if len(known) == len(gaps) else None)


def _token(tokens: Sequence[str], place: int) -> str:
    return tokens[place] if place < len(tokens) else ""


def _gap(answer: Answer, place: int, own: str, others: str) -> float | None:
    """Return how much likelier its own token was than the other's; None if it did not know it."""
    if place >= len(answer.alternatives):
        return None
    likeliest = answer.alternatives[place]
    if own not in likeliest or others not in likeliest:
        return None
    return likeliest[own] - likeliest[others]
