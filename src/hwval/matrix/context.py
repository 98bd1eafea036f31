"""Requests that a cell is promised and that no engine of it could take: longer than its context."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from typing import NamedTuple

from hwval.capability.asked import why_not_asked
from hwval.catalogue import Capability
from hwval.catalogue import EngineKind
from hwval.matrix.asking import known_model
from hwval.matrix.asking import offered_capabilities
from hwval.matrix.entry import MatrixEntry
from hwval.performance.promise import LoadQuestion
from hwval.performance.promise import PerformanceSection
from hwval.performance.promise import Question

__all__ = ["overlong_requests"]

# Flags that can make another context of a model's config, or that name a file which can.
_OVERRIDES: Final = frozenset(
    {"config", "config-format", "hf-config-path", "hf-overrides", "rope-scaling"}
)
_LENGTHS: Final = ("input_tokens", "output_tokens", "long_input_tokens")


class _Context(NamedTuple):
    """Tokens of a request at most, prompt and answer together."""

    tokens: int
    words: str
    instead: str


class _Request(NamedTuple):
    """The longest request of a question, what makes it so long, and whom it is for."""

    key: str
    tokens: int
    words: str
    cause: str
    capability: Capability = Capability.COMPLETIONS


def overlong_requests(entry: MatrixEntry) -> Iterator[str]:
    """Yield each question whose requests can never fit, with both numbers and what to change.

    A cell whose context is not known before its engine runs yields nothing, and so does a question
    that the cell cannot be asked.

    Args:
        entry: A cell with its promises.
    """
    context = _context(entry)
    for request in _requests(entry) if context else ():
        is_longer = context is not None and request.tokens > context.tokens
        if context and is_longer and _is_asked(entry, request.capability):
            yield (
                f"promises.{request.key}: {request.words} {request.tokens:,} tokens, "
                f"{context.words} {context.tokens:,}; lower {request.cause}, or {context.instead}"
            )


def _context(entry: MatrixEntry) -> _Context | None:
    cell = entry.cell
    asked = cell.max_model_len_tokens
    if asked is not None:
        return _Context(asked, "engine.max-model-len is", "raise engine.max-model-len")
    known = known_model(entry.catalogue, cell.model).max_context_tokens
    # Dots may reach into a flag: hf-overrides.max_position_embeddings. How a server was started
    # that already runs, it alone knows.
    is_changed = any(name.partition(".")[0] in _OVERRIDES for name, _ in cell.engine_args)
    is_foreign = entry.catalogue.image(cell.image).engine is EngineKind.EXTERNAL
    if known is None or is_changed or is_foreign:
        return None
    return _Context(known, f"the context of {cell.model} has", "name another model")


def _is_asked(entry: MatrixEntry, capability: Capability) -> bool:
    cell = entry.cell
    why_not = why_not_asked(
        capability,
        offered=offered_capabilities(entry.catalogue, cell.image, cell.model),
        section=entry.promises.capabilities,
        cell=cell,
        server=entry.catalogue.image(cell.image).server,
    )
    return why_not is None


def _requests(entry: MatrixEntry) -> Iterator[_Request]:
    promises = entry.promises
    for name in PerformanceSection.model_fields:
        question = getattr(promises.performance, name)
        if question is not None:
            yield _load(f"performance.{name}", question)
    for label, task in promises.accuracy.tasks.items():
        if task.max_tokens is not None:
            # A question has at least one token of its own.
            words = "a question and its longest answer take at least"
            tokens, api = task.max_tokens + 1, Capability(task.api)
            yield _Request(f"accuracy.{label}", tokens, words, "max_tokens", api)
    needle = promises.capabilities.needle
    if needle is not None:
        yield _Request("capabilities.needle", needle.tokens, "its prompts take", "tokens")


def _load(key: str, question: Question) -> _Request:
    lengths = [name for name in _LENGTHS if name in type(question).model_fields]
    tokens = (
        question.context_tokens
        if isinstance(question, LoadQuestion)
        else sum(getattr(question, name) for name in lengths)
    )
    cause = " or ".join(lengths)
    return _Request(key, tokens, "its requests take", cause, question.capability)
