"""Partition modes: how many devices, of what size."""

from __future__ import annotations

import pytest

from hwval.errors import UsageError
from hwval.planning.engine_settings import Version
from hwval.planning.partition import Partition
from hwval.planning.partition import parse_partition
from hwval.planning.partition import partition_notes
from hwval.planning.partition import partition_refusals


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


CPX = parse_partition("cpx/nps4")


@pytest.mark.parametrize(
    ("ranks", "text"),
    [
        (
            1,
            "1 of the 8 partitions of a device, 24.0 GiB each; 8 such engines fit on a device",
        ),
        (
            2,
            "2 of the 8 partitions of a device, 24.0 GiB each; 4 such engines fit on a device",
        ),
        (8, "8 of the 8 partitions of a device, 24.0 GiB each"),
        (16, "16 of the 16 partitions of 2 devices, 24.0 GiB each"),
    ],
)
def test_how_many_partitions(ranks: int, text: str) -> None:
    """How many there are, how many an engine takes, and how many engines fit."""
    (note,) = partition_notes(CPX, ranks, 24 * 2**30)

    assert note.text == text
    assert partition_notes(None, ranks, 24 * 2**30) == ()


@pytest.mark.parametrize(
    ("ranks", "version", "expected"),
    [(2, (0, 6), 1), (1, (0, 6), 0), (2, (0, 11), 0), (2, None, 0)],
)
def test_engines_over_partitions(ranks: int, version: Version | None, expected: int) -> None:
    """AMD's guide for vLLM 0.6.3 allows one rank; nothing says that for later ones."""
    found = partition_refusals(CPX, ranks, version)

    assert len(found) == expected
    assert not any(refusal.is_certain for refusal in found)
    assert partition_refusals(None, ranks, version) == ()
