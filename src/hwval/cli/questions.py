"""Which questions a cell will be asked, which not, and why; known before anything is started.

What only a running engine shows (its log, its version) becomes NOT RUN in the run itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from typing import NamedTuple

from hwval.capability.asked import why_not_asked
from hwval.capability.promise import QUESTIONS as OF_CAPABILITIES
from hwval.catalogue import Capability
from hwval.matrix import PromisesSection
from hwval.matrix import is_asked
from hwval.matrix import offered_capabilities
from hwval.performance.promise import PerformanceSection
from hwval.placement import PlacedCell

__all__ = ["ALL_QUESTIONS", "Asked", "asked_questions"]

_OF_LOAD: Final = (
    *("healthy", "ready_in_time", "serves_model", "version", "startup_phases"),
    "memory",
)
_OF_GENERATE: Final = (
    *("completion", "chat", "stream_completion", "stream_chat", "stop_string", "max_tokens"),
    *("greedy_repeats", "seed_repeats", "logprobs", "prompt_logprobs", "greedy", "reference"),
    *("sound_text", "perplexity", "batch", "busy_batch", "unicode", "context_limit"),
    *("beyond_context", "cancel"),
)
_OF_ACCURACY: Final = ("answered", "score", "parsed", "ended", "paired")

ALL_QUESTIONS: Final = tuple(
    f"{suite}/{name}"
    for suite, names in (
        ("load", _OF_LOAD),
        ("generate", _OF_GENERATE),
        ("accuracy", _OF_ACCURACY),
        ("performance", tuple(PerformanceSection.model_fields)),
        ("capabilities", tuple(OF_CAPABILITIES)),
    )
    for name in names
)
"""Every question of the suites, which do not travel inside the wheel."""

_NOTHING_PROMISED: Final = "the matrix promises nothing of it"
_TEXT: Final = frozenset({Capability.COMPLETIONS})


class Asked(NamedTuple):
    """A question, and why it is not asked; empty if it is."""

    question: str
    why_not: str


def asked_questions(placed: PlacedCell) -> tuple[Asked, ...]:
    """Return every question in the order of the suites, as if the cell could run here."""
    return tuple(Asked(question, _why_not(placed, question)) for question in ALL_QUESTIONS)


def _why_not(placed: PlacedCell, question: str) -> str:
    entry, cell = placed.entry, placed.cell
    offered = offered_capabilities(entry.catalogue, cell.image, cell.model)
    section = entry.promises.capabilities
    for wanted in _wanted(entry.promises, question, section.promised(offered)):
        why = why_not_asked(
            wanted, offered=offered, section=section, cell=cell, server=placed.image.server
        )
        if why is not None:
            return why
    return "" if is_asked(entry, question) else _NOTHING_PROMISED


def _wanted(
    promises: PromisesSection, question: str, promised: frozenset[Capability]
) -> Iterator[Capability]:
    """Yield what a cell must be able to do for a question."""
    suite, _, name = question.partition("/")
    if suite == "capabilities":
        yield OF_CAPABILITIES[name]
    elif suite == "performance":
        section = getattr(promises.performance, name)
        if section is not None:
            yield section.capability
    elif suite == "generate":
        yield Capability.COMPLETIONS
        needs_chat = not promises.generate.asks(name, _TEXT)
        if needs_chat and promises.generate.asks(name, _TEXT | {Capability.CHAT}):
            yield Capability.CHAT
    elif suite == "accuracy" and Capability.CHAT not in promised:
        yield Capability.COMPLETIONS
