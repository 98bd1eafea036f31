"""What is known of a cell's flags and variables before its engine reads them."""

from __future__ import annotations

from typing import NamedTuple

from hwval.catalogue import EngineKind
from hwval.catalogue import FlagEffect
from hwval.catalogue import ImageFacts
from hwval.catalogue import Server
from hwval.catalogue import load_engine_flags
from hwval.cell import Cell
from hwval.planning.refusal import Note
from hwval.planning.refusal import Refusal

__all__ = ["Judged", "judge_command_line"]

_RULE = "engine-flag"


class Judged(NamedTuple):
    """What speaks against a command line, and what is only to be said of it."""

    refusals: tuple[Refusal, ...] = ()
    notes: tuple[Note, ...] = ()


def judge_command_line(cell: Cell, image: ImageFacts) -> Judged:
    """Return what the vLLM of an image makes of a cell's flags and variables.

    Where nobody knows which vLLM it is, the newest one's refusals are only told.

    Args:
        cell: The cell.
        image: Facts of its image, as its tag pins them down.
    """
    if image.server is not Server.VLLM or image.engine is EngineKind.EXTERNAL:
        return Judged()
    found = load_engine_flags().findings(
        cell.engine_args, cell.environment, image.vllm, is_fork=image.fork
    )
    refusals, notes = [], []
    for finding in found:
        if finding.effect is FlagEffect.REFUSED and image.vllm is not None:
            refusals.append(Refusal(_RULE, finding.text, finding.is_certain))
        else:
            notes.append(Note(_RULE, finding.text))
    return Judged(tuple(refusals), tuple(notes))
