"""From options to requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwval.errors import UsageError
from hwval.load.lengths import Lengths
from hwval.load.schedule import CONSTANT
from hwval.load.schedule import Rate
from hwval.load.schedule import TraceRequest
from hwval.load.workload import Workload

PLAIN = Workload(requests=20, input_tokens=Lengths(5, 9), output_tokens=Lengths(2, 4), warmups=3)


def test_closed_loop_has_no_times() -> None:
    """Lengths are drawn; warm-up prompts are others."""
    made = PLAIN.make()

    assert {one.at_s for one in made.asks} == {None}
    assert {len(one.prompt.split()) for one in made.asks} <= set(range(5, 10))
    assert {one.output_tokens for one in made.asks} == {2, 3, 4}
    assert len(made.warmups) == 3
    assert not {one.prompt for one in made.warmups} & {one.prompt for one in made.asks}
    assert not made.is_exact


def test_open_loop_has_times() -> None:
    """By its rate."""
    made = replace(PLAIN, rate=Rate(10, 10), burstiness=CONSTANT).make()

    assert [one.at_s for one in made.asks[:3]] == [0.0, 0.1, 0.2]


def test_trace_brings_everything() -> None:
    """Times, lengths, and how many."""
    made = replace(PLAIN, trace=(TraceRequest(0, 3, 4), TraceRequest(1.5, 30, 40))).make()

    assert [(one.at_s, len(one.prompt.split()), one.output_tokens) for one in made.asks] == [
        (0, 3, 4),
        (1.5, 30, 40),
    ]


def test_seed_makes_the_same_again() -> None:
    """And another one other prompts."""
    assert PLAIN.make() == PLAIN.make()
    assert PLAIN.make() != replace(PLAIN, seed=1).make()


@pytest.mark.parametrize(
    "wrong",
    [
        replace(PLAIN, requests=0),
        replace(PLAIN, warmups=-1),
        replace(PLAIN, prefixes=0),
        replace(PLAIN, prefix_tokens=-1),
        replace(PLAIN, input_tokens=Lengths(10**9, 10**9)),
    ],
    ids=["requests", "warm-ups", "prefixes", "prefix", "memory"],
)
def test_impossible_numbers_are_refused(wrong: Workload) -> None:
    """Before anything is made."""
    with pytest.raises(UsageError):
        wrong.make()
