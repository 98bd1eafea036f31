"""A bounded sample of many values in which each is as likely as any other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field
from random import Random

__all__ = ["Reservoir"]


@dataclass(slots=True)
class Reservoir:
    """Keeps some of the values that it is given, early and late ones alike.

    Source: J. S. Vitter, "Random sampling with a reservoir", algorithm R, ACM TOMS 11(1), 1985.

    Attributes:
        most: How many values are kept, > 0.
        values: Those that are kept, in no order.
        random: Decides which; seeded, so that the same values leave the same sample.
    """

    most: int
    values: list[float] = field(default_factory=list)
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - a sample is no secret
    _seen: int = 0

    def add(self, values: Iterable[float]) -> None:
        """Take further values."""
        for value in values:
            self._seen += 1
            if len(self.values) < self.most:
                self.values.append(value)
            elif (place := self.random.randrange(self._seen)) < self.most:
                self.values[place] = value
