"""Requests that a cell is promised and that no engine of it could take: longer than its context."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from typing import NamedTuple

from hwval.matrix.asking import known_model
from hwval.matrix.entry import MatrixEntry
from hwval.performance.promise import LoadQuestion
from hwval.performance.promise import PerformanceSection
from hwval.performance.promise import Question

__all__ = ["overlong_requests"]

# Flags that can make another context of a model's config, or that name a file which can.
_OVERRIDES: Final = ("config", "hf-config-path", "hf-overrides", "rope-scaling")
_LENGTHS: Final = ("input_tokens", "output_tokens", "long_input_tokens")


class _Context(NamedTuple):
    """Tokens of a request at most, prompt and answer together."""

    tokens: int
    words: str
    instead: str


class _Request(NamedTuple):
    """The longest request of a question, and what makes it so long."""

    key: str
    tokens: int
    words: str
    cause: str


def overlong_requests(entry: MatrixEntry) -> Iterator[str]:
    """Yield each question whose requests can never fit, with both numbers and what to change.

    A cell whose context is not known before its engine runs yields nothing.

    Args:
        entry: A cell with its promises.
    """
    context = _context(entry)
    for request in _requests(entry) if context else ():
        if context and request.tokens > context.tokens:
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
    if known is None or any(cell.arg(name) is not None for name in _OVERRIDES):
        return None
    return _Context(known, f"the context of {cell.model} has", "name another model")


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
            yield _Request(f"accuracy.{label}", task.max_tokens + 1, words, "max_tokens")
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
    return _Request(key, tokens, "its requests take", " or ".join(lengths))
