"""From what a person asks for to the requests of a load; the same seed makes the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final
from typing import NamedTuple

from hwval.errors import UsageError
from hwval.load.lengths import Lengths
from hwval.load.prompts import PromptMaker
from hwval.load.prompts import load_tokenizer
from hwval.load.request import Ask
from hwval.load.request import Kind
from hwval.load.schedule import Rate
from hwval.load.schedule import TraceRequest
from hwval.load.schedule import arrival_times_s

__all__ = ["Requests", "Workload"]

_MOST_PROMPT_TOKENS: Final = 500_000_000
"""Beyond it the prompts alone would fill the memory of a usual machine."""


class Requests(NamedTuple):
    """What is sent.

    Attributes:
        asks: The measured requests.
        warmups: Those before them; their prompts are others.
        is_exact: Whether each prompt has exactly its length in tokens.
    """

    asks: tuple[Ask, ...]
    warmups: tuple[Ask, ...]
    is_exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is asked for.

    Attributes:
        requests: How many, >= 1; a trace brings its own number.
        input_tokens: Lengths of prompts; a trace brings its own.
        output_tokens: Lengths of answers; likewise.
        rate: Arrivals of an open loop, None for a closed one.
        burstiness: Of those arrivals; see `arrival_times_s`.
        trace: Requests with their times, None for no trace.
        prefix_tokens: Length of the beginning that prompts share; 0 for none.
        prefixes: How many such beginnings there are.
        warmups: How many requests come first, >= 0.
        kind: Which API they are for.
        tokenizer: ``tokenizer.json`` or a folder with it; None makes lengths approximate.
        seed: Of everything that is drawn.
    """

    requests: int
    input_tokens: Lengths
    output_tokens: Lengths
    rate: Rate | None = None
    burstiness: float = 1.0
    trace: tuple[TraceRequest, ...] | None = None
    prefix_tokens: int = 0
    prefixes: int = 1
    warmups: int = 0
    kind: Kind = "completions"
    tokenizer: Path | None = None
    seed: int = 0

    def make(self) -> Requests:
        """Draw times and lengths and write the prompts.

        Raises:
            UsageError: The numbers do not go together, or the tokenizer cannot be read.
        """
        counts = (self.requests, self.warmups, self.prefix_tokens, self.prefixes - 1)
        if min(counts) < 0 or (self.requests < 1 and self.trace is None):
            raise UsageError("a load needs 1 request or more, and no number below 0")
        random = Random(self.seed)  # noqa: S311 - a load is no secret
        times_s, inputs, outputs = self._shape(random)
        warm_inputs = [self.input_tokens.draw(random) for _ in range(self.warmups)]
        warm_outputs = [self.output_tokens.draw(random) for _ in range(self.warmups)]
        if sum(inputs) > _MOST_PROMPT_TOKENS:
            raise UsageError(
                f"{len(inputs):,} prompts of {sum(inputs):,} tokens in all (--requests times "
                f"--input-tokens): expected {_MOST_PROMPT_TOKENS:,} at most"
            )
        maker = PromptMaker(
            random.getrandbits(64),
            load_tokenizer(self.tokenizer) if self.tokenizer else None,
            counts_special_tokens=self.kind == "completions",
            prefix_tokens=self.prefix_tokens,
            prefixes=self.prefixes,
        )
        warm, main = maker.make(warm_inputs), maker.make(inputs)
        lengths = inputs if main.is_exact else [None] * len(inputs)
        return Requests(
            asks=tuple(map(Ask, main.texts, outputs, times_s, lengths)),
            warmups=tuple(map(Ask, warm.texts, warm_outputs)),
            is_exact=main.is_exact,
        )

    def _shape(self, random: Random) -> tuple[list[float | None], list[int], list[int]]:
        """Return times, prompt lengths and answer lengths."""
        if self.trace is not None:
            return (
                [one.at_s for one in self.trace],
                [one.input_tokens for one in self.trace],
                [one.output_tokens for one in self.trace],
            )
        times_s: list[float | None] = [None] * self.requests
        if self.rate is not None:
            seed = random.getrandbits(64)
            times_s = list(
                arrival_times_s(self.requests, self.rate, burstiness=self.burstiness, seed=seed)
            )
        return (
            times_s,
            [self.input_tokens.draw(random) for _ in range(self.requests)],
            [self.output_tokens.draw(random) for _ in range(self.requests)],
        )
