"""Two cells of a run, and two points of one, held against each other."""

from __future__ import annotations

import json

import pytest

from hwval.stats import DEFAULT_LOOKS
from hwval.stats import Looks
from hwval.threshold import Check
from hwval.threshold import Limit
from hwval.threshold import Partner
from hwval.threshold import judge_ratio
from hwval.threshold import relate
from hwval.verdict import Outcome

DECODE = "decode_tokens_per_s"
AROUND_13 = [13.0, 13.1, 12.9, 13.05, 12.95]
NOISY = [10.0, 16.0, 12.0, 9.0, 15.0]
OFF = "a__i__m__fp16__plain"
FASTER = Limit.model_validate(
    {"relative_to": {"cell": "plain", "at_least": 1.5}, "source": "vendor's note"}
)


def related(own: list[float], other: list[float]) -> Check:
    """Return what a promise of 1.5 times the other cell comes to."""
    return relate(DECODE, FASTER, own, Partner(name=OFF, values=other), looks=DEFAULT_LOOKS)


def times(factor: float, values: list[float]) -> list[float]:
    """Return so many times each."""
    return [factor * one for one in values]


@pytest.mark.parametrize(
    ("factor", "outcome"),
    [(1.6, Outcome.PASS), (1.4, Outcome.FAIL), (1.5, Outcome.INCONCLUSIVE)],
)
def test_two_cells_of_a_run(factor: float, outcome: Outcome) -> None:
    """AITER on at least 1.5 times off; what is not decided wants more rounds."""
    check = related(times(factor, AROUND_13), AROUND_13)

    assert check.outcome is outcome
    assert check.value == pytest.approx(factor)
    assert check.is_open is (outcome is Outcome.INCONCLUSIVE)
    assert (check.partner, check.unit, check.source) == (OFF, "times", "vendor's note")


def test_check_says_what_would_be_decided() -> None:
    """In times, as its value is; and the noise of this cell."""
    check = related(times(1.5, AROUND_13), AROUND_13)

    assert check.smallest_detectable == pytest.approx(0.0314, abs=1e-4)
    assert check.noise_share == pytest.approx(0.00608, abs=1e-5)
    assert check.text == (
        "decode_tokens_per_s is 1.5 times (1.47 to 1.53, 5 rounds against 5): at least 1.5 times "
        f"{OFF} is not decided; a difference of {check.smallest_detectable:.3g} times would be"
    )
    json.dumps(check.to_json(), allow_nan=False)


def test_latency_of_two_cells() -> None:
    """At most 0.8 times of what the other has."""
    limit = Limit.model_validate({"relative_to": {"cell": "plain", "at_most": 0.8}})
    partner = Partner(name=OFF, values=[0.4, 0.41, 0.4, 0.41, 0.4])
    check = relate("ttft_p50_s", limit, [0.2, 0.21, 0.2, 0.21, 0.2], partner, looks=DEFAULT_LOOKS)

    assert check.outcome is Outcome.PASS
    assert check.limit == f"at most 0.8 times {OFF}"


def test_noise_of_the_partner_is_not_mended_by_own_rounds() -> None:
    """So none are asked for, and the text says whose are."""
    blurred = related(times(1.5, AROUND_13), NOISY)
    own = related(times(1.5, NOISY), AROUND_13)

    assert (blurred.outcome, blurred.is_open) == (Outcome.INCONCLUSIVE, False)
    assert blurred.text.endswith(f" times would be, and less would need more rounds of {OFF}")
    assert (own.outcome, own.is_open) == (Outcome.INCONCLUSIVE, True)
    assert own.text.endswith(" times would be")


def test_partner_that_looked_again_needs_a_clearer_difference() -> None:
    """Its number of rounds leans to what decided its own limits."""
    looks = Looks()
    first, later, once = (
        relate(
            *(DECODE, FASTER, times(1.6, AROUND_13), partner),
            looks=looks,
        ).confidence
        for partner in (
            Partner(name=OFF, values=AROUND_13),
            Partner(name=OFF, values=[*AROUND_13, 13.0, 13.1, 12.9]),
            Partner(name=OFF, values=AROUND_13, looks=Looks(first=5, most=5)),
        )
    )

    assert later is not None
    assert first is not None
    assert once is not None
    assert later > first > once == pytest.approx(looks.confidence)


@pytest.mark.parametrize(
    ("partner", "why"),
    [
        (Partner(name=OFF), f"{OFF} was not measured"),
        (Partner(name="plain", why_not="no cell of this run is 'plain'"), "no cell of this run"),
        (Partner(name=OFF, values=[13.0]), f"1 round of {OFF} counts, 3 are needed"),
        (Partner(name=OFF, values=[13.0, 13.0]), f"2 rounds of {OFF} count, 3 are needed"),
        (Partner(name=OFF, values=[13.0, 0.0, 13.0]), "a round had 0"),
    ],
)
def test_missing_partner_never_passes_and_is_not_waited_for(partner: Partner, why: str) -> None:
    """Not measured, not there, or measured once or twice: its engine is gone."""
    check = relate(DECODE, FASTER, times(9, AROUND_13), partner, looks=DEFAULT_LOOKS)

    assert (check.outcome, check.is_open) == (Outcome.INCONCLUSIVE, False)
    assert f"at least 1.5 times {partner.name} cannot be told: " in check.text
    assert why in check.text
    # What this cell has is told in its own unit.
    assert (check.unit, check.n) == ("tokens/s", 5)
    assert check.value == pytest.approx(117)
    assert check.low is not None
    assert check.low < 117
    assert check.source == "vendor's note"


def test_few_own_rounds_decide_nothing() -> None:
    """Two that are alike would seem to have no noise at all; more of them may decide."""
    check = related([99.0, 99.0], [13.0, 13.0, 13.0])

    assert (check.outcome, check.is_open) == (Outcome.INCONCLUSIVE, True)
    assert "2 rounds of this cell count" in check.text


def test_limit_without_a_relation_has_nothing_to_relate() -> None:
    """A mistake of the caller."""
    with pytest.raises(ValueError, match="not promised relative"):
        relate(DECODE, Limit(floor=1), AROUND_13, Partner(name=OFF), looks=DEFAULT_LOOKS)


def test_points_grow_together() -> None:
    """What disturbs both sides of a round cancels, and more rounds are of both."""
    check = judge_ratio(
        *(DECODE, 0.9, times(0.9, NOISY), NOISY), than="batch 1", confidence=0.99, paired=True
    )
    empty = judge_ratio(DECODE, 0.9, [], [], than="batch 1", confidence=0.99, paired=True)

    assert check.value == pytest.approx(0.9)
    assert check.smallest_detectable == pytest.approx(0, abs=1e-9)
    assert (empty.outcome, empty.is_open) == (Outcome.INCONCLUSIVE, True)
    assert "0 rounds of both count" in empty.text
