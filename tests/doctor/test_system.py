"""Checks of the kernel's settings and of limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.doctor import State
from hwval.doctor import examine
from hwval.host import Host
from tests.doctor.examples import GIB
from tests.doctor.examples import MI60
from tests.doctor.examples import MI300X
from tests.doctor.examples import PLAIN
from tests.doctor.examples import RTX
from tests.doctor.examples import cells
from tests.doctor.examples import host_with
from tests.doctor.examples import matrix
from tests.doctor.examples import named


@pytest.mark.parametrize(
    ("host", "name", "state", "words"),
    [
        (host_with(MI60, settings={"numa_balancing": "1"}), "numa-balancing", State.WARNING,
         "sysctl kernel.numa_balancing=0"),
        (host_with(MI60, settings={"numa_balancing": "0"}), "numa-balancing", State.OK, ""),
        (host_with(MI60, settings={}), "numa-balancing", State.NOT_CHECKABLE, ""),
        (host_with(MI300X, settings={"numa_balancing": "0"}), "iommu", State.WARNING, "iommu=pt"),
        (host_with(MI300X, settings={"cmdline": "amd_iommu=on iommu=pt"}), "iommu", State.OK, ""),
        (host_with(MI300X, settings={}), "iommu", State.NOT_CHECKABLE, ""),
        (replace(PLAIN, limits={"nofile": 1024, "memlock": None}), "limits", State.WARNING,
         "ulimit -n"),
        (replace(PLAIN, limits={"nofile": None, "memlock": 65536}), "limits", State.WARNING,
         "ulimit -l"),
        (replace(PLAIN, limits={"nofile": None, "memlock": None}), "limits", State.OK, ""),
        (replace(PLAIN, limits={}), "limits", State.NOT_CHECKABLE, ""),
        (replace(PLAIN, swap_bytes=None), "swap", State.NOT_CHECKABLE, ""),
        (replace(PLAIN, swap_bytes=GIB), "swap", State.OK, ""),
        (host_with(replace(MI60, unified=True), swap_bytes=GIB), "swap", State.WARNING,
         "swapoff"),
    ],
)  # fmt: skip
def test_settings(host: Host, name: str, state: State, words: str) -> None:
    """Each with the command that changes it."""
    check = named(examine(host), name)

    assert check.state is state
    assert words in check.remedy


def test_settings_that_do_not_matter_are_not_spoken_of() -> None:
    """NUMA balancing and IOMMU are asked for by AMD's guides alone."""
    names = {check.name for check in examine(host_with(RTX, settings={"numa_balancing": "1"}))}

    assert not names & {"numa-balancing", "iommu"}
    assert "iommu" not in {check.name for check in examine(host_with(MI60))}


@pytest.mark.parametrize(
    ("more", "state"), [("", State.WARNING), ("container: {memory: 8 GiB}\n", State.OK)]
)
def test_swap_under_an_engine_in_main_memory(tmp_path: Path, more: str, state: State) -> None:
    """One without a limit of its own crawls where it should end."""
    host = replace(PLAIN, swap_bytes=8 * GIB)
    text = matrix("cpu", "hwval/fake-vllm:0.32.0", "Qwen/Qwen3-0.6B", more=more)

    assert named(examine(host, cells(tmp_path, host, text)), "swap").state is state
