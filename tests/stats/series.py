"""Rounds as noisy machines would give them; for the tests and the benchmark of judgement."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwval.stats import Decision
from hwval.stats import Looks
from hwval.stats import decide
from hwval.stats import more_rounds_can_decide
from hwval.stats import ratio_interval
from hwval.stats import rounds_interval

__all__ = ["NOISES", "decide_pair", "decide_series", "series"]

NOISES: Final = {
    "normal": "independent, normal",
    "lognormal": "independent, slow rounds are further off",
    "heavy tails": "independent, Student's t with 3 degrees of freedom",
    "outliers": "3 %, and one round in twenty loses 44 %",
    "AR 0.3": "each round follows the last a little",
    "AR 0.5": "each round follows the last",
    "AR 0.8": "each round follows the last closely",
}


def series(noise: str, share: float, rounds: int, runs: int, *, seed: int) -> NDArray[np.float64]:
    """Return ``runs`` series with mean 1 and a standard deviation of ``share`` a round."""
    numbers, shape = np.random.default_rng(seed), (runs, rounds)
    if noise == "normal":
        return 1 + share * numbers.normal(size=shape)
    if noise == "lognormal":
        sigma = math.sqrt(math.log(1 + share**2))
        return numbers.lognormal(-(sigma**2) / 2, sigma, shape)
    if noise == "heavy tails":
        return 1 + share * numbers.standard_t(3, shape) / math.sqrt(3)
    if noise == "outliers":
        hit = numbers.random(shape) < 0.05
        return 1.022 + 0.03 * numbers.normal(size=shape) - 0.44 * hit
    follows = float(noise.removeprefix("AR "))
    steps = share * numbers.normal(size=shape)
    for place in range(1, rounds):
        fresh = math.sqrt(1 - follows**2) * steps[:, place]
        steps[:, place] = follows * steps[:, place - 1] + fresh
    return 1 + steps


def decide_series(values: list[float], floor: float, looks: Looks) -> tuple[Decision, int]:
    """Return what a run with these rounds comes to against a floor, and how many it took."""
    for rounds in looks.rounds:
        interval = rounds_interval(values[:rounds], looks.confidence)
        decision = decide(interval, floor, higher_is_better=True)
        if decision is not Decision.OPEN:
            break
    return decision, rounds


def decide_pair(
    own: list[float], other: list[float], floor: float, looks: Looks
) -> tuple[Decision, int]:
    """Return what a run comes to in which a cell is to be no slower than one measured before.

    Args:
        own: Rounds that this cell would have.
        other: Rounds that the other would have; it ends when its own floor is decided.
        floor: That of the other cell.
        looks: Planned for each of both.

    Returns:
        The word, and how many rounds of this cell it took.
    """
    ended = decide_series(other, floor, looks)[1]
    partner = other[:ended]
    confidence = looks.confidence_beside(looks, ended)
    for rounds in looks.rounds:
        if min(*own[:rounds], *partner) <= 0:  # has no ratio, and decides nothing
            return Decision.OPEN, rounds
        interval = ratio_interval(own[:rounds], partner, confidence)
        decision = decide(interval, 1.0, higher_is_better=True)
        if decision is not Decision.OPEN:
            break
        if not more_rounds_can_decide(own[:rounds], partner, 1.0, confidence):
            break
    return decision, rounds
