"""What a person promises of a metric, and what of it is refused as nonsense.

Pure models of the YAML; how a measurement is held against them is in ``hwval.threshold.check``.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated
from typing import Any
from typing import Final
from typing import Literal

from pydantic import AfterValidator
from pydantic import BeforeValidator
from pydantic import Field
from pydantic import PlainValidator
from pydantic import WithJsonSchema
from pydantic import model_validator

from hwval.clock import utc_now
from hwval.threshold.metric import METRICS
from hwval.threshold.metric import Metric
from hwval.threshold.metric import metric_of
from hwval.units import parse_duration_s
from hwval.yamlmodel import YamlModel
from hwval.yamlmodel import problem_at

__all__ = [
    "BANDS",
    "Amount",
    "Band",
    "Baseline",
    "Limit",
    "Limits",
    "Relation",
    "Share",
    "is_duration",
]

Band = Literal["poor", "acceptable", "good", "excellent"]
BANDS: Final[tuple[Band, ...]] = ("poor", "acceptable", "good", "excellent")
"""From worst to best; ``poor`` is what reaches no other."""

_PERCENT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
# YAML 1.1 takes a number for one only with a point and a sign: 1.0e+9.
_POWER: Final = re.compile(r"\d+(?:\.\d+)?[eE][-+]?\d{1,2}")

_AMOUNTS: Final = ("floor", "ceiling", *BANDS[1:], "baseline.value")


class _Seconds(float):
    """A number that was written as a duration."""


class _Part(float):
    """A number that was written in percent."""


def is_duration(value: float) -> bool:
    """Return whether an amount of a limit was written with a unit of time."""
    return isinstance(value, _Seconds)


def _read_amount(value: object) -> float:
    number = _parse_amount(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"found {value}, expected a number above 0")
    return number


def _parse_amount(value: object) -> float:
    if isinstance(value, str):
        if percent := _PERCENT.fullmatch(value):
            return _Part(float(percent[1]) / 100)
        if _POWER.fullmatch(value):
            return float(value)
        return _Seconds(parse_duration_s(value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic collects ValueError alone
    return float(value)


def _read_share(value: object) -> float:
    percent = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if percent is None:
        raise ValueError(f"found {value}, expected a share in percent, as in 25 %")
    share = float(percent[1]) / 100
    if not 0 < share <= 1:
        raise ValueError(f"found {value}, expected more than 0 % and at most 100 %")
    return share


def _read_factor(value: object) -> object:
    if not isinstance(value, str):
        return value
    percent = _PERCENT.fullmatch(value)
    if percent is None:
        raise ValueError(f"{value!r} is no factor; write 0.3 or 30 %")
    return float(percent[1]) / 100


Amount = Annotated[
    float,
    PlainValidator(_read_amount),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|min|h|%)\s*$"},
            ]
        }
    ),
]
"""A number in the unit of its metric; a latency may be written with a unit, as ``500 ms``."""

Share = Annotated[
    float,
    PlainValidator(_read_share),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$", "examples": ["25 %"]}),
]
"""A part of a whole, written in percent."""

_Factor = Annotated[
    float,
    BeforeValidator(_read_factor),
    Field(gt=0, allow_inf_nan=False),
    WithJsonSchema({"type": ["number", "string"], "examples": [1.5, "30 %"]}),
]
_Text = Annotated[str, Field(min_length=1)]


def _refuse_future(day: dt.date) -> dt.date:
    today = utc_now().date()
    if day > today + _EASTERN:
        raise ValueError(f"found {day}, expected a day that has been: today is {today}")
    return day


# Where the day begins first, it is tomorrow already.
_EASTERN: Final = dt.timedelta(days=1)
_Past = Annotated[dt.date, AfterValidator(_refuse_future)]


class Relation(YamlModel):
    """How a cell must compare with another of the same run."""

    cell: _Text
    """Variant of the same hardware, image, model and dtype, or a pattern over cell ids:
    ``*__bfloat16*``."""
    at_least: _Factor | None = None
    """Times what the other cell has, for metrics where more is better."""
    at_most: _Factor | None = None
    """Times what the other cell has, for latencies."""

    @model_validator(mode="after")
    def _check(self) -> Relation:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("write either at_least or at_most, as in at_least: 1.5")
        return self

    @property
    def factor(self) -> float:
        """The factor, whichever way it was written."""
        return self.at_least or self.at_most or 0.0


class Baseline(YamlModel):
    """A value that was measured before and must be reached again."""

    value: Amount
    tolerance: Share
    """How much worse it may be, as in 5 %."""
    source: _Text
    """Where it comes from: run, version, document."""
    date: _Past
    """When it was measured."""


class Limit(YamlModel):
    """What is promised of one metric; the unit is the one at the end of its name."""

    floor: Amount | None = None
    """Least good value, for metrics where more is better."""
    ceiling: Amount | None = None
    """Largest good value, for latencies."""
    acceptable: Amount | None = None
    """From here on it is acceptable, before it is poor. Where no floor or ceiling is given, poor
    is a broken promise."""
    good: Amount | None = None
    excellent: Amount | None = None
    of_ceiling: Share | None = None
    """Least part of what the roofline allows, as in 25 %."""
    relative_to: Relation | None = None
    """How it must compare with another cell of the same run."""
    baseline: Baseline | None = None
    """What was measured before and must be reached again."""
    source: _Text | None = None
    """Where these numbers come from."""
    date: _Past | None = None
    """When they were written or measured."""

    @property
    def bound(self) -> float | None:
        """The floor, the ceiling or, without either, where acceptable begins."""
        return next((v for v in (self.floor, self.ceiling, self.acceptable) if v is not None), None)

    @property
    def partner(self) -> str:
        """The cell that it is held against, as the matrix names it; empty for none."""
        return "" if self.relative_to is None else self.relative_to.cell

    def demands(self, metric: Metric) -> dict[str, float]:
        """Return key -> the number that rounds are held against there, a baseline's with tolerance.

        Of latencies and energies that is the most, of all else the least.
        """
        found = self._amounts()
        if self.baseline is not None:
            sign = -1 if metric.higher_is_better else 1
            del found["baseline.value"]
            found["baseline"] = self.baseline.value * (1 + sign * self.baseline.tolerance)
        return found

    def band(self, metric: Metric, value: float) -> Band | None:
        """Return how good a value is in words, None where no band is written."""
        bounds = {name: getattr(self, name) for name in BANDS[1:]}
        if all(bound is None for bound in bounds.values()):
            return None
        if bounds["acceptable"] is None:
            bounds["acceptable"] = self.bound  # what breaks a promise is not acceptable
        sign = 1 if metric.higher_is_better else -1
        written = {name: bound for name, bound in bounds.items() if bound is not None}
        reached = [name for name, bound in written.items() if sign * value >= sign * bound]
        return reached[-1] if reached else BANDS[BANDS.index(next(iter(written))) - 1]

    def check_for(self, metric: Metric) -> None:
        """Refuse what means nothing for this metric.

        Raises:
            ValueError: With what is wrong and what is allowed.
        """
        for problem in self._problems(metric):
            raise ValueError(f"{metric.name}: {problem}")

    def _problems(self, metric: Metric) -> Iterator[str]:
        more, name = metric.higher_is_better, metric.name
        wrong, right = ("ceiling", "floor") if more else ("floor", "ceiling")
        if getattr(self, wrong) is not None:
            yield f"more is {'better' if more else 'worse'}: it has a {right}, not a {wrong}"
        if self.relative_to is not None:
            wrong, right = ("at_most", "at_least") if more else ("at_least", "at_most")
            if getattr(self.relative_to, wrong) is not None:
                yield f"more is {'better' if more else 'worse'}: write {right}, not {wrong}"
        if more and self.baseline is not None and self.baseline.tolerance == 1:
            yield "a baseline less 100 % promises nothing, expected a smaller tolerance"
        yield from self._wrong_units(metric)
        yield from self._wrong_order(metric)
        promised = (self.bound, self.of_ceiling, self.relative_to, self.baseline)
        if all(one is None for one in promised):
            allowed = f"{'floor' if more else 'ceiling'}, acceptable, of_ceiling, relative_to"
            yield f"nothing is promised of {name}; expected one of {allowed} or baseline"

    def _amounts(self) -> dict[str, float]:
        found = {name: getattr(self, name) for name in _AMOUNTS[:-1]}
        if self.baseline is not None:
            found["baseline.value"] = self.baseline.value
        return {name: value for name, value in found.items() if value is not None}

    def _wrong_units(self, metric: Metric) -> Iterator[str]:
        for name, value in self._amounts().items():
            if isinstance(value, _Seconds) and metric.unit != "s":
                yield f"{name} is a duration, expected {metric.unit or 'a plain number'}"
            if isinstance(value, _Part) and not metric.is_share:
                yield f"{name} is in percent, expected {metric.unit or 'a plain number'}"
            if metric.is_share and value > 1:
                yield f"{name} is {value:g}, expected at most 1 (100 %)"

    def _wrong_order(self, metric: Metric) -> Iterator[str]:
        amounts = self._amounts()
        first = "floor" if metric.higher_is_better else "ceiling"
        names = [name for name in (first, *BANDS[1:]) if name in amounts]
        for worse, better in pairwise(names):
            rise = amounts[better] - amounts[worse]
            if (rise if metric.higher_is_better else -rise) < 0:
                how = "below" if metric.higher_is_better else "above"
                yield f"{better} ({amounts[better]:g}) is {how} {worse} ({amounts[worse]:g})"


def _refuse_texts(limits: object) -> object:
    """Refuse a text where only a number makes sense; an amount does not know its metric."""
    for name, limit in limits.items() if isinstance(limits, Mapping) else ():
        metric = METRICS.get(name)
        if metric is None or metric.unit == "s":
            continue
        for key, text in _texts(limit):
            try:
                _parse_amount(text)
            except ValueError:
                unit = f"in {metric.unit}" if metric.unit else "or percent, as in 25 %"
                problem = f"{text!r}: write the plain number, {unit}"
                raise problem_at(name, f"{name}.{key}: {problem}") from None
    return limits


def _texts(limit: object) -> Iterator[tuple[str, str]]:
    """Yield the amounts of a limit that are no numbers to YAML."""
    found: dict[str, object] = dict(limit) if isinstance(limit, Mapping) else {}
    if isinstance(base := found.get("baseline"), Mapping):
        found["baseline.value"] = base.get("value")
    for key in _AMOUNTS:
        if isinstance(text := found.get(key), str):
            yield key, text


def _check_limits(limits: dict[str, Limit]) -> dict[str, Limit]:
    for name, limit in limits.items():
        try:
            limit.check_for(metric_of(name))
        except ValueError as error:
            raise problem_at(name, str(error)) from None
    return limits


def _limits_schema() -> dict[str, Any]:
    return {"propertyNames": {"enum": list(METRICS)}}


Limits = Annotated[
    dict[str, Limit],
    BeforeValidator(_refuse_texts),
    AfterValidator(_check_limits),
    Field(json_schema_extra=_limits_schema()),
]
"""Metric -> what is promised of it, checked at load."""
