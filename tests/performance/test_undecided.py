"""Checks of a measurement that decides nothing."""

from __future__ import annotations

import pytest

from hwval.performance.undecided import undecided
from hwval.threshold import Check
from hwval.verdict import Outcome


def check(outcome: Outcome, n: int) -> Check:
    return Check(
        metric="ttft_p50_s", unit="s", kind="ceiling", outcome=outcome, text="0.1 s", value=0.1, n=n
    )


@pytest.mark.parametrize(
    ("outcome", "n"), [(Outcome.PASS, 9), (Outcome.INCONCLUSIVE, 2), (Outcome.FAIL, 2)]
)
def test_checks_keep_their_numbers_and_pass_nothing(outcome: Outcome, n: int) -> None:
    """What was judged from too little is open, whatever it came to, and says why."""
    [left] = undecided([check(outcome, n)], "too few rounds count")

    assert (left.outcome, left.value, left.n) == (Outcome.INCONCLUSIVE, 0.1, n)
    assert left.text == "0.1 s; undecided: too few rounds count"


def test_what_is_surely_broken_stays_broken() -> None:
    """A bad round at another point makes nothing better."""
    broken = check(Outcome.FAIL, 3)

    assert undecided([broken], "too few rounds count") == [broken]
