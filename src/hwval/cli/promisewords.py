"""What a cell is promised, in words: settings of questions, limits of metrics, deadlines."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import Final
from typing import NamedTuple
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hwval.load.lengths import Lengths
from hwval.matrix import MatrixEntry
from hwval.performance.ceilings import Roofline
from hwval.performance.promise import LoadQuestion
from hwval.performance.promise import PrefixCache
from hwval.performance.promise import Question
from hwval.threshold import METRICS
from hwval.threshold import Limit
from hwval.threshold import Metric
from hwval.units import format_duration_s
from hwval.yamlmodel import Duration

__all__ = ["PromisedLimit", "limits_of", "promise_rows", "settings_words"]

# What is told apart: limits have rows of their own, and so has where numbers come from.
_APART: Final = frozenset({"limits", "limits_at", "source"})
# Ceilings of these do not depend on how many requests there are at a time.
_OF_ONE_REQUEST: Final = ("decode_", "prefill_", "ttft_", "tpot_", "e2el_")
_READS_DURATION: Final = get_args(Duration)[1]


class PromisedLimit(NamedTuple):
    """What is promised of one metric of one question."""

    question: str
    point: float | None
    """Arrivals per second or streams at a time; None for a limit of all points."""
    metric: str
    limit: Limit
    words: tuple[str, ...]
    """Each promise with its numbers and units."""


def limits_of(entry: MatrixEntry, roofline: Roofline | None) -> Iterator[PromisedLimit]:
    """Yield every limit of the performance suite.

    Args:
        entry: The cell and its promises.
        roofline: How fast it is at most; None where that is not known.
    """
    section = entry.promises.performance
    for name in type(section).model_fields:
        question: Question | None = getattr(section, name)
        if question is None:
            continue
        ceilings = _ceilings(question, roofline)
        points: Mapping[float | None, Mapping[str, Limit]] = {
            None: question.limits,
            **getattr(question, "limits_at", {}),
        }
        for point, limits in points.items():
            for metric, limit in limits.items():
                words = tuple(_words(METRICS[metric], limit, ceilings.get(metric)))
                yield PromisedLimit(f"performance/{name}", point, metric, limit, words)


def promise_rows(entry: MatrixEntry) -> Iterator[tuple[str, str, str]]:
    """Yield ``suite/question``, what it is asked with, and where its numbers come from.

    Limits are not among it.
    """
    promises = entry.promises
    if promises.load.ready_within is not None:
        yield "load/ready_in_time", f"within {format_duration_s(promises.load.ready_within)}", ""
    parts = {
        "generate": _parts(promises.generate, only_written=True),
        "accuracy": promises.accuracy.tasks,
        "performance": _parts(promises.performance),
        "capabilities": _parts(promises.capabilities, only_written=True),
    }
    for suite, found in parts.items():
        for name, value in found.items():
            words = settings_words(value) if isinstance(value, BaseModel) else _value(value)
            yield f"{suite}/{name}", words, getattr(value, "source", None) or ""


def settings_words(section: BaseModel) -> str:
    """Return what a section sets, defaults included, as ``name value, name value``."""
    told = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if value is None or name in _APART:
            continue
        if isinstance(value, BaseModel):
            inner = settings_words(value)
            told += [f"{name} ({inner})"] if inner else []
        else:
            words = format_duration_s(value) if _is_duration(field) else _value(value)
            told.append(f"{name} {words}")
    return ", ".join(told)


def _parts(section: BaseModel, *, only_written: bool = False) -> dict[str, Any]:
    names = section.model_fields_set if only_written else type(section).model_fields
    found = {name: getattr(section, name) for name in type(section).model_fields if name in names}
    return {name: value for name, value in found.items() if value is not None and value != ()}


def _value(value: object) -> str:
    if isinstance(value, Lengths):
        low, high, spread = value.low_tokens, value.high_tokens, value.spread_tokens
        if spread is not None:
            return f"{(low + high) // 2}~{spread}"
        return f"{low}" if low == high else f"{low}..{high}"
    if isinstance(value, tuple):
        return " ".join(map(_value, value))
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_value(item)}" for key, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_duration(field: FieldInfo) -> bool:
    kinds = [getattr(kind, "__metadata__", ()) for kind in get_args(field.annotation)]
    return any(_READS_DURATION in metadata for metadata in (field.metadata, *kinds))


def _ceilings(question: Question, roofline: Roofline | None) -> Mapping[str, float]:
    lengths = [getattr(question, f"{name}_tokens", None) for name in ("input", "output")]
    if roofline is None or None in lengths:
        return {}
    shortest = [one.low_tokens if isinstance(one, Lengths) else int(one or 1) for one in lengths]
    found = roofline.at(
        batch=1,
        input_tokens=shortest[0],
        output_tokens=shortest[1],
        # Prompts of commands may be the same in every round.
        is_cached=isinstance(question, PrefixCache) or not isinstance(question, LoadQuestion),
    )
    return {name: value for name, value in found.items() if name.startswith(_OF_ONE_REQUEST)}


def _words(metric: Metric, limit: Limit, ceiling: float | None) -> Iterator[str]:
    """Yield each promise of a limit; what breaks it stands before how good it is."""
    more = metric.higher_is_better
    for name in ("floor", "ceiling", "acceptable", "good", "excellent"):
        value = getattr(limit, name)
        if value is not None:
            yield f"{name} {metric.format(value)}"
    if limit.of_ceiling is not None:
        words = f"{limit.of_ceiling * 100:.3g} % of what the roofline allows"
        if ceiling is not None:
            value = ceiling * limit.of_ceiling if more else ceiling / limit.of_ceiling
            words += f" ({metric.format(value)} of {metric.format(ceiling)})"
        yield words
    if (relation := limit.relative_to) is not None:
        yield f"at {'least' if more else 'most'} {relation.factor:g} times that of {relation.cell}"
    if (base := limit.baseline) is not None:
        value = base.value * (1 - base.tolerance if more else 1 + base.tolerance)
        by = f"{'less' if more else 'plus'} {base.tolerance * 100:.3g} %"
        yield (
            f"baseline {metric.format(base.value)} {by} ({metric.format(value)}; {base.source}, "
            f"{base.date.isoformat()})"
        )
