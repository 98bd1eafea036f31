"""The load generator: what it sends is made before the clock starts, what it gets is read after.

    schedule, lengths, prompts, room -> request   what is sent, and when
    run -> work -> drive -> wire                  processes, connections, bytes and their times
    parse -> sample -> summary                    what the bytes said, and what it comes to

`docs/load.md` says what is measured and how well.
"""

from __future__ import annotations

from hwval.load.drive import Limits
from hwval.load.request import Ask
from hwval.load.request import Target
from hwval.load.run import LoadInterrupted
from hwval.load.run import LoadPlan
from hwval.load.run import LoadRun
from hwval.load.run import Progress
from hwval.load.run import processes_for
from hwval.load.run import run_load
from hwval.load.summary import Goals
from hwval.load.summary import Summary
from hwval.load.summary import summarise

__all__ = [
    "Ask",
    "Goals",
    "Limits",
    "LoadInterrupted",
    "LoadPlan",
    "LoadRun",
    "Progress",
    "Summary",
    "Target",
    "processes_for",
    "run_load",
    "summarise",
]
