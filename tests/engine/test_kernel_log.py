"""Reading the kernel's log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwval.clock import monotonic_s
from hwval.engine.kernel_log import read_kernel_log

KMSG = Path("/dev/kmsg")


def test_absent_log_is_an_error_to_note(tmp_path: Path) -> None:
    """Where there is no log the caller hears why."""
    with pytest.raises(FileNotFoundError):
        read_kernel_log(0.0, device=tmp_path / "kmsg")


def test_records_before_the_window_are_left_out(tmp_path: Path) -> None:
    """Only the window's lines count, without what a record holds for machines."""
    pipe = tmp_path / "kmsg"
    pipe.write_text("6,1,99000000,-;new oom-kill: a;b\n SUBSYSTEM=memory\n")
    assert read_kernel_log(98.0, device=pipe) == ("[99.000000] new oom-kill: a;b",)
    assert read_kernel_log(200.0, device=pipe) == ()


@pytest.mark.skipif(not os.access(KMSG, os.R_OK), reason="the kernel's log is not readable here")
def test_real_log_is_read_to_its_end() -> None:
    """The real log is read without waiting for more, and its newest lines are kept."""
    everything = read_kernel_log(0.0, limit_lines=10**6)
    assert read_kernel_log(0.0, limit_lines=3) == everything[-3:]
    assert read_kernel_log(monotonic_s() + 3600) == ()
