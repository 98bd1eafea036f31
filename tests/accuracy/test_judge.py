"""A score against its promise: PASS, FAIL, and everything that decides nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hwval.accuracy.job import Score
from hwval.accuracy.judge import describe
from hwval.accuracy.judge import judge_cut_off
from hwval.accuracy.judge import judge_pair
from hwval.accuracy.judge import judge_score
from hwval.accuracy.judge import judge_unparsed
from hwval.accuracy.judge import unmeasured
from hwval.accuracy.promise import TaskSection
from hwval.accuracy.samples import Sample
from hwval.threshold import Check
from hwval.verdict import Outcome
from tests.accuracy.test_job import SCORE
from tests.accuracy.test_samples import sample


def score(right: int, questions: int, **fields: Any) -> Score:
    known = {
        "right": right,
        "questions": questions,
        "of_questions": questions,
        "value": right / questions,
        "stderr": 0.0181,
        "reused": 0,
    }
    return dataclasses.replace(SCORE, **known | fields)


def promise(**fields: Any) -> TaskSection:
    known: dict[str, Any] = {"reference": 0.6276, "n": 717, "margin": 0.1, "source": "a lab"}
    known["task_version"] = "3.1"
    return TaskSection(**known | fields)


def judged(section: TaskSection, found: Score) -> Check:
    check = judge_score("t", section, found)
    assert check is not None
    return check


@pytest.mark.parametrize(
    ("right", "questions", "margin", "outcome"),
    [
        (450, 717, 0.10, Outcome.PASS),
        (450, 717, 0.03, Outcome.INCONCLUSIVE),
        (400, 717, 0.03, Outcome.INCONCLUSIVE),
        (300, 717, 0.03, Outcome.FAIL),
        (12, 12, 0.03, Outcome.INCONCLUSIVE),
        (0, 12, 0.03, Outcome.FAIL),
        (8, 12, 0.10, Outcome.INCONCLUSIVE),
    ],
)
def test_a_score_is_held_against_reference_less_margin(
    right: int, questions: int, margin: float, outcome: Outcome
) -> None:
    """Too few questions for the margin never pass, whatever they came to."""
    check = judged(promise(margin=margin), score(right, questions))

    assert check.outcome is outcome
    assert check.smallest_detectable is not None
    assert (check.smallest_detectable > margin) == ("are too few to tell" in check.text) or (
        outcome is Outcome.FAIL
    )
    assert check.limit_value == pytest.approx(0.6276 - margin)


def test_the_sentence_holds_every_number() -> None:
    """Score, interval, version, shots, interface, reference, its source, and what could be seen."""
    text = judged(promise(), score(450, 717)).text

    for part in (
        "0.6276 ± 0.0181, 450 of 717 right (exact 90 % interval 0.597 to 0.658)",
        "t version 3.1, 5-shot, chat; exact_match,custom-extract",
        "surely not below 0.6276 less 0.1 (n=717, a lab)",
        "change +0.0000, one-sided 5 % bounds -0.04",
        "smallest detectable loss 0.0643",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("right", "questions", "margin", "decision"),
    [
        (
            *(8, 12, 0.1),
            "not decided (12 questions are too few to tell; it takes 193 at least) against 0.6276",
        ),
        (8, 12, 0.01, "not decided (12 questions are too few to tell; no number is enough for so"),
        (410, 717, 0.07, "not decided against 0.6276 less 0.07 ("),
        (300, 717, 0.1, "surely below 0.6276 less 0.1 ("),
    ],
)
def test_decision_comes_first(right: int, questions: int, margin: float, decision: str) -> None:
    """A terminal cuts what stands behind versions and settings."""
    text = judged(promise(margin=margin), score(right, questions)).text

    assert text.startswith(f"t: {decision}")


def test_another_task_version_is_not_comparable() -> None:
    """Not even where the numbers would fail."""
    check = judged(promise(task_version="0.0"), score(10, 717))

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.text.startswith("t: the reference is of task version 0.0: ")
    assert "not comparable" in check.text


def test_questions_that_repeat_do_not_make_sure() -> None:
    """Data that were joined twice would pass with half the questions; a few repeats are told."""
    few, many = (judged(promise(), score(450, 717, repeated=count)) for count in (20, 360))
    alike = [dataclasses.replace(sample(0, correct=True), index=index) for index in range(400)]
    pair = judge_pair("t", promise(paired_with="x"), alike, alike, partner="x")

    assert few.outcome is Outcome.PASS
    assert "20 questions stand in the data more than once" in few.text
    assert many.outcome is Outcome.INCONCLUSIVE
    assert many.text.startswith("t: 360 of 717 questions are in the data more than once")
    assert pair.outcome is Outcome.INCONCLUSIVE
    assert "399 of 400 questions" in pair.text


def test_thoughts_are_told_where_many_answers_hold_them() -> None:
    """The filter finds answers in them too; a single one is no reasoning model."""
    few, many = (judged(promise(), score(450, 717, thinking=count)) for count in (71, 72))

    assert "<think>" not in few.text
    assert "72 answers hold thoughts (<think>)" in many.text
    assert "api: chat and engine: {reasoning-parser: NAME}" in many.text


def test_a_standard_error_may_stand_in_for_n() -> None:
    """A reference that is less sure decides less."""
    sure = judged(promise(n=None, stderr=0.001), score(420, 717))
    unsure = judged(promise(n=None, stderr=0.1), score(420, 717))

    assert sure.outcome is Outcome.PASS
    assert unsure.outcome is Outcome.INCONCLUSIVE


def test_what_the_matrix_changed_is_stated() -> None:
    """Limit, subset, shots, length, reused answers, data and a version that nobody named."""
    section = promise(limit=250, shots=0, max_tokens=64, task_version=None)
    text = describe("t", section, score(25, 250, of_questions=717, reused=3))

    for part in (
        "only 250 of 717 questions, the first",
        "number of shots set in the matrix",
        "answers of at most 64 tokens, set in the matrix",
        "the reference names no task version",
        "3 answers from an interrupted run",
        "data /data",
    ):
        assert part in text
    picked = describe("t", TaskSection(subset=(1, 2)), score(1, 2, of_questions=717))
    assert "only 2 of 717 questions, positions chosen in the matrix" in picked


def test_what_was_no_plain_answer_is_stated() -> None:
    """A low score may be one of form or length, with or without a promise about them."""
    text = describe("t", promise(), score(1, 50, unparsed=7, cut_off=3))

    assert "7 unparsed, which count as wrong; 3 cut off at the longest length" in text


def test_without_a_reference_nothing_is_judged() -> None:
    """A score that nobody promised is only told."""
    assert judge_score("t", TaskSection(), score(1, 2)) is None
    assert judge_unparsed("t", TaskSection(), score(1, 2)) is None
    assert judge_cut_off("t", TaskSection(), score(1, 2)) is None


@pytest.mark.parametrize(
    ("count", "limit", "outcome"),
    [
        (0, 0.0, Outcome.PASS),
        (53, 0.08, Outcome.PASS),
        (53, 0.07, Outcome.INCONCLUSIVE),
        (53, 0.02, Outcome.FAIL),
        (1, 0.0, Outcome.FAIL),
    ],
)
def test_unread_and_cut_off_answers_have_limits_of_their_own(
    count: int, limit: float, outcome: Outcome
) -> None:
    """Both are judged by their share, apart from what is wrong."""
    unparsed = judge_unparsed("t", promise(max_unparsed=limit), score(450, 717, unparsed=count))
    cut_off = judge_cut_off("t", promise(max_cut_off=limit), score(450, 717, cut_off=count))

    assert unparsed is not None
    assert cut_off is not None
    assert unparsed.outcome is cut_off.outcome is outcome
    assert f"promised: {count} of 717 answers hold no answer in the form" in unparsed.text
    assert f"{count} of 717 answers ended at the longest length" in cut_off.text


def pair_of(lost: int, won: int, n: int) -> tuple[list[Sample], list[Sample]]:
    own = [sample(index, correct=index >= lost) for index in range(n)]
    other = [sample(index, correct=not lost <= index < lost + won) for index in range(n)]
    return own, other


@pytest.mark.parametrize(
    ("lost", "won", "n", "outcome"),
    [
        (1, 0, 717, Outcome.PASS),
        (0, 0, 717, Outcome.PASS),
        (20, 15, 717, Outcome.PASS),
        (40, 20, 717, Outcome.INCONCLUSIVE),
        (80, 10, 717, Outcome.FAIL),
        (0, 0, 12, Outcome.INCONCLUSIVE),
        (0, 3, 12, Outcome.INCONCLUSIVE),
        (12, 0, 12, Outcome.FAIL),
    ],
)
def test_two_cells_are_compared_question_by_question(
    lost: int, won: int, n: int, outcome: Outcome
) -> None:
    """One question of 717 is no difference; twelve questions show none but the grossest."""
    own, other = pair_of(lost, won, n)
    check = judge_pair("t", promise(margin=0.03), own, other, partner="fp16")

    assert check.outcome is outcome
    assert check.partner == "fp16"
    assert f"of {n} questions {lost} were lost and {won} won" in check.text
    assert "McNemar exact p = " in check.text
    assert check.text.endswith("; under which settings they were answered is not known")
    assert f"({n - lost} right here, {n - won} right there)" in check.text


@pytest.mark.parametrize(
    ("right", "n", "margin", "outcome"),
    [
        (0, 12, 0.3, Outcome.INCONCLUSIVE),
        (6, 12, 0.3, Outcome.INCONCLUSIVE),  # surely above 0.245 only
        (7, 12, 0.3, Outcome.PASS),
        (0, 717, 0.03, Outcome.INCONCLUSIVE),
        (40, 717, 0.03, Outcome.PASS),
    ],
)
def test_who_has_nothing_to_lose_shows_no_loss(
    right: int, n: int, margin: float, outcome: Outcome
) -> None:
    """Two broken cells answer alike; that one is no worse than the other says nothing."""
    answers = [
        dataclasses.replace(
            sample(index, correct=index < right),
            unparsed=index >= right,
            finish_reason="stop" if index < right else "length",
        )
        for index in range(n)
    ]
    check = judge_pair("t", promise(margin=margin), answers, answers, partner="fp16")
    wrong = n - right

    assert check.outcome is outcome
    told = f"{right} right, {wrong} unparsed, {wrong} cut off"
    assert f"({told} here, {told} there)" in check.text
    open_text = "t: not decided, since the other has too little to lose, against fp16 less"
    assert check.text.startswith(open_text) == (outcome is Outcome.INCONCLUSIVE)


def test_limits_are_in_percent_and_points() -> None:
    """As what was measured beside them."""
    pair = judge_pair("t", promise(margin=0.3), *pair_of(0, 0, 12), partner="fp16")

    assert judged(promise(), score(450, 717)).limit == "62.76% less 10 points"
    assert pair.limit == "at most 30 points less than fp16"


def test_pairs_that_are_not_comparable_decide_nothing() -> None:
    """Another version, or no answers at all."""
    own, _ = pair_of(0, 0, 9)
    other = [dataclasses.replace(one, task_version="2.1") for one in own]
    section = promise(margin=0.03)

    different = judge_pair("t", section, own, other, partner="fp16")
    missing = judge_pair("t", section, own, None, partner="fp16")
    short = [dataclasses.replace(one, settings={"max_tokens": 64}) for one in own]
    long = [
        dataclasses.replace(one, settings={"max_tokens": 128}, finish_reason="length")
        for one in own
    ]
    cut = judge_pair("t", section, short, long, partner="fp16")

    assert different.outcome is missing.outcome is cut.outcome is Outcome.INCONCLUSIVE
    assert "longest answer 64 against 128 tokens, and 9 answers were cut off" in cut.text
    assert "task version 3.1 against task version 2.1" in different.text
    assert "no answers of fp16 in this run" in missing.text


def test_a_task_without_a_score_is_open() -> None:
    """It names the question that tells why."""
    check = unmeasured("t", promise(), "no score, see accuracy/answered")

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.text == "t: no score, see accuracy/answered"


@given(right=st.integers(0, 717), margin=st.floats(0.01, 0.5))
def test_more_right_answers_are_never_judged_worse(right: int, margin: float) -> None:
    """FAIL, INCONCLUSIVE and PASS come in this order as the score rises."""
    ranks = {Outcome.FAIL: 0, Outcome.INCONCLUSIVE: 1, Outcome.PASS: 2}
    section = promise(margin=margin)
    here = ranks[judged(section, score(right, 717)).outcome]
    better = ranks[judged(section, score(min(717, right + 1), 717)).outcome]

    assert here <= better


@pytest.mark.parametrize("questions", [1, 3, 12, 50, 300])
@pytest.mark.parametrize("limit", [0.01, 0.05, 0.2])
def test_a_limit_that_is_kept_is_broken_in_5_of_100_runs_at_most(
    questions: int, limit: float
) -> None:
    """Counted up over every outcome, where the share is exactly the limit."""
    chances = stats.binom.pmf(range(questions + 1), questions, limit)
    broken = 0.0
    for count, chance in enumerate(chances):
        check = judge_cut_off("t", promise(max_cut_off=limit), score(0, questions, cut_off=count))
        assert check is not None
        broken += chance * (check.outcome is Outcome.FAIL)

    assert broken <= 0.05


@pytest.mark.parametrize(("right", "questions"), [(0, 1), (1, 3), (7, 12)])
def test_bad_luck_with_few_questions_fails_nothing(right: int, questions: int) -> None:
    """In 5 and more of 100 runs a cell that keeps the promise answers so."""
    check = judged(promise(reference=0.8466), score(right, questions))

    assert stats.binom.cdf(right, questions, 0.7966) > 0.05
    assert check.outcome is Outcome.INCONCLUSIVE


def test_a_filter_that_takes_any_text_tells_nothing_of_unparsed_answers() -> None:
    """None of them is not zero of them."""
    check = judge_unparsed("t", promise(max_unparsed=0.05), score(450, 717, unparsed=None))

    assert check is not None
    assert check.outcome is Outcome.INCONCLUSIVE
    assert "takes any text for an answer" in check.text
    assert judge_unparsed("t", promise(), score(450, 717, unparsed=None)) is None
