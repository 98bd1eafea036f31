"""Measure how often judgement errs, by simulated rounds with known truth.

    PYTHONPATH=. python benchmarks/judgement.py [RUNS]

Each line is RUNS cells (100,000 if not given), each measured in 5 to 30 rounds and judged as a
real one is; then as many cells by ten that are held against another one, which was measured
before. Exit 1 if, of independent rounds with a noise of 10 %, 1 % or more of the cells that are 5 %
above their floor or their factor fail, or 1 % or more of those that are 10 % below it pass.
"""

from __future__ import annotations

import os
import platform
import sys
from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Final
from typing import NamedTuple

from hwval.clock import Stopwatch
from hwval.stats import DEFAULT_LOOKS
from hwval.stats import Decision
from hwval.stats import Looks
from hwval.stats import wilson_interval
from tests.stats.series import NOISES
from tests.stats.series import decide_pair
from tests.stats.series import decide_series
from tests.stats.series import series

MOST_ERRORS: Final = 0.01
INDEPENDENT: Final = ("normal", "lognormal", "heavy tails", "outliers")
CHUNK: Final = 5_000
# Floor of the other cell, whose true value is 1: where its own rounds end.
PARTNERS: Final = {
    "ends at its first look": 0.1,
    "ends by a floor 7 % below": 0.93,
    "ends by a floor at its truth": 1.0,
    "ends by a floor 7 % above": 1.07,
}


class Rates(NamedTuple):
    """What cells of one kind came to."""

    passed: int
    failed: int
    rounds: float
    runs: int

    def __str__(self) -> str:
        """Return shares in percent and the mean number of rounds."""
        passed, failed = (100 * count / self.runs for count in (self.passed, self.failed))
        return f"{passed:8.3f} {failed:8.3f} {100 - passed - failed:8.3f} {self.rounds:7.1f}"


def measure(noise: str, share: float, truth: float, looks: Looks, runs: int) -> Rates:
    """Judge cells whose true value is ``truth`` times their floor."""
    found = (
        decide_series([truth * one for one in row], 1.0, looks)
        for rows in chunks(noise, share, looks, runs)
        for row in rows
    )
    return counted(found, runs)


def measure_pairs(noise: str, floor: float, truth: float, looks: Looks, runs: int) -> Rates:
    """Judge cells whose true value is ``truth`` times another one's, 10 % noise on both."""
    sides = (chunks(noise, 0.1, looks, runs, first_seed=seed) for seed in (0, 10_000))
    found = (
        decide_pair([truth * one for one in own], other, floor, looks)
        for pair in zip(*sides, strict=True)
        for own, other in zip(*pair, strict=True)
    )
    return counted(found, runs)


def counted(found: Iterable[tuple[Decision, int]], runs: int) -> Rates:
    """Count what so many runs came to."""
    counts: Counter[Decision] = Counter()
    spent = 0
    for decision, rounds in found:
        counts[decision] += 1
        spent += rounds
    return Rates(counts[Decision.HOLDS], counts[Decision.BREAKS], spent / runs, runs)


def chunks(
    noise: str, share: float, looks: Looks, runs: int, *, first_seed: int = 0
) -> Iterator[list[list[float]]]:
    """Yield series a few thousand at a time."""
    for seed, done in enumerate(range(0, runs, CHUNK), first_seed):
        yield series(noise, share, looks.most, min(CHUNK, runs - done), seed=seed).tolist()


def is_kept(truth: float, rates: Rates) -> bool:
    """Tell whether wrong words are surely fewer than promised."""
    wrong = {1.05: rates.failed, 0.9: rates.passed}.get(truth, 0)
    return wilson_interval(wrong, rates.runs, 0.998).high < MOST_ERRORS


def main() -> int:
    """Measure and print; return the exit code."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    watch, looks, kept = Stopwatch(), DEFAULT_LOOKS, True
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    print(f"{runs:,} cells a line, looks after {looks.rounds} rounds, alpha {looks.alpha:.3g}")
    head = f"{'truth':>6} {'PASS %':>8} {'FAIL %':>8} {'open %':>8} {'rounds':>7}"
    print(f"\n{'noise of 10 % a round':24} {head}")
    for noise in NOISES:
        for truth in (1.05, 1.0, 0.9):
            rates = measure(noise, 0.1, truth, looks, runs)
            print(f"{noise:24} {truth:6.2f} {rates}", flush=True)
            kept &= noise not in INDEPENDENT or is_kept(truth, rates)
    print(f"\n{'normal noise, and budget':24} {head}")
    for share in (0.01, 0.02, 0.03, 0.05, 0.1):
        for most in (30, 60) if share >= 0.05 else (30,):
            for truth in (1.05, 0.95):
                rates = measure("normal", share, truth, Looks(most=most), runs // 10)
                print(f"{f'{share:.0%}, {most} rounds':24} {truth:6.2f} {rates}", flush=True)
    kept &= relations(looks, runs // 10)
    print(f"\nindependent noise: the promise is {'kept' if kept else 'broken'}")
    print(f"{watch.elapsed_s:.0f} s")
    return 0 if kept else 1


def relations(looks: Looks, runs: int) -> bool:
    """Measure and print cells that are held against others; return whether the promise is kept."""
    kept = True
    head = f"{'truth':>6} {'PASS %':>8} {'FAIL %':>8} {'open %':>8} {'rounds':>7}"
    print(f"\n{'10 % noise on both, partner':42} {head}")
    cases = [("normal", name) for name in PARTNERS]
    cases += [(noise, "ends by a floor 7 % below") for noise in NOISES if noise != "normal"]
    for noise, name in cases:
        for truth in (1.05, 1.0, 0.9, 0.7, 1.4):
            rates = measure_pairs(noise, PARTNERS[name], truth, looks, runs)
            print(f"{f'{noise}, {name}':42} {truth:6.2f} {rates}", flush=True)
            kept &= noise not in INDEPENDENT or is_kept(truth, rates)
    return kept


if __name__ == "__main__":
    sys.exit(main())
