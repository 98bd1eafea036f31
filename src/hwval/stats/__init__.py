"""How sure a measurement is: intervals, limits under repeated looks, noise, shares.

Pure functions over numbers. Libraries are imported where a number is computed, since most commands
compute none.
"""

from __future__ import annotations

from hwval.stats.interval import Interval
from hwval.stats.interval import mean_interval
from hwval.stats.multiple import discoveries
from hwval.stats.noise import noise_of
from hwval.stats.paired import paired_interval
from hwval.stats.proportion import Reference
from hwval.stats.proportion import compare_with_reference
from hwval.stats.proportion import mcnemar_exact
from hwval.stats.proportion import wilson_interval
from hwval.stats.ratio import more_rounds_can_decide
from hwval.stats.ratio import ratio_interval
from hwval.stats.ratio import ratio_p_value
from hwval.stats.ratio import smallest_detectable_ratio
from hwval.stats.sequential import DEFAULT_LOOKS
from hwval.stats.sequential import LEAST_ROUNDS
from hwval.stats.sequential import Decision
from hwval.stats.sequential import Looks
from hwval.stats.sequential import decide
from hwval.stats.sequential import rounds_interval
from hwval.stats.sequential import smallest_detectable_effect

__all__ = [
    "DEFAULT_LOOKS",
    "LEAST_ROUNDS",
    "Decision",
    "Interval",
    "Looks",
    "Reference",
    "compare_with_reference",
    "decide",
    "discoveries",
    "mcnemar_exact",
    "mean_interval",
    "more_rounds_can_decide",
    "noise_of",
    "paired_interval",
    "ratio_interval",
    "ratio_p_value",
    "rounds_interval",
    "smallest_detectable_effect",
    "smallest_detectable_ratio",
    "wilson_interval",
]
