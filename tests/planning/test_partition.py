"""Partition modes: how many devices, of what size."""

from __future__ import annotations

import pytest

from hwval.errors import UsageError
from hwval.planning.partition import Partition
from hwval.planning.partition import parse_partition


@pytest.mark.parametrize(
    ("mode", "instances", "domains"),
    [("", 1, 1), ("spx", 1, 1), ("cpx", 8, 1), ("cpx/nps4", 8, 4), ("DPX/NPS2", 2, 2)],
)
def test_modes(mode: str, instances: int, domains: int) -> None:
    """Compute first, memory after a slash."""
    assert parse_partition(mode) == Partition(instances, domains)


def test_a_partition_of_an_mi300x() -> None:
    """24 GB each; two share a domain of 48."""
    partition = parse_partition("cpx/nps4")

    assert partition.share(192) == 24
    assert partition.domain(192) == 48
    assert parse_partition("cpx", dies=6).instances == 6


@pytest.mark.parametrize("mode", ["xyz", "cpx/nps3", "spx/nps4", "cpx nps4"])
def test_unknown_modes_are_refused(mode: str) -> None:
    """With what there is."""
    with pytest.raises(UsageError, match="partition mode"):
        parse_partition(mode)
