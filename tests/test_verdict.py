"""The words of the sign-off and what they add up to."""

from __future__ import annotations

from itertools import permutations

import pytest

from hwval.verdict import Outcome
from hwval.verdict import worst_outcome


def test_no_evidence_is_not_run() -> None:
    """Nothing asked is NOT RUN, never PASS."""
    assert worst_outcome([]) is Outcome.NOT_RUN


@pytest.mark.parametrize("other", [each for each in Outcome if not each.is_good])
def test_good_never_hides_what_is_not_good(other: Outcome) -> None:
    """PASS and FIXED give way to any other outcome, in any order."""
    for outcomes in permutations([Outcome.PASS, other, Outcome.FIXED]):
        assert worst_outcome(outcomes) is other


def test_fail_comes_before_everything() -> None:
    """One FAIL makes the whole a FAIL."""
    assert worst_outcome(Outcome) is Outcome.FAIL


def test_known_trouble_explains_what_it_blocked() -> None:
    """A cell whose only trouble is known is KNOWN, with the rest of its questions BLOCKED."""
    assert worst_outcome([Outcome.BLOCKED, Outcome.KNOWN, Outcome.BLOCKED]) is Outcome.KNOWN


def test_fixed_is_shown_above_pass() -> None:
    """A ledger entry that is out of date is not lost among passes."""
    assert worst_outcome([Outcome.PASS, Outcome.FIXED]) is Outcome.FIXED


def test_every_pair_of_outcomes_has_an_order() -> None:
    """Each of two outcomes wins or loses, whichever comes first; a new word needs a rank."""
    for first, second in permutations(Outcome, 2):
        assert worst_outcome([first, second]) is worst_outcome([second, first])


def test_no_outcome_is_both_good_and_bad() -> None:
    """Good, bad and neither are told apart."""
    assert {each for each in Outcome if each.is_good} == {Outcome.PASS, Outcome.FIXED}
    assert {each for each in Outcome if each.is_bad} == {
        Outcome.FAIL,
        Outcome.INCONCLUSIVE,
        Outcome.INFRA,
    }
