"""Checks as people read them: what a journal says of a measurement and its limit, with units.

A journal may be older or newer than this program, or damaged: keys that are missing leave their
place empty, and whatever stands there is text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from hwval.result import VerdictRecord
from hwval.threshold import METRICS
from hwval.units import format_bytes
from hwval.units import format_duration_s
from hwval.verdict import Outcome

__all__ = ["AT_POINT", "Measured", "format_number", "measured_of"]

AT_POINT: Final = re.compile(r"(?P<name>\S+) (?P<point>\(.+\))")
"""A number's name, and where on a curve it was measured."""
_RELATION: Final = "relative_to"


@dataclass(frozen=True, slots=True)
class Measured:
    """One check of an answer, in words; what is not known is empty.

    Attributes:
        metric: Its name.
        title: The metric in words.
        outcome: PASS, FAIL or INCONCLUSIVE; NOT RUN where the journal says none of these.
        value: What was measured, with its unit.
        spread: What the measurement does not exclude, and of how many rounds or questions.
        limit: What was promised.
        share_of_ceiling: Part of what the roofline allows.
        band: How good it is.
        smallest_detectable: Smallest distance from the limit that would be found.
        source: Where the promise comes from.
        partner: The other cell, of a relation between two.
        text: All of it in a sentence.
        point: Where on a curve it was measured; empty where there is one place only.
    """

    metric: str
    title: str
    outcome: Outcome
    value: str
    spread: str
    limit: str
    share_of_ceiling: str
    band: str
    smallest_detectable: str
    source: str
    partner: str
    text: str
    point: str = ""

    @property
    def name(self) -> str:
        """The metric and where it was measured, as numbers are named."""
        return f"{self.metric} ({self.point})" if self.point else self.metric

    @property
    def is_relation(self) -> bool:
        """Whether it compares two cells."""
        return bool(self.partner)


def format_number(name: str, value: float) -> tuple[str, str]:
    """Return label and value of a measurement for people; the unit is taken from its name.

    Args:
        name: As records have it, with the unit as its end: ``_s``, ``_bytes``, ``_ratio``,
            ``_tokens``, or any ``_per_s``; behind it, where it was measured.
        value: In that unit.

    Example:
        >>> format_number("kv_cache_tokens", 123456)
        ('kv cache', '123,456 tokens')
        >>> format_number("ttft_p50_s (concurrency 8)", 0.0312)
        ('ttft p50 (concurrency 8)', '31.2 ms')
    """
    match = AT_POINT.fullmatch(name)
    if match is None:
        return _format(name, value)
    label, text = _format(match["name"], value)
    return f"{label} {match['point']}", text


def _format(name: str, value: float) -> tuple[str, str]:
    stem, _, unit = name.rpartition("_")
    if name.endswith("_per_s"):
        stem, _, what = name.removesuffix("_per_s").rpartition("_")
        text = METRICS[name].format(value) if name in METRICS else f"{_plain(value)} {what}/s"
        return _label(stem or what), text
    has_unit = bool(stem) and unit in {"s", "bytes", "ratio", "tokens"}
    if name in METRICS:
        return _label(stem if has_unit else name), METRICS[name].format(value)
    if not has_unit:
        return _label(name), _plain(value)
    if unit == "s":
        text = format_duration_s(value) if value >= 0 else f"{_plain(value)} s"
    elif unit == "bytes":
        text = format_bytes(round(value))
    else:
        text = f"{value:.1%}" if unit == "ratio" else f"{_plain(value)} tokens"
    return _label(stem), text


def _plain(value: float) -> str:
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _label(name: str) -> str:
    return name.replace("_", " ")


def measured_of(answer: VerdictRecord) -> Sequence[Measured]:
    """Return the checks of an answer, in their order."""
    if not answer.checks:
        return ()
    counted = "questions" if answer.question.startswith("accuracy/") else "rounds"
    return tuple(_measured(check, counted) for check in answer.checks if isinstance(check, Mapping))


def _measured(check: Mapping[str, Any], counted: str) -> Measured:
    name = str(check.get("metric") or "")
    metric = METRICS.get(name)
    share = _number(check, "share_of_ceiling")
    return Measured(
        metric=name,
        title=metric.title if metric else name.replace("_", " "),
        outcome=_outcome(check),
        value=_with_unit(check, "value"),
        spread=_spread(check, counted),
        limit=str(check.get("limit") or ""),
        share_of_ceiling="" if share is None else f"{share:.0%}",
        band=str(check.get("band") or ""),
        smallest_detectable=_with_unit(check, "smallest_detectable"),
        source=str(check.get("source") or ""),
        partner=str(check.get("partner") or ""),
        text=str(check.get("text") or ""),
        point=str(check.get("point") or ""),
    )


def _outcome(check: Mapping[str, Any]) -> Outcome:
    try:
        return Outcome(str(check.get("outcome")))
    except ValueError:
        return Outcome.NOT_RUN


def _spread(check: Mapping[str, Any], counted: str) -> str:
    count = _number(check, "n")
    low, high = _with_unit(check, "low"), _with_unit(check, "high")
    parts = [f"{low} to {high}"] if low and high else []
    if count:
        parts.append(f"{count:,.0f} {counted if count != 1 else counted.removesuffix('s')}")
    return ", ".join(parts)


def _with_unit(check: Mapping[str, Any], key: str) -> str:
    value = _number(check, key)
    if value is None:
        return ""
    unit, is_relation = str(check.get("unit") or ""), check.get("kind") == _RELATION
    metric = METRICS.get(str(check.get("metric")))
    # Where a relation has no ratio, its number is the metric's own.
    if metric is not None and (not is_relation or unit == metric.unit):
        return metric.format(value)
    if unit:
        return f"{value:.3g} {unit}"
    # Differences of shares, so that percent would be ambiguous.
    if key == "smallest_detectable" and abs(value) <= 1:
        return f"{100 * value:.2f} points"
    if is_relation:
        return f"{100 * value:+.2f} points"
    return f"{value:.2%}" if abs(value) <= 1 else f"{value:,.4g}"


def _number(check: Mapping[str, Any], key: str) -> float | None:
    value = check.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
