"""What one cell answered, kept as a file that other cells are held against.

The file is JSON, version 1:

    {"version": 1, "kind": "reference", "cell", "model", "vllm", "recorded_at",
     "answers": [{"prompt", "tokens", "logprobs", "alternatives"}],
     "passage": {"sha256", "logprobs"}}

``passage`` is the fixed text, read token by token: there both sides see the same context at every
token, whatever they would have said themselves.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

from hwval.errors import UsageError
from hwval.generate import Answer
from hwval.quality.agreement import Agreement
from hwval.quality.agreement import compare
from hwval.quality.logprobs import passage
from hwval.quality.logprobs import trouble_with

__all__ = ["REFERENCE_NAME", "Closeness", "Reference", "load_reference"]

REFERENCE_NAME: Final = "reference.json"
"""Name of the file in the folder of the question that records it."""
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Reference:
    """Greedy answers and the reading of the fixed text, of one cell.

    Attributes:
        cell: Who answered.
        model: Whose answers they are.
        vllm: Version of the server, None where it did not tell.
        recorded_at: ISO 8601.
        prompts: What was asked.
        answers: One for each prompt.
        passage_logprobs: Of the tokens of the fixed text; empty where the server does not tell.
    """

    cell: str
    model: str
    vllm: str | None
    recorded_at: str
    prompts: tuple[str, ...]
    answers: tuple[Answer, ...]
    passage_logprobs: tuple[float, ...]

    @property
    def trouble(self) -> str:
        """What is wrong with its log probabilities, empty if they are sound."""
        told = [trouble_with(answer.logprobs) for answer in self.answers]
        return next(filter(None, [*told, trouble_with(self.passage_logprobs)]), "")

    @property
    def has_tokens(self) -> bool:
        """Whether every answer came with its tokens; without them nothing can be compared."""
        return all(0 < len(answer.tokens) == len(answer.logprobs) for answer in self.answers)

    def reads_as(self, other: Reference) -> bool:
        """Tell whether the fixed text has as many tokens on both sides, if both read it.

        It has not if tokenizers differ, or a shorter context cut the text on one side.
        """
        counts = {len(side.passage_logprobs) for side in (self, other)} - {0}
        return len(counts) <= 1

    def to_json(self) -> str:
        """Return the file's content.

        Raises:
            ValueError: A log probability is no number.
        """
        answers = [
            {
                "prompt": prompt,
                "tokens": list(answer.tokens),
                "logprobs": list(answer.logprobs),
                "alternatives": [dict(likeliest) for likeliest in answer.alternatives],
            }
            for prompt, answer in zip(self.prompts, self.answers, strict=True)
        ]
        content = {
            "version": _VERSION,
            "kind": "reference",
            "cell": self.cell,
            "model": self.model,
            "vllm": self.vllm,
            "recorded_at": self.recorded_at,
            "answers": answers,
            "passage": {"sha256": _passage_hash(), "logprobs": list(self.passage_logprobs)},
        }
        return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)

    def held_against(self, other: Reference) -> Closeness:
        """Compare what ``other`` answered with this, prompt by prompt.

        Raises:
            UsageError: They were not asked the same.
        """
        if other.prompts != self.prompts:
            raise UsageError(
                f"the reference of {self.cell} was asked other prompts; record it anew"
            )
        pairs = zip(self.answers, other.answers, strict=True)
        return Closeness(
            tuple(compare(expected, found) for expected, found in pairs),
            _mean_distance(self.passage_logprobs, other.passage_logprobs),
        )


@dataclass(frozen=True, slots=True)
class Closeness:
    """How close a cell is to a reference.

    Attributes:
        agreements: Of the greedy answers, one for each prompt.
        passage_drift_nats: Mean distance of the log probabilities of the fixed text's tokens; None
            where one side has none, or counts other tokens.
    """

    agreements: tuple[Agreement, ...]
    passage_drift_nats: float | None

    def __str__(self) -> str:
        parted = [str(agreement.difference) for agreement in self.agreements]
        told = "; ".join(text for text in parted if text != "None") or "no answer differs"
        of = "common beginnings" if self.passage_drift_nats is None else "the fixed text"
        return f"log probabilities of {of} drift by {self.drift_nats:.3g} nats; {told}"

    @property
    def common_share(self) -> float:
        """Share of all tokens that come before the first difference of their answer."""
        total = sum(agreement.tokens for agreement in self.agreements)
        return sum(agreement.common_tokens for agreement in self.agreements) / max(total, 1)

    @property
    def known_share(self) -> float:
        """Share of prompts at whose first difference, if any, each side knew the other's token."""
        known = sum(
            agreement.difference is None or agreement.difference.gap_nats is not None
            for agreement in self.agreements
        )
        return known / max(len(self.agreements), 1)

    @property
    def drift_nats(self) -> float:
        """Mean distance of log probabilities: of the fixed text, else of the common beginnings."""
        if self.passage_drift_nats is not None:
            return self.passage_drift_nats
        common = sum(agreement.common_tokens for agreement in self.agreements)
        drifts = (agreement.common_tokens * agreement.drift_nats for agreement in self.agreements)
        return math.fsum(drifts) / max(common, 1)


def load_reference(path: Path) -> Reference:
    """Read a reference.

    Raises:
        UsageError: No such file, or it is none, or of another version or passage.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("kind") != "reference" or content.get("version") != _VERSION:
            raise UsageError(f"{path}: no reference of version {_VERSION}; record it anew")
        if content["passage"]["sha256"] != _passage_hash():
            raise UsageError(f"{path}: a reference with another fixed text; record it anew")
        return _reference(content)
    except OSError as error:
        raise UsageError(f"read the reference {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path}: {error!r}, expected a reference that hwval wrote") from error


def _reference(content: dict[str, Any]) -> Reference:
    answers = content["answers"]
    return Reference(
        cell=str(content["cell"]),
        model=str(content["model"]),
        vllm=content["vllm"],
        recorded_at=str(content["recorded_at"]),
        prompts=tuple(answer["prompt"] for answer in answers),
        answers=tuple(_answer(answer) for answer in answers),
        passage_logprobs=tuple(map(float, content["passage"]["logprobs"])),
    )


def _answer(content: dict[str, Any]) -> Answer:
    tokens = tuple(map(str, content["tokens"]))
    return Answer(
        text="".join(tokens),
        finish_reason="length",
        output_tokens=len(tokens),
        tokens=tokens,
        logprobs=tuple(map(float, content["logprobs"])),
        alternatives=tuple(
            {str(token): float(value) for token, value in likeliest.items()}
            for likeliest in content["alternatives"]
        ),
    )


def _mean_distance(one: Sequence[float], other: Sequence[float]) -> float | None:
    if not one or len(one) != len(other):
        return None
    return math.fsum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def _passage_hash() -> str:
    return hashlib.sha256(passage().encode()).hexdigest()
