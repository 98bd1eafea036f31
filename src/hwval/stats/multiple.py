"""Many tests at once: which of their findings to believe."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["discoveries"]


def discoveries(p_values: Sequence[float], rate: float = 0.05) -> list[bool]:
    """Return which tests found something, where a share of ``rate`` of the findings may be false.

    Where nothing differs at all, the chance of any finding is ``rate``. Holds for independent
    tests and for those that move together, as percentiles of one latency do.

    Args:
        p_values: Of each test, 0 to 1.
        rate: Share of false findings among all, 0 to 1.

    Source: Benjamini and Hochberg 1995; Benjamini and Yekutieli 2001 for dependent tests.

    Example:
        >>> discoveries([0.001, 0.04, 0.03, 0.9])
        [True, False, False, False]
    """
    ordered = sorted(p_values)
    below = [p for place, p in enumerate(ordered, 1) if p <= rate * place / len(ordered)]
    largest = max(below, default=-1.0)
    return [p <= largest for p in p_values]
