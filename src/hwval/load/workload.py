"""From what a person asks for to the requests of a load; the same seed makes the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from random import Random
from typing import Final
from typing import NamedTuple

from hwval.errors import UsageError
from hwval.load.lengths import Lengths
from hwval.load.prompts import PromptMaker
from hwval.load.prompts import check_prefix
from hwval.load.prompts import load_tokenizer
from hwval.load.request import Ask
from hwval.load.request import Kind
from hwval.load.room import Room
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
        prefix_tokens: Length of the beginning that prompts share, shortened as they are; 0 for
            none.
        prefixes: How many such beginnings there are.
        warmups: How many requests come first, >= 0.
        kind: Which API they are for.
        tokenizer: ``tokenizer.json`` or a folder with it; None makes lengths approximate.
        room: What the server has room for; prompts are shorter than asked for where they would not
            fit with what it adds to them.
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
    room: Room = field(default_factory=Room)
    seed: int = 0

    def make(self) -> Requests:
        """Draw times and lengths and write the prompts.

        Raises:
            UsageError: The numbers do not go together, or the tokenizer cannot be read.
            DoesNotFit: A request is beyond the server's context.
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
        check_prefix(self.prefix_tokens, inputs)
        shortest = min([*warm_inputs, *inputs], default=1)
        warm_inputs, inputs = self._fitted(warm_inputs, warm_outputs), self._fitted(inputs, outputs)
        shortened = min([*warm_inputs, *inputs], default=1) / shortest
        maker = self._maker(random.getrandbits(64), int(self.prefix_tokens * shortened))
        warm, main = maker.make(warm_inputs), maker.make(inputs)
        is_exact = main.is_exact and self._is_exact
        lengths = inputs if is_exact else [None] * len(inputs)
        fits = map(self.room.holds, main.texts, lengths, outputs)
        return Requests(
            asks=tuple(map(Ask, main.texts, outputs, times_s, lengths, fits)),
            warmups=tuple(map(Ask, warm.texts, warm_outputs)),
            is_exact=is_exact,
        )

    @property
    def longest_tokens(self) -> int:
        """Longest request, prompt and answer together."""
        if self.trace is not None:
            return max((one.input_tokens + one.output_tokens for one in self.trace), default=1)
        return self.input_tokens.high_tokens + self.output_tokens.high_tokens

    def _maker(self, seed: int, prefix_tokens: int) -> PromptMaker:
        return PromptMaker(
            seed,
            load_tokenizer(self.tokenizer) if self.tokenizer else None,
            counts_special_tokens=self.kind == "completions",
            prefix_tokens=prefix_tokens,
            prefixes=self.prefixes,
        )

    @property
    def _is_exact(self) -> bool:
        return self.tokenizer is not None and self.room.per_token == 1

    def _fitted(self, inputs: list[int], outputs: list[int]) -> list[int]:
        return [
            self.room.own_tokens(wanted, answer, is_exact=self._is_exact)
            for wanted, answer in zip(inputs, outputs, strict=True)
        ]

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
