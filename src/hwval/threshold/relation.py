"""Two series of rounds held against each other: two cells of a run, or two points of one.

Pure. A cell's own rounds grow from look to look; those of the cell that it is held against were
measured before, and stay as they are. Two points of one measurement grow together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

from hwval.stats import DEFAULT_LOOKS
from hwval.stats import LEAST_ROUNDS
from hwval.stats import Decision
from hwval.stats import Looks
from hwval.stats import decide
from hwval.stats import more_rounds_can_decide
from hwval.stats import noise_of
from hwval.stats import ratio_interval
from hwval.stats import rounds_interval
from hwval.stats import smallest_detectable_ratio
from hwval.threshold.check import OUTCOMES
from hwval.threshold.check import VERBS
from hwval.threshold.check import Check
from hwval.threshold.check import numbers_of
from hwval.threshold.check import range_words
from hwval.threshold.check import source_of
from hwval.threshold.limit import Limit
from hwval.threshold.metric import metric_of
from hwval.verdict import Outcome

__all__ = ["Partner", "judge_ratio", "relate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """The cell that another one is held against, as far as it was measured.

    Attributes:
        name: Its id, or what the matrix calls it where that means no cell.
        values: One number a round in the order of time; none where there is nothing to compare.
        looks: The looks that were planned for it.
        why_not: Why there are no values, without a full stop.
    """

    name: str
    values: Sequence[float] = ()
    looks: Looks = DEFAULT_LOOKS
    why_not: str = ""


def relate(
    metric: str, limit: Limit, own: Sequence[float], partner: Partner, *, looks: Looks
) -> Check:
    """Hold a cell against another one of the same run, at any of the looks at it.

    Args:
        metric: Name of the metric.
        limit: What is promised of it, with ``relative_to``.
        own: One value a round so far, in the order of time.
        partner: The other cell, which was measured before.
        looks: The looks that were planned at this cell; with those at the partner they give the
            confidence.

    Returns:
        INCONCLUSIVE where the partner has nothing to be held against; never a PASS then. Open
        only where more rounds of this cell may decide it.

    Raises:
        ValueError: The limit has no relation, or a value is not finite.
    """
    relation = limit.relative_to
    if relation is None:
        raise ValueError(f"{metric} is not promised relative to another cell")
    if not partner.values:
        why = partner.why_not or f"{partner.name} was not measured"
        confidence = looks.confidence
        check = _untold(metric, relation.factor, own, partner.name, confidence=confidence, why=why)
    else:
        confidence = looks.confidence_beside(partner.looks, len(partner.values))
        check = judge_ratio(
            *(metric, relation.factor, own, partner.values),
            than=partner.name,
            confidence=confidence,
        )
    return replace(check, source=source_of(limit))


def judge_ratio(
    metric: str,
    factor: float,
    own: Sequence[float],
    other: Sequence[float],
    *,
    than: str,
    confidence: float,
    paired: bool = False,
) -> Check:
    """Judge whether a metric is so many times what it is elsewhere.

    Args:
        metric: Name of the metric; tells whether the factor is the least or the most.
        factor: What is promised, > 0.
        own: One value a round, in the order of time.
        other: Likewise, of what it is compared with.
        than: What that is called.
        confidence: Two-sided, of this look.
        paired: Round i of both was measured together, so that both grow; else ``other`` stays as
            it is.

    Returns:
        INCONCLUSIVE where a side has fewer than 3 rounds, or a value is not above 0 and has no
        ratio.

    Raises:
        ValueError: A value is not finite, or pairs are of unequal number.
    """
    few = min(len(own), len(other))
    if few < LEAST_ROUNDS:
        whose = "both" if paired else than if len(other) == few else "this cell"
        count = "1 round" if few == 1 else f"{few} rounds"
        why = f"{count} of {whose} count{'s' if few == 1 else ''}, {LEAST_ROUNDS} are needed"
        check = _untold(metric, factor, own, than, confidence=confidence, why=why)
        return replace(check, is_open=paired or len(other) >= LEAST_ROUNDS)
    if (least := min(*own, *other)) <= 0:
        why = f"a round had {least:g}"
        return _untold(metric, factor, own, than, confidence=confidence, why=why)
    ratio = replace(ratio_interval(own, other, confidence, paired=paired), n=len(own))
    more = metric_of(metric).higher_is_better
    decision = decide(ratio, factor, higher_is_better=more)
    times = smallest_detectable_ratio(own, other, confidence, paired=paired)
    smallest = None if times is None else factor * (times - 1)
    is_open, why = False, ""
    if decision is Decision.OPEN:
        is_open = paired or more_rounds_can_decide(own, other, factor, confidence)
        drifts = any(noise_of(values).is_dependent for values in (own, other))
        why = ", rounds follow one another" if drifts else ""
        why += f"; a difference of {smallest:.3g} times would be"
        why += "" if is_open else f", and less would need more rounds of {than}"
    promise = _promise(metric, factor, than)
    against = "" if paired else f" against {len(other)}"
    said = f"{ratio.mean:.3g} times ({range_words(ratio, _plain)}{against})"
    return Check(
        metric=metric,
        unit="times",
        kind="relative_to",
        outcome=OUTCOMES[decision],
        text=f"{metric} is {said}: {VERBS[decision].format(promise)}{why}",
        limit=promise,
        limit_value=factor,
        smallest_detectable=smallest,
        noise_share=noise_of(own).share,
        is_open=is_open,
        partner=than,
        **numbers_of(ratio),
    )


def _untold(
    metric: str, factor: float, own: Sequence[float], than: str, *, confidence: float, why: str
) -> Check:
    """Return that there is no ratio, with this side's own numbers as far as there are any."""
    promise = _promise(metric, factor, than)
    numbers = numbers_of(rounds_interval(own, confidence)) if own else {}
    return Check(
        metric=metric,
        unit=metric_of(metric).unit if own else "times",
        kind="relative_to",
        outcome=Outcome.INCONCLUSIVE,
        text=f"{metric}: {promise} cannot be told: {why}",
        limit=promise,
        limit_value=factor,
        partner=than,
        **numbers,
    )


def _promise(metric: str, factor: float, than: str) -> str:
    word = "at least" if metric_of(metric).higher_is_better else "at most"
    return f"{word} {factor:.4g} times {than}"


def _plain(value: float) -> str:
    return f"{value:.3g}"
