"""How much a server has room for, so that prompts fill its context and do not run over it.

Prompts are written before a server counts them. It adds the tokens of a chat's template, and where
its tokenizer is not at hand, a word of ours may be several tokens of its own. Both are learned from
two small requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Final

from hwval.load.failure import Failure
from hwval.load.failure import FailureKind
from hwval.load.prompts import DoesNotFit
from hwval.load.prompts import PromptMaker
from hwval.load.prompts import load_tokenizer
from hwval.load.request import Ask
from hwval.load.request import Kind
from hwval.load.sample import Sample

__all__ = ["Room", "beyond_context"]

# How servers say that a request is longer than their context.
_REFUSED: Final = re.compile(
    r"context (?:length|size|window)|max(?:imum)?[ _]model[ _]len|max_tokens must be at least",
    re.IGNORECASE,
)
_CLIENT_ERRORS: Final = range(400, 500)
# A word of ours with its space has that many bytes at most, and a token has one at least.
_BYTES_PER_WORD: Final = 12
# Without a tokenizer prompts of as many words differ by some tokens: those words of which one has
# one more than another are longer or shorter.
_MARGIN_WORDS: Final = 8
_PROBES_TOKENS: Final = (16, 48)
_PROBE_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Room:
    """What a server has room for, and how it counts.

    Attributes:
        context_tokens: Prompt and answer together at most, as the server says; None where it does
            not.
        added_tokens: What it counts beside a prompt's own tokens, as a chat's template; None where
            it was not asked.
        per_token: What it counts for each of a prompt's own tokens, which without a tokenizer are
            words; > 0, and 1 by its own tokenizer.
    """

    context_tokens: int | None = None
    added_tokens: float | None = None
    per_token: float = 1.0

    def learned(
        self,
        tokens: int,
        *,
        kind: Kind,
        tokenizer: Path | None,
        send: Callable[[Sequence[Ask]], Sequence[Sample]],
    ) -> Room:
        """Return what the server's own counts tell; unchanged where there is no need or no count.

        Args:
            tokens: Longest request, prompt and answer together, >= 1.
            kind: Which API is asked.
            tokenizer: ``tokenizer.json`` or a folder with it, None if there is none at hand.
            send: Sends requests one after the other and returns what they came to.

        Raises:
            UsageError: The tokenizer cannot be read.
        """
        most = tokens if tokenizer else tokens * _BYTES_PER_WORD
        if self.context_tokens is None or self._has_half(most):
            return self
        maker = PromptMaker(
            _PROBE_SEED,
            load_tokenizer(tokenizer) if tokenizer else None,
            counts_special_tokens=kind == "completions",
        )
        words = maker.cycle_words
        few, many = _PROBES_TOKENS if words is None else (words, 2 * words)
        made = maker.make((few, many))
        samples = send([Ask(text, 1) for text in made.texts])
        if made.is_exact and any(one.failure is not None for one in samples):
            return replace(self, added_tokens=0.0)  # it has no excuse to refuse such short ones
        counts = [one.input_tokens for one in samples if one.input_tokens is not None]
        if len(counts) < len(samples) or (tokenizer and not made.is_exact):
            return self
        per_token = (counts[1] - counts[0]) / (many - few)
        if per_token <= 0:
            return self
        return replace(self, added_tokens=counts[0] - per_token * few, per_token=per_token)

    def own_tokens(self, wanted: int, output_tokens: int, *, is_exact: bool) -> int:
        """Return how many tokens of its own a prompt is to have: as asked for, or what fits.

        What is known of the server shortens what would not fit, and nothing else: the same load
        is the same one under another context.

        Args:
            wanted: Length that was asked for, tokens >= 1; without a tokenizer as many words.
            output_tokens: Of the answer.
            is_exact: Whether they are counted by the server's own tokenizer, not by words.

        Raises:
            DoesNotFit: It is longer than the context, or no prompt at all fits.
        """
        context, added = self.context_tokens, self.added_tokens
        if context is None:
            return wanted
        asked = f"a prompt of {wanted:,} and an answer of {output_tokens:,} tokens"
        if wanted + output_tokens > context:
            raise DoesNotFit(f"{asked}: the server's context has {context:,}; ask for fewer")
        if added is None:
            return wanted
        room = context - output_tokens - added
        if not is_exact:
            room = room / self.per_token - _MARGIN_WORDS
        if room < 1:
            taken = (
                f"the server adds {added:.0f} to a prompt, as a chat's template does"
                if is_exact
                else "without the model's tokenizer "
                f"{added + _MARGIN_WORDS * self.per_token:.0f} must stay free"
            )
            raise DoesNotFit(
                f"{asked}: the server's context has {context:,}, and {taken}; ask for shorter "
                "answers"
            )
        return min(wanted, int(room))

    def holds(self, prompt: str, own_tokens: int | None, output_tokens: int) -> bool:
        """Return whether a request surely fits.

        Args:
            prompt: Its text.
            own_tokens: Its length by the server's own tokenizer; None where it is not known.
            output_tokens: Longest answer.
        """
        context, added = self.context_tokens, self.added_tokens
        if own_tokens is not None and context is not None and added is not None:
            return own_tokens + added + output_tokens <= context
        most = len(prompt.encode()) if own_tokens is None else own_tokens
        return self._has_half(most + output_tokens)

    def _has_half(self, tokens: int) -> bool:
        # No template is known that takes half of a context.
        return self.context_tokens is not None and 2 * tokens <= self.context_tokens


def beyond_context(
    samples: Sequence[Sample], asks: Sequence[Ask], context_tokens: int | None
) -> Iterator[Failure]:
    """Yield failures of requests that may have been too long for the context: our own mistake.

    A server refuses such a request, or ends its answer where the context ends. One that refuses
    what surely fits is wrong, and is left out.

    Args:
        samples: What was measured.
        asks: What was sent, by the numbers of the samples.
        context_tokens: Context of the server, None where it does not say.
    """
    for one in samples:
        ask = asks[one.index]
        if one.failure is not None and not ask.fits and _is_full(one, one.failure, context_tokens):
            yield one.failure


def _is_full(one: Sample, failure: Failure, context_tokens: int | None) -> bool:
    if failure.kind is FailureKind.STATUS:
        is_refused = failure.status in _CLIENT_ERRORS
        return is_refused and _REFUSED.search(failure.detail) is not None
    if failure.kind is FailureKind.WRONG_COUNT and context_tokens is not None:
        return (one.input_tokens or 0) + one.output_tokens == context_tokens
    return False
