"""Holds a score against what was promised of it, and two cells against each other.

What is promised is the share of right answers, of answers that could not be read, and of those
that were cut off; two cells are compared question by question.

Pure. Three words come of it: PASS and FAIL where the questions exclude the other one, INCONCLUSIVE
where they are too few, or where two numbers are of tasks that are not comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from typing import Final

from hwval.accuracy.deciding import CONFIDENCE
from hwval.accuracy.deciding import decide_score
from hwval.accuracy.deciding import fewest_questions
from hwval.accuracy.deciding import with_power
from hwval.accuracy.job import Score
from hwval.accuracy.promise import SHIPPED
from hwval.accuracy.promise import TaskSection
from hwval.accuracy.promise import reference_of
from hwval.accuracy.samples import Sample
from hwval.accuracy.samples import pair_up
from hwval.errors import UsageError
from hwval.stats import Decision
from hwval.stats import Reference
from hwval.stats import decide
from hwval.stats import mcnemar_exact
from hwval.stats.paired import paired_interval
from hwval.stats.paired import smallest_paired_loss
from hwval.stats.proportion import exact_interval
from hwval.threshold import Check
from hwval.verdict import Outcome

__all__ = ["describe", "judge_cut_off", "judge_pair", "judge_score", "judge_unparsed", "unmeasured"]

_OUTCOMES: Final = {
    Decision.HOLDS: Outcome.PASS,
    Decision.BREAKS: Outcome.FAIL,
    Decision.OPEN: Outcome.INCONCLUSIVE,
}
# Share of questions that may be another one again: more of them feign certainty, since the
# intervals take every question for one of its own. Sets of questions that people made have less.
_MOST_REPEATED: Final = 0.05
# Share of answers that hold thoughts, from where on it is the model's way and no slip.
_MANY_THINKING: Final = 0.1


def describe(label: str, section: TaskSection, score: Score) -> str:
    """Return a score in a sentence, with everything that sets it apart from the plain task."""
    return f"{label}: {_share(score)}; {_settings(section, score)}"


def judge_score(label: str, section: TaskSection, score: Score) -> Check | None:
    """Return whether the share of right answers is as promised; None where nothing is."""
    reference = reference_of(section)
    if reference is None or section.margin is None:
        return None
    fields = _fields(label, score.questions) | {
        "kind": "baseline",
        "limit": f"{100 * reference.value:g}% less {_points(section.margin)}",
        "limit_value": reference.value - section.margin,
        "source": section.source,
        "value": score.right / score.questions,
    }
    share, settings = _share(score), _settings(section, score)
    if section.task_version not in {None, score.task_version}:
        text = (
            f"{label}: the reference is of task version {section.task_version}: versions ask and "
            f"read differently and are not comparable, measure the reference anew; {share}; "
            f"{settings}"
        )
        return Check(outcome=Outcome.INCONCLUSIVE, text=text, **fields)
    if why := _why_too_alike(score.repeated, score.questions):
        text = f"{label}: {why}; {share}; {settings}"
        return Check(outcome=Outcome.INCONCLUSIVE, text=text, **fields)
    decision, loss = decide_score(score.right, score.questions, reference, section.margin)
    change = loss.change
    behind = f"n={section.n}" if section.n else f"± {section.stderr:g}"
    few = ""
    if loss.smallest_detectable > section.margin:
        few = _too_few(score.questions) + _enough(score.questions, reference, section.margin)
    text = (
        f"{label}: {_decided(decision, few)} {reference.value:g} "
        f"less {section.margin:g} ({behind}, {section.source}): {share}; change "
        f"{change.mean:+.4f}, one-sided 5 % bounds {change.low:+.4f} and {change.high:+.4f}; "
        f"smallest detectable loss {loss.smallest_detectable:.4f}; {settings}"
    )
    return Check(
        outcome=_OUTCOMES[decision],
        text=text,
        low=loss.share.low,
        high=loss.share.high,
        confidence=CONFIDENCE,
        smallest_detectable=loss.smallest_detectable,
        **fields,
    )


def judge_unparsed(label: str, section: TaskSection, score: Score) -> Check | None:
    """Return whether few enough answers could not be read; None where no limit is promised."""
    if score.unparsed is None:
        if section.max_unparsed is None:
            return None
        fields = _fields(label, score.questions) | {"metric": f"{label}_unparsed"}
        text = f"{label}: {score.metric} takes any text for an answer; what is unparsed is not told"
        return Check(outcome=Outcome.INCONCLUSIVE, text=text, kind="ceiling", **fields)
    return _judge_share(
        (label, "unparsed"),
        f"{score.unparsed} of {score.questions} answers hold no answer in the form that was asked "
        "for",
        section.max_unparsed,
        (score.unparsed, score.questions),
    )


def judge_cut_off(label: str, section: TaskSection, score: Score) -> Check | None:
    """Return whether few enough answers were cut off; None where no limit is promised."""
    return _judge_share(
        (label, "cut_off"),
        f"{score.cut_off} of {score.questions} answers ended at the longest length",
        section.max_cut_off,
        (score.cut_off, score.questions),
    )


def judge_pair(
    label: str,
    section: TaskSection,
    own: Sequence[Sample],
    other: Sequence[Sample] | None,
    *,
    partner: str,
) -> Check:
    """Return whether a cell answers as well as another one, question by question.

    Args:
        label: Name of the task in the matrix.
        section: What is promised, with its margin.
        own: Answers of the cell whose promise it is.
        other: Answers of the other cell; None where there are none, which is INCONCLUSIVE.
        partner: Id of the other cell, or why there is none.
    """
    margin = section.margin or 0.0
    fields = _fields(label, len(own)) | {
        "kind": "relative_to",
        "limit": f"at most {_points(margin)} less than {partner}",
        "limit_value": -margin,
        "partner": partner,
    }
    if other is None:
        text = (
            f"{label}: no answers of {partner} in this run to compare with: it was not asked, has "
            "no score, or another worker still asks it"
        )
        return Check(outcome=Outcome.INCONCLUSIVE, text=text, **fields)
    try:
        pairing = pair_up(own, other)
    except UsageError as error:
        text = f"{label} against {partner}: {error}"
        return Check(outcome=Outcome.INCONCLUSIVE, text=text, **fields)
    repeated = len(own) - len({sample.question_hash for sample in own})
    if why := _why_too_alike(repeated, len(own)):
        text = f"{label} against {partner}: {why}"
        return Check(outcome=Outcome.INCONCLUSIVE, text=text, **fields)
    lost, won = pairing.only_second, pairing.only_first
    change = paired_interval(lost, won, pairing.n, CONFIDENCE)
    smallest = smallest_paired_loss(lost, won, pairing.n, CONFIDENCE)
    decision = with_power(decide(change, -margin, higher_is_better=True), smallest, margin)
    said = _decided(decision, _too_few(pairing.n) if smallest > margin else "")
    if decision is Decision.HOLDS and not _can_lose(other, margin):
        decision, said = Decision.OPEN, "not decided, since the other has too little to lose,"
        said = f"{said} against"
    text = (
        f"{label}: {said} {partner} less {margin:g}: of {pairing.n} questions {lost} were lost "
        f"and {won} won ({_counts(own)} here, {_counts(other)} there), change {change.mean:+.4f}, "
        f"one-sided 5 % bounds {change.low:+.4f} and {change.high:+.4f}; McNemar exact p = "
        f"{mcnemar_exact(lost, won):.3g}; smallest detectable loss {smallest:.4f}"
    )
    return Check(
        outcome=_OUTCOMES[decision],
        text="; ".join([text, *pairing.notes]),
        value=change.mean,
        low=change.low,
        high=change.high,
        confidence=CONFIDENCE,
        smallest_detectable=smallest,
        **fields,
    )


def unmeasured(label: str, section: TaskSection, why: str) -> Check:
    """Return the check of a promise that cannot be judged, and why.

    Args:
        label: Name of the task in the matrix.
        section: What is promised.
        why: What is missing, in words.
    """
    fields = _fields(label, 0) | {"kind": "baseline", "source": section.source}
    return Check(outcome=Outcome.INCONCLUSIVE, text=f"{label}: {why}", **fields)


def _judge_share(
    of: tuple[str, str], words: str, limit: float | None, counts: tuple[int, int]
) -> Check | None:
    if limit is None:
        return None
    share = exact_interval(*counts, CONFIDENCE)
    outcome = Outcome.PASS
    if share.mean > limit:
        outcome = Outcome.FAIL if share.low > limit else Outcome.INCONCLUSIVE
    word = {Outcome.PASS: "at most", Outcome.FAIL: "more than"}.get(outcome, "not surely at most")
    return Check(
        metric="_".join(of),
        unit="",
        kind="ceiling",
        outcome=outcome,
        text=f"{of[0]}: {word} the {limit:.1%} promised: {words} ({share.mean:.1%})",
        value=share.mean,
        low=share.low,
        high=share.high,
        confidence=CONFIDENCE,
        n=counts[1],
        limit=f"at most {limit:.1%}",
        limit_value=limit,
    )


def _why_too_alike(repeated: int, questions: int) -> str:
    """Return why questions do not count as so many, empty if they do."""
    if repeated <= _MOST_REPEATED * questions:
        return ""
    return (
        f"{repeated} of {questions} questions are in the data more than once and say nothing more; "
        "mend the data"
    )


def _fields(label: str, questions: int) -> dict[str, Any]:
    return {"metric": f"{label}_accuracy", "unit": "", "n": questions}


def _points(share: float) -> str:
    """Return a difference of two shares, which percent would leave ambiguous."""
    return f"{100 * share:g} points"


def _can_lose(samples: Sequence[Sample], margin: float) -> bool:
    """Return whether so many answers are surely right that a loss of the margin could be seen.

    Who has nothing right is matched by everybody, broken servers too.
    """
    right = sum(sample.correct for sample in samples)
    return exact_interval(right, len(samples), CONFIDENCE).low > margin


def _counts(samples: Sequence[Sample]) -> str:
    right, unparsed, cut_off = (
        sum(getattr(sample, name) for sample in samples)
        for name in ("correct", "unparsed", "is_cut_off")
    )
    others = [f"{unparsed} unparsed"] * bool(unparsed) + [f"{cut_off} cut off"] * bool(cut_off)
    return ", ".join([f"{right} right", *others])


def _decided(decision: Decision, few: str) -> str:
    """Return what is said first, as a terminal shows no more; the reference follows."""
    return {
        Decision.HOLDS: "surely not below",
        Decision.BREAKS: "surely below",
        Decision.OPEN: f"not decided ({few}) against" if few else "not decided against",
    }[decision]


def _too_few(questions: int) -> str:
    return f"{questions} questions are too few to tell"


def _enough(questions: int, reference: Reference, margin: float) -> str:
    """Return how many questions it takes at least, even if all are answered right."""
    least = fewest_questions(reference, margin)
    if least is None:
        return "; no number is enough for so unsure a reference"
    return f"; it takes {least:,} at least" if least > questions else ""


def _share(score: Score) -> str:
    interval = exact_interval(score.right, score.questions, CONFIDENCE)
    stderr = "" if score.stderr is None else f" ± {score.stderr:.4f}"
    return (
        f"{score.value:.4f}{stderr}, {score.right} of {score.questions} right "
        f"(exact {100 * CONFIDENCE:.0f} % interval {interval.low:.3f} to {interval.high:.3f})"
    )


def _settings(section: TaskSection, score: Score) -> str:
    task = f"{score.task} version {score.task_version}, {score.shots}-shot, {score.api}"
    return "; ".join([task, score.metric, *_deviations(section, score)])


def _deviations(section: TaskSection, score: Score) -> list[str]:
    """Return what the matrix changed of the task and left open, and answers that are not plain."""
    found = []
    if not score.is_whole:
        which = "positions chosen in the matrix" if section.subset is not None else "the first"
        found.append(f"only {score.questions} of {score.of_questions} questions, {which}")
    if section.shots is not None:
        found.append("number of shots set in the matrix")
    if section.max_tokens is not None:
        found.append(f"answers of at most {section.max_tokens} tokens, set in the matrix")
    if section.reference is not None and section.task_version is None:
        found.append("the reference names no task version")
    if score.unparsed:
        found.append(f"{score.unparsed} unparsed, which count as wrong")
    if score.cut_off:
        found.append(f"{score.cut_off} cut off at the longest length")
    if score.thinking > _MANY_THINKING * score.questions:
        found.append(
            f"{score.thinking} answers hold thoughts (<think>), in which the task's filter finds "
            "answers too: ask with api: chat and engine: {reasoning-parser: NAME}"
        )
    if score.repeated:
        found.append(f"{score.repeated} questions stand in the data more than once")
    if score.reused:
        found.append(f"{score.reused} answers from an interrupted run")
    found.append(f"data {_data(section, score)}")
    return found


def _data(section: TaskSection, score: Score) -> str:
    """Return where the questions are from; of those that come with hwval not where they lie."""
    named = section.dataset
    return named if isinstance(named, str) and named.startswith(SHIPPED) else score.dataset
